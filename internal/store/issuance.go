package store

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// write is a change that shares its commit with others: rows to insert, and at most one of the rest. What it stores is laid out, and copied, by its
// caller, so that the one who commits has little to do.
type write struct {
	rows [len(groupTables)][][]any

	signs     *signing
	spends    *spending
	completes *completion
}

// signing stores the signature of a certificate if that is pending.
type signing struct {
	serial      pki.Serial
	signature   []byte
	fingerprint [32]byte
	at          time.Time

	done bool // whether it was pending
}

// RecordCertificate implements ca.Store.
func (s *Store) RecordCertificate(ctx context.Context, c *ca.Certificate, act ca.Act) error {
	w := new(write)
	if err := w.tell(act); err != nil {
		return err
	}
	serial, created, app := bytes.Clone(c.Serial[:]), micros(c.CreatedAt), orNull(c.App)
	w.rows[inCertificates] = [][]any{certificateRecord(c)}
	previous := ""
	for _, key := range searchKeys(c.Names) {
		w.rows[inNames] = append(w.rows[inNames], []any{key, created, serial, app, previous})
		previous = key
	}
	w.rows[inPending] = [][]any{{created, serial}}
	_, err := s.writes.do(ctx, w)
	if err != nil && s.db.badRow(err) {
		return s.whyRefused(ctx, c.Serial, act.Claim, err)
	}
	return err
}

// certificateRecord is the row of a certificate.
func certificateRecord(c *ca.Certificate) []any {
	return []any{
		bytes.Clone(c.Serial[:]), c.Authority, c.Profile, string(c.Usage), orNull(c.App), text(c.RequestedBy), joinNames(c.Names), string(c.KeyType),
		bytes.Clone(c.SPKIHash[:]), micros(c.NotBefore), micros(c.NotAfter), micros(c.CreatedAt), serialOrNull(c.Replaces), bytes.Clone(c.TBS),
	}
}

// whyRefused tells the reasons for which a constraint refuses a record from those that nobody foresaw.
func (s *Store) whyRefused(ctx context.Context, serial pki.Serial, claim *ca.Claim, refusal error) error {
	if err := claimed(ctx, s.db, claim); err != nil {
		return err
	}
	var taken int
	err := one(ctx, s.db, `SELECT 1 FROM certificates WHERE serial = $1`, []any{serial[:]}, &taken)
	switch {
	case err == nil:
		return ca.ErrExists
	case errors.Is(err, ca.ErrNotFound):
		return refusal
	}
	return err
}

// CommitSignature implements ca.Store.
func (s *Store) CommitSignature(ctx context.Context, serial pki.Serial, signature []byte, fingerprint [32]byte, at time.Time) error {
	w := &write{signs: &signing{serial: serial, signature: bytes.Clone(signature), fingerprint: fingerprint, at: micros(at)}}
	if _, err := s.writes.do(ctx, w); err != nil {
		return err
	}
	if !w.signs.done {
		return ca.ErrChanged
	}
	return nil
}

// RecordEvent implements ca.Store.
func (s *Store) RecordEvent(ctx context.Context, e ca.Event) error {
	w := new(write)
	if err := w.tell(ca.Act{Event: e}); err != nil {
		return err
	}
	_, err := s.writes.do(ctx, w)
	return err
}

// tell adds an act to a write.
func (w *write) tell(act ca.Act) error {
	event, err := eventRow(act.Event)
	if err != nil {
		return err
	}
	w.rows[inEvents] = [][]any{event}
	if act.Claim != nil {
		w.rows[inClaims] = [][]any{claimRow(act.Claim)}
	}
	return nil
}

// commitGroup commits a round of writes together. When one of them breaks a constraint, the round is halved until that one is alone, so that
// no other suffers for it.
func (s *Store) commitGroup(round []*call[*write, struct{}]) {
	err := s.commit(round)
	if err != nil && len(round) > 1 && s.db.badRow(err) {
		s.commitGroup(round[:len(round)/2])
		s.commitGroup(round[len(round)/2:])
		return
	}
	for _, c := range round {
		c.err = err
	}
}

func (s *Store) commit(round []*call[*write, struct{}]) error {
	writes := make([]*write, len(round))
	for i, c := range round {
		writes[i] = c.question
	}
	return inRound(func(ctx context.Context) error {
		return s.retry(ctx, func() error { return s.db.commit(ctx, writes) })
	})
}

// searchKeys are the names as certificate_names has them, in its order.
func searchKeys(names []pki.Name) []string {
	keys := make([]string, len(names))
	for i, n := range names {
		keys[i] = searchKey(n)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func searchKey(n pki.Name) string {
	if n.IsIP() {
		return "ip:" + n.String()
	}
	return n.Reversed() + "."
}

func joinNames(names []pki.Name) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = n.String()
	}
	return strings.Join(texts, " ")
}

func serialOrNull(s pki.Serial) any {
	if s.IsZero() {
		return nil
	}
	return bytes.Clone(s[:])
}
