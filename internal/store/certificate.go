package store

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// certificateColumns are what certificateRow reads, of the tables that a source joins.
const certificateColumns = `c.serial, c.authority, c.profile, c.usage, COALESCE(c.app, ''), c.requested_by, c.names, c.key_type, c.spki_hash,
	c.not_before, c.not_after, c.created_at, c.replaces, c.tbs, s.signature, s.fingerprint, r.revoked_at, COALESCE(r.reason, 0), COALESCE(r.revoked_by, '')`

// Certificate implements ca.Store. Those that are asked for together share a query.
func (s *Store) Certificate(ctx context.Context, serial pki.Serial) (*ca.Certificate, error) {
	found, err := s.certificates.do(ctx, serial)
	if err != nil {
		return nil, err
	}
	found.TBS, found.Signature = bytes.Clone(found.TBS), bytes.Clone(found.Signature) // another caller may have the same answer
	return found.certificate(), nil
}

// findCertificates answers calls of Certificate.
func (s *Store) findCertificates(round []*call[pki.Serial, certificateRow]) {
	find(s.db, round, `SELECT `+certificateColumns+` FROM `+byCreation.tables+` WHERE c.serial`, func(serial pki.Serial) any { return serial[:] },
		func(r row) (pki.Serial, certificateRow, error) {
			found := new(certificateRow)
			err := r.Scan(found.columns()...)
			return found.Serial, *found, err
		})
}

// certificateRow is a certificate on its way out of the database.
type certificateRow struct {
	ca.Certificate
	names      string
	revocation ca.Revocation
}

// columns are the places for certificateColumns.
func (r *certificateRow) columns() []any {
	return []any{
		octets(r.Serial[:]), &r.Authority, &r.Profile, &r.Usage, &r.App, &r.RequestedBy, &r.names, &r.KeyType, octets(r.SPKIHash[:]),
		instant{&r.NotBefore}, instant{&r.NotAfter}, instant{&r.CreatedAt}, octets(r.Replaces[:]), &r.TBS, &r.Signature, octets(r.Fingerprint[:]),
		instant{&r.revocation.At}, &r.revocation.Reason, &r.revocation.By,
	}
}

func (r *certificateRow) certificate() *ca.Certificate {
	for _, name := range strings.Fields(r.names) {
		r.Names = append(r.Names, pki.RecordedName(name))
	}
	if !r.revocation.At.IsZero() {
		r.Revocation = &r.revocation
	}
	return &r.Certificate
}

// RevokeCertificate implements ca.Store. The row in pending decides between a revocation and a signature that come at once: who removes it was
// first, and the other waits for that one's commit.
func (s *Store) RevokeCertificate(ctx context.Context, serial pki.Serial, r ca.Revocation, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		var authority, app string
		var notAfter time.Time
		err := one(ctx, tx, `SELECT authority, COALESCE(app, ''), not_after FROM certificates WHERE serial = $1`, []any{serial[:]},
			&authority, &app, instant{&notAfter})
		if err != nil {
			return err
		}
		err = changedOne(tx.exec(ctx, `INSERT INTO revocations (serial, authority, app, revoked_at, reason, revoked_by, not_after)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (serial) DO NOTHING`,
			serial[:], authority, orNull(app), micros(r.At), int(r.Reason), text(r.By), notAfter))
		if err != nil {
			return err
		}
		_, err = tx.exec(ctx, `DELETE FROM pending WHERE (created_at, serial) = (SELECT created_at, serial FROM certificates WHERE serial = $1)`, serial[:])
		if err != nil {
			return err
		}
		if _, err = tx.exec(ctx, `UPDATE signatures SET live = FALSE WHERE serial = $1`, serial[:]); err != nil {
			return err
		}
		if err := s.unpublish(ctx, tx, act, [][]byte{serial[:]}); err != nil {
			return err
		}
		return s.blockKeys(ctx, tx, [][]byte{serial[:]}, r.Reason, r.At)
	})
}

// RaiseRevocation implements ca.Store.
func (s *Store) RaiseRevocation(ctx context.Context, serial pki.Serial, from, to pki.Reason, act ca.Act) error {
	return s.change(ctx, func(tx statements) error {
		if err := begin(ctx, tx, act); err != nil {
			return err
		}
		err := changedOne(tx.exec(ctx, `UPDATE revocations SET reason = $3 WHERE serial = $1 AND reason = $2`, serial[:], int(from), int(to)))
		if err != nil {
			return err
		}
		if err := s.unpublish(ctx, tx, act, [][]byte{serial[:]}); err != nil {
			return err
		}
		return s.blockKeys(ctx, tx, [][]byte{serial[:]}, to, act.Event.At)
	})
}

// changedOne turns a change of no row into ca.ErrChanged.
func changedOne(n int64, err error) error {
	if err == nil && n == 0 {
		return ca.ErrChanged
	}
	return err
}
