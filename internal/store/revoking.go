package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// FindCertificates implements ca.Store.
func (s *Store) FindCertificates(ctx context.Context, serials []pki.Serial) (all []*ca.Certificate, err error) {
	keys := make([]any, len(serials))
	for i := range serials {
		keys[i] = serials[i][:]
	}
	err = s.db.find(ctx, func(r row) error {
		found := new(certificateRow)
		if err := r.Scan(found.columns()...); err != nil {
			return err
		}
		all = append(all, found.certificate())
		return nil
	}, `SELECT `+certificateColumns+` FROM `+byCreation.tables+` WHERE c.serial`, keys)
	return all, err
}

// RevokeCertificates implements ca.Store. Each step is a statement of its own, in the order of RevokeCertificate, so that it sees what a commit that
// it had to wait for has left. Rows are taken in the order of their keys, so that two batches do not wait for each other.
func (s *Store) RevokeCertificates(ctx context.Context, serials []pki.Serial, r ca.Revocation, over []pki.Reason, events []ca.Event, act ca.Act) (revoked []pki.Serial, err error) {
	err = s.change(ctx, func(tx statements) error {
		given := make([][]byte, len(serials))
		for i := range serials {
			given[i] = serials[i][:]
		}
		fresh, err := s.revokeMany(ctx, tx, given, r)
		if err != nil {
			return err
		}
		raised, err := s.raiseMany(ctx, tx, given, r.Reason, over, fresh)
		if err != nil {
			return err
		}
		changed := slices.Concat(fresh, raised)
		revoked = revoked[:0]
		for _, serial := range changed {
			revoked = append(revoked, pki.Serial(serial))
		}
		if len(changed) == 0 {
			return nil
		}
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		var rows [][]any
		for i, e := range events {
			if slices.Contains(revoked, serials[i]) {
				row, err := eventRow(e)
				if err != nil {
					return err
				}
				rows = append(rows, row)
			}
		}
		if err := s.db.insert(ctx, tx, groupTables[inEvents], rows); err != nil {
			return err
		}
		if err := s.unpublish(ctx, tx, act, changed); err != nil {
			return err
		}
		return s.blockKeys(ctx, tx, changed, r.Reason, r.At)
	})
	if err != nil {
		return nil, err
	}
	return revoked, nil
}

// revokeMany revokes those that are not revoked, and returns them.
func (s *Store) revokeMany(ctx context.Context, tx statements, serials [][]byte, r ca.Revocation) ([][]byte, error) {
	among, keys := s.db.among(1, serials)
	fresh, err := keysOf(ctx, tx, `INSERT INTO revocations (serial, authority, app, revoked_at, reason, revoked_by, not_after)
		SELECT serial, authority, app, $2, $3, $4, not_after FROM certificates WHERE serial `+among+` ORDER BY serial
		ON CONFLICT (serial) DO NOTHING RETURNING serial`, keys, micros(r.At), int(r.Reason), text(r.By))
	if err != nil || len(fresh) == 0 {
		return nil, err
	}
	among, keys = s.db.among(1, fresh)
	_, err = tx.exec(ctx, `DELETE FROM pending WHERE (created_at, serial) IN (SELECT created_at, serial FROM certificates WHERE serial `+among+`)`, keys)
	if err != nil {
		return nil, err
	}
	_, err = tx.exec(ctx, `UPDATE signatures SET live = FALSE WHERE serial `+among, keys)
	return fresh, err
}

// raiseMany gives those a new reason that have one of the reasons over, but for the fresh ones, and returns them.
func (s *Store) raiseMany(ctx context.Context, tx statements, serials [][]byte, to pki.Reason, over []pki.Reason, fresh [][]byte) ([][]byte, error) {
	if len(over) == 0 || len(fresh) == len(serials) {
		return nil, nil
	}
	numbers := make([]string, len(over))
	for i, reason := range over {
		numbers[i] = strconv.Itoa(int(reason))
	}
	old := slices.DeleteFunc(slices.Clone(serials), func(serial []byte) bool {
		return slices.ContainsFunc(fresh, func(f []byte) bool { return bytes.Equal(f, serial) })
	})
	among, keys := s.db.among(1, old)
	return keysOf(ctx, tx, `UPDATE revocations SET reason = $2 WHERE reason IN (`+strings.Join(numbers, ", ")+`) AND serial `+among+` RETURNING serial`,
		keys, int(to))
}

// keysOf runs a change and returns the keys that it returns.
func keysOf(ctx context.Context, tx statements, statement string, args ...any) (keys [][]byte, err error) {
	err = tx.query(ctx, func(r row) error {
		var key []byte
		err := r.Scan(&key)
		keys = append(keys, bytes.Clone(key))
		return err
	}, statement, args...)
	return keys, err
}

// ReleaseCertificate implements ca.Store.
func (s *Store) ReleaseCertificate(ctx context.Context, serial pki.Serial, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		err := changedOne(tx.exec(ctx, `DELETE FROM revocations WHERE serial = $1 AND reason = $2`, serial[:], int(pki.CertificateHold)))
		if err != nil {
			return err
		}
		if err := s.unpublish(ctx, tx, act, [][]byte{serial[:]}); err != nil {
			return err
		}
		signed, err := tx.exec(ctx, `UPDATE signatures SET live = TRUE WHERE serial = $1`, serial[:])
		if err != nil || signed > 0 {
			return err
		}
		_, err = tx.exec(ctx, `INSERT INTO pending (created_at, serial) SELECT created_at, serial FROM certificates WHERE serial = $1`, serial[:])
		return err
	})
}

// KeyBlocked implements ca.Store.
func (s *Store) KeyBlocked(ctx context.Context, spki [32]byte) (bool, error) {
	_, err := s.blocked.do(ctx, spki)
	if errors.Is(err, ca.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// findBlocked answers calls of KeyBlocked.
func (s *Store) findBlocked(round []*call[[32]byte, struct{}]) {
	find(s.db, round, `SELECT spki_hash FROM blocked_keys WHERE spki_hash`, func(hash [32]byte) any { return hash[:] },
		func(r row) (hash [32]byte, none struct{}, err error) { return hash, none, r.Scan(octets(hash[:])) })
}

// blockKeys blocks the keys of certificates, if they were revoked because their keys are in other hands.
func (s *Store) blockKeys(ctx context.Context, tx statements, serials [][]byte, reason pki.Reason, at time.Time) error {
	if reason != pki.KeyCompromise {
		return nil
	}
	among, keys := s.db.among(1, serials)
	_, err := tx.exec(ctx, `INSERT INTO blocked_keys (spki_hash, serial, blocked_at) SELECT spki_hash, serial, $2 FROM certificates
		WHERE serial `+among+` ORDER BY spki_hash ON CONFLICT (spki_hash) DO NOTHING`, keys, micros(at))
	return err
}

func (p *postgres) among(place int, keys [][]byte) (string, any) {
	return "= ANY($" + strconv.Itoa(place) + "::bytea[])", keys
}

func (l *sqlite) among(place int, keys [][]byte) (string, any) {
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = hex.EncodeToString(k)
	}
	list, _ := json.Marshal(texts)
	return "IN (SELECT unhex(value) FROM json_each($" + strconv.Itoa(place) + "))", string(list)
}

func (p *postgres) insert(ctx context.Context, tx statements, t table, rows [][]any) error {
	_, err := tx.exec(ctx, t.insertArrays(1), columnsOf(len(t.columns), rows)...)
	return err
}

// columnsOf are rows as one array for each column.
func columnsOf(columns int, rows [][]any) []any {
	args := make([]any, columns)
	for i := range args {
		column := make([]any, len(rows))
		for j, r := range rows {
			column[j] = r[i]
		}
		args[i] = column
	}
	return args
}

func (l *sqlite) insert(ctx context.Context, tx statements, t table, rows [][]any) error {
	return execEach(ctx, tx, t.insert(), rows)
}
