package store

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store/storetest"
)

// TestInvariants goes past the store's methods: the database itself refuses what must never be.
func TestInvariants(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		require.NoError(t, Migrate(t.Context(), url))
		s := openTest(t, url)
		require.NoError(t, s.CreateApp(t.Context(), storetest.NewApp("alpha"), storetest.NewAct(storetest.Epoch)))
		signed := storetest.NewCertificate("alpha", storetest.Epoch, "www.example.com")
		storetest.Sign(signed)
		require.NoError(t, s.RecordCertificate(t.Context(), signed, storetest.NewAct(storetest.Epoch)))
		require.NoError(t, s.CommitSignature(t.Context(), signed.Serial, signed.Signature, signed.Fingerprint, storetest.Epoch))
		revoked := ca.Revocation{At: storetest.Epoch, Reason: pki.Superseded, By: "olga"}
		require.NoError(t, s.RevokeCertificate(t.Context(), signed.Serial, revoked, storetest.NewAct(storetest.Epoch)))

		record := func(change func(row []any)) error {
			row := certificateRecord(storetest.NewCertificate("alpha", storetest.Epoch, "www.example.com"))
			change(row)
			_, err := s.db.exec(t.Context(), groupTables[inCertificates].insert(), row...)
			return err
		}
		place := func(column string) int {
			for i, c := range groupTables[inCertificates].columns {
				if c.name == column {
					return i
				}
			}
			panic(column)
		}
		set := func(column string, value any) func([]any) { return func(row []any) { row[place(column)] = value } }
		require.NoError(t, record(func([]any) {}))
		for what, err := range map[string]error{
			"a serial twice":                  record(set("serial", signed.Serial[:])),
			"a serial of 16 octets":           record(set("serial", make([]byte, 16))),
			"a serial of 18 octets":           record(set("serial", make([]byte, 18))),
			"a developer's client":            record(set("usage", "clientAuth")),
			"the platform's server":           record(set("app", nil)),
			"another usage":                   record(set("usage", "anyExtendedKeyUsage")),
			"no TBS":                          record(set("tbs", nil)),
			"no name":                         record(set("names", nil)),
			"no authority":                    record(set("authority", nil)),
			"a signature of nothing":          insert(t, s, "signatures", "serial, signature, fingerprint, signed_at, app, not_after, live", make([]byte, 17), []byte("s"), make([]byte, 32), storetest.Epoch, "alpha", storetest.Epoch, true),
			"a second signature":              insert(t, s, "signatures", "serial, signature, fingerprint, signed_at, app, not_after, live", signed.Serial[:], []byte("s"), make([]byte, 32), storetest.Epoch, "alpha", storetest.Epoch, true),
			"a second revocation":             insert(t, s, "revocations", "serial, authority, app, revoked_at, reason, revoked_by, not_after", signed.Serial[:], "Root", "alpha", storetest.Epoch, 1, "eve", storetest.Epoch),
			"a revocation of nothing":         insert(t, s, "revocations", "serial, authority, app, revoked_at, reason, revoked_by, not_after", make([]byte, 17), "Root", "alpha", storetest.Epoch, 1, "eve", storetest.Epoch),
			"a developer without an app":      insert(t, s, "tokens", "id, hash, name, role, created_at, created_by", "tok_1", make([]byte, 32), "n", "developer", storetest.Epoch, "eve"),
			"an operator of an app":           insert(t, s, "tokens", "id, hash, name, role, app, created_at, created_by", "tok_1", make([]byte, 32), "n", "operator", "alpha", storetest.Epoch, "eve"),
			"a token of no app":               insert(t, s, "tokens", "id, hash, name, role, app, created_at, created_by", "tok_1", make([]byte, 32), "n", "developer", "none", storetest.Epoch, "eve"),
			"an authority below nothing":      insert(t, s, "authorities", "name, position, parent, certificate, key_ref, profiles, created_at", "Sub", 1, "none", []byte("c"), "", "server", storetest.Epoch),
			"a claim twice in one scope":      twice(t, s, "claims", "scope, key, request, object, at", "s", []byte("k"), []byte("r"), "o", storetest.Epoch),
			"an event twice":                  twice(t, s, "events", "id, at, action, outcome, actor, role, token, address, request_id, object, detail", make([]byte, 16), storetest.Epoch, "a", "done", "", "", "", "", "", "", "{}"),
			"the record of a signed one gone": gone(t, s, signed),
		} {
			require.Error(t, err, what)
			require.True(t, s.db.badRow(err), "%s: %v", what, err)
		}
	})
}

func insert(t *testing.T, s *Store, table, columns string, values ...any) error {
	t.Helper()
	one := new(conditions)
	var marks []string
	for _, v := range values {
		marks = append(marks, one.value(v))
	}
	_, err := s.db.exec(t.Context(), "INSERT INTO "+table+" ("+columns+") VALUES ("+strings.Join(marks, ", ")+")", values...)
	return err
}

func twice(t *testing.T, s *Store, table, columns string, values ...any) error {
	t.Helper()
	require.NoError(t, insert(t, s, table, columns, values...))
	return insert(t, s, table, columns, values...)
}

func gone(t *testing.T, s *Store, c *ca.Certificate) error {
	t.Helper()
	_, err := s.db.exec(t.Context(), `DELETE FROM certificates WHERE serial = $1`, c.Serial[:])
	return err
}
