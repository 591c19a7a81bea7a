package main

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// crl is the list that a server serves, checked as a stranger would.
func (d *dev) crl(t testing.TB) (*x509.RevocationList, []byte) {
	t.Helper()
	state, err := d.folder.state()
	require.NoError(t, err)
	response, err := d.client.Get(d.url + "/crl/TencentQQAuthCA.crl")
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	der, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	list, err := x509.ParseRevocationList(der)
	require.NoError(t, err)
	require.NoError(t, list.CheckSignatureFrom(d.root(t, state.CA)))
	return list, der
}

func (d *dev) root(t testing.TB, file string) *x509.Certificate {
	t.Helper()
	certificates, err := pki.ParseCertificates(readFile(t, d.folder.path(file)))
	require.NoError(t, err)
	return certificates[0]
}

// listed are the serials on a list.
func listed(t testing.TB, list *x509.RevocationList) []string {
	t.Helper()
	serials := []string{}
	for _, entry := range list.RevokedCertificateEntries {
		serial, ok := pki.SerialFromInt(entry.SerialNumber)
		require.True(t, ok)
		serials = append(serials, serial.String())
	}
	return serials
}

// status asks a server by OCSP.
func (d *dev) status(t testing.TB, g given) int {
	t.Helper()
	state, err := d.folder.state()
	require.NoError(t, err)
	root := d.root(t, state.CA)
	leaf, err := pki.ParseCertificates([]byte(g.Certificate))
	require.NoError(t, err)
	question, err := ocsp.CreateRequest(leaf[0], root, nil)
	require.NoError(t, err)
	response, err := d.client.Post(d.url+"/ocsp/TencentQQAuthCA", "application/ocsp-request", bytes.NewReader(question))
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	der, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	answer, err := ocsp.ParseResponse(der, root)
	require.NoError(t, err)
	return answer.Status
}

// Two servers publish for one database while certificates are revoked through both, and each is killed in the middle of a publication, more than
// once. The number that each serves only rises, nothing that was answered is lost, and in the end both serve the same bytes.
func TestKillWhilePublishing(t *testing.T) {
	database := judge.Postgres(t)
	folder := t.TempDir()
	start := func(name string) *dev { return startDev(t, folder, database+"&application_name="+name) }
	servers := map[string]*dev{"first": start("first"), "second": start("second")}

	conn, err := pgx.Connect(t.Context(), database)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	for _, statement := range []string{
		`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END'`,
		`CREATE TRIGGER slow BEFORE UPDATE ON crls FOR EACH ROW EXECUTE FUNCTION slow()`,
	} {
		_, err := conn.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	publishing := func(name string) func() bool {
		return func() bool {
			var busy bool
			err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'PgSleep')`, name).Scan(&busy)
			require.NoError(t, err)
			return busy
		}
	}

	var (
		answered []given
		numbers  = make(map[string]int64)
		mu       sync.Mutex
	)
	revoke := func(d *dev, n int) {
		t.Helper()
		for i := range n {
			var g given
			require.NoError(t, d.ask(demoToken, "POST", "/v1/certificates", fmt.Sprintf(`{"domain":"c%d.example.com"}`, i), http.StatusCreated, &g))
			require.NoError(t, d.ask(demoToken, "POST", "/v1/certificates/"+g.Serial+"/revoke", `{"reason":"superseded"}`, http.StatusOK, new(given)))
			mu.Lock()
			answered = append(answered, g)
			mu.Unlock()
		}
	}
	look := func() {
		t.Helper()
		for name, d := range servers {
			list, _ := d.crl(t)
			require.GreaterOrEqual(t, list.Number.Int64(), numbers[name])
			numbers[name] = list.Number.Int64()
		}
	}
	for round := range 4 {
		victim := []string{"first", "second"}[round%2]
		survivor := servers[[]string{"second", "first"}[round%2]]
		require.Eventually(t, func() bool {
			revoke(servers[victim], 1)
			revoke(survivor, 1)
			look()
			return publishing(victim)()
		}, time.Minute, time.Millisecond)
		require.Error(t, servers[victim].Kill())
		revoke(survivor, 3)
		servers[victim] = start(victim)
		look()
	}

	latest := servers["first"]
	require.Eventually(t, func() bool {
		look()
		return numbers["first"] == numbers["second"] && len(listed(t, first(latest.crl(t)))) == len(latest.inState(t, ca.StatusRevoked))
	}, time.Minute, 100*time.Millisecond)
	list, der := latest.crl(t)
	_, same := servers["second"].crl(t)
	require.Equal(t, der, same)
	require.ElementsMatch(t, latest.inState(t, ca.StatusRevoked), listed(t, list))
	for _, g := range answered {
		require.Contains(t, listed(t, list), g.Serial)
	}
	for _, d := range servers {
		require.Equal(t, ocsp.Revoked, d.status(t, answered[0]))
	}
	t.Logf("%d certificates revoked, the list has the number %v", len(answered), list.Number)
}

func first[A, B any](a A, _ B) A { return a }

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return text
}
