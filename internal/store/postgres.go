package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/imca-project/imca/internal/ca"
)

// postgres is a PostgreSQL database. Two of its connections commit, some list, and the rest does what is left.
type postgres struct {
	pgStatements
	pool    *pgxpool.Pool
	commits *pgxpool.Pool // where commit runs, so that it waits for nobody's connection
	lists   *pgxpool.Pool // where list runs, planned anew each time
	texts   sync.Map      // commitment → the text of its statement
}

// pgStatements are statements in a pool or a transaction.
type pgStatements struct {
	in interface {
		Exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error)
		Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
	}
}

// poolSize is the number of connections unless the URL says otherwise (pool_max_conns, at least 4): enough to keep a server busy, few enough that
// several of ours fit into PostgreSQL's usual hundred.
const poolSize = 16

const postgresHint = "check that PostgreSQL runs there, and that user, password and database in the URL are right"

func openPostgres(ctx context.Context, url string) (*postgres, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errPostgresURL
	}
	if !strings.Contains(url, "pool_max_conns") {
		cfg.MaxConns = poolSize
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "imca"
	}
	p := new(postgres)
	listing := max(1, min(listers, cfg.MaxConns-committers-1))
	for _, own := range []struct {
		pool  **pgxpool.Pool
		most  int32
		ready func(context.Context, *pgx.Conn) error
	}{
		{&p.commits, committers, keepPlans},
		{&p.lists, listing, nil},
		{&p.pool, max(1, cfg.MaxConns-committers-listing), keepPlans},
	} {
		share := cfg.Copy()
		share.MaxConns, share.AfterConnect = own.most, own.ready
		if own.pool != &p.pool { // what the URL says of idle connections is meant for the rest
			share.MinConns, share.MinIdleConns = 0, 0
		}
		if *own.pool, err = pgxpool.NewWithConfig(ctx, share); err != nil {
			p.close()
			return nil, err
		}
	}
	p.in = p.pool
	if err := p.pool.Ping(ctx); err != nil {
		p.close()
		return nil, fmt.Errorf("%w: %s", err, postgresHint)
	}
	return p, nil
}

// keepPlans has PostgreSQL plan each statement of a connection once. Left to itself it plans most of them anew each time, because a plan for these very
// values looks a little cheaper, which takes it longer than to run it. A plan is kept while the tables grow, and in an empty one to read all of it
// looks cheapest: so that is forbidden where there is an index, and what is then so dear that compiling it would look worthwhile is not compiled. A kin
// of PostgreSQL that has no such settings may do as it likes.
func keepPlans(ctx context.Context, conn *pgx.Conn) error {
	for _, setting := range []string{"plan_cache_mode = force_generic_plan", "enable_seqscan = off", "jit = off"} {
		if _, err := conn.Exec(ctx, "SET "+setting); err != nil && sqlState(err) == "" {
			return err
		}
	}
	return nil
}

func (s pgStatements) exec(ctx context.Context, text string, args ...any) (int64, error) {
	tag, err := s.in.Exec(ctx, text, args...)
	return tag.RowsAffected(), err
}

func (s pgStatements) query(ctx context.Context, each func(row) error, text string, args ...any) error {
	rows, err := s.in.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (p *postgres) list(ctx context.Context, each func(row) error, text string, args ...any) error {
	return pgStatements{p.lists}.query(ctx, each, text, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
}

func (p *postgres) same(column, value string) string { return column + " = ANY (ARRAY[" + value + "])" }

func (p *postgres) find(ctx context.Context, each func(row) error, text string, keys []any) error {
	return p.query(ctx, each, text+` = ANY($1)`, keys)
}

// rollbackTime bounds what is still done for a caller who has gone.
const rollbackTime = 5 * time.Second

func (p *postgres) transact(ctx context.Context, do func(tx statements) error) error {
	tx, err := p.pool.Begin(ctx)
	if err != nil {
		return err
	}
	if err := do(pgStatements{tx}); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
		defer cancel()
		_ = tx.Rollback(ctx) // what it could say, err says already
		return err
	}
	return tx.Commit(ctx)
}

func (p *postgres) forget(ctx context.Context, tx statements, authority string, changes []ca.Unpublished) error {
	var ids, serials [][]byte
	for _, c := range changes {
		ids, serials = append(ids, []byte(c.ID)), append(serials, c.Serial[:])
	}
	_, err := tx.exec(ctx, `DELETE FROM unpublished u USING unnest($2::bytea[], $3::bytea[]) AS s (id, serial)
		WHERE u.authority = $1 AND u.id = s.id AND u.serial = s.serial`, authority, ids, serials)
	return err
}

// committers: two, so that one works while the other waits for the disk. listers: four, so that pages and exports leave the rest to what is short.
const (
	committers = 2
	listers    = 4
)

func (p *postgres) committers() int { return committers }

// badRow: classes 22, bad data, and 23, constraints (PostgreSQL manual, Appendix A).
func (p *postgres) badRow(err error) bool {
	state := sqlState(err)
	return strings.HasPrefix(state, "22") || strings.HasPrefix(state, "23")
}

// lostRace: serialization_failure and deadlock_detected. (Not all of class 40: of statement_completion_unknown nobody knows whether it happened.)
func (p *postgres) lostRace(err error) bool {
	state := sqlState(err)
	return state == "40001" || state == "40P01"
}

func sqlState(err error) string {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}

func (p *postgres) close() {
	for _, pool := range []*pgxpool.Pool{p.commits, p.lists, p.pool} {
		if pool != nil {
			pool.Close()
		}
	}
}
