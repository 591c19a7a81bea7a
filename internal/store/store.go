package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// Config says where the records are.
type Config struct {
	// URL is "postgres://USER:PASSWORD@HOST:PORT/DATABASE" or "sqlite:PATH". The parameters of pgx and pgxpool may be added to the former
	// (sslmode, pool_max_conns …).
	URL string
}

// Store keeps the records of the CA in a database; it is a ca.Store. Its methods are safe for concurrent use.
type Store struct {
	db      database
	writes  *group[*write, struct{}]
	tokens  *group[[32]byte, ca.Token]
	apps    *group[string, ca.App]
	blocked *group[[32]byte, struct{}]

	claims *group[[]string, []ca.Domain] // by the search keys of the names

	accounts *group[string, acme.Account]
	orders   *group[string, orderRow]

	certificates *group[pki.Serial, certificateRow]
	standings    *group[pki.Serial, ca.Standing]
}

var _ ca.Store = (*Store)(nil)

// ErrClosed is the answer of a store that was closed.
var ErrClosed = errors.New("the store is closed")

// Open connects to a database whose schema is up to date (see Migrate).
func Open(ctx context.Context, cfg Config) (*Store, error) {
	at, err := parseURL(cfg.URL)
	if err != nil {
		return nil, err
	}
	var db database
	if at.postgres != "" {
		db, err = openPostgres(ctx, at.postgres)
	} else {
		db, err = openSQLite(ctx, at.sqlite)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if err := checkVersion(ctx, db); err != nil {
		db.close()
		return nil, err
	}
	s := &Store{db: db}
	s.writes = newGroup(db.committers(), s.commitGroup)
	s.tokens = newGroup(lookers, s.findTokens)
	s.apps = newGroup(lookers, s.findApps)
	s.blocked = newGroup(lookers, s.findBlocked)
	s.claims = newGroup(lookers, s.findClaims)
	s.accounts = newGroup(lookers, s.findAccounts)
	s.orders = newGroup(lookers, s.findOrders)
	s.certificates = newGroup(lookers, s.findCertificates)
	s.standings = newGroup(lookers, s.findStandings)
	return s, nil
}

// Close ends the store. Changes that were accepted are committed, or answered with an error, before it returns; later ones get ErrClosed.
func (s *Store) Close() error {
	s.writes.close()
	s.tokens.close()
	s.apps.close()
	s.blocked.close()
	s.claims.close()
	s.accounts.close()
	s.orders.close()
	s.certificates.close()
	s.standings.close()
	s.db.close()
	return nil
}

// Ping tells whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	var answer int
	return one(ctx, s.db, `SELECT 1`, nil, &answer)
}

// errAgain asks change to run the transaction once more: what it saw was gone a moment later.
var errAgain = errors.New("others were changing the same records: try again")

// change runs a transaction, and runs it again when it lost against another one through no fault of its own.
func (s *Store) change(ctx context.Context, do func(tx statements) error) error {
	return s.retry(ctx, func() error { return s.db.transact(ctx, do) })
}

func (s *Store) retry(ctx context.Context, do func() error) error {
	const tries = 10
	for try := 1; ; try++ {
		err := do()
		if err == nil || try == tries || !errors.Is(err, errAgain) && !s.db.lostRace(err) {
			return err
		}
		select {
		case <-time.After(rand.N(time.Duration(try) * 5 * time.Millisecond)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
