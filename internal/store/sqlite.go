package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"sync"

	driver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/imca-project/imca/internal/ca"
)

// sqlite is a SQLite database: one connection that writes, and others that read beside it, as its write-ahead log allows.
type sqlite struct {
	writer, reader *sql.DB

	prepared sync.Map // text → *sql.Stmt
}

// liteTx are the statements of a transaction.
type liteTx struct{ *sql.Tx }

// liteURL is how the driver is told to open a file. Times are stored as integers, so that they compare and sort. Transactions take the write
// lock when they begin, so that none fails half-way because another process has it.
func liteURL(path string, pragmas ...string) string {
	q := url.Values{"_txlock": {"immediate"}, "_time_integer_format": {"unix_micro"}}
	for _, p := range append([]string{"busy_timeout(20000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)"}, pragmas...) {
		q.Add("_pragma", p)
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
}

const liteHint = "check that it is a SQLite database, on a disk of this machine"

// createLite makes sure that there is a file. The driver would make it readable for all; the files beside it take over its mode.
func createLite(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("%w: give a path in a folder that exists and that this user may write to", err)
	}
	return f.Close()
}

func openSQLite(ctx context.Context, path string) (*sqlite, error) {
	if err := createLite(path); err != nil {
		return nil, err
	}
	l := new(sqlite)
	var err error
	if l.writer, err = openLite(ctx, liteURL(path, "wal_autocheckpoint(8000)", "cache_size(-16000)"), 1); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", path, err, liteHint)
	}
	if l.reader, err = openLite(ctx, liteURL(path, "query_only(1)"), max(4, runtime.GOMAXPROCS(0))); err != nil {
		l.close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

func openLite(ctx context.Context, url string, connections int) (*sql.DB, error) {
	pool, err := sql.Open("sqlite", url)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(connections)
	pool.SetMaxIdleConns(connections)
	if err := pool.PingContext(ctx); err != nil {
		_ = pool.Close()
		return nil, err
	}
	return pool, nil
}

func (l *sqlite) exec(ctx context.Context, text string, args ...any) (int64, error) {
	return changed(l.writer.ExecContext(ctx, text, args...))
}

func (t liteTx) exec(ctx context.Context, text string, args ...any) (int64, error) {
	return changed(t.ExecContext(ctx, text, args...))
}

func changed(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// prepare makes a statement once for all connections of a pool. It may not run in a transaction, which has the only connection that writes.
func (l *sqlite) prepare(ctx context.Context, pool *sql.DB, text string) (*sql.Stmt, error) {
	if kept, found := l.prepared.Load(text); found {
		return kept.(*sql.Stmt), nil
	}
	made, err := pool.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	kept, found := l.prepared.LoadOrStore(text, made)
	if found {
		_ = made.Close()
	}
	return kept.(*sql.Stmt), nil
}

func (l *sqlite) query(ctx context.Context, each func(row) error, text string, args ...any) error {
	stmt, err := l.prepare(ctx, l.reader, text)
	if err != nil {
		return err
	}
	rows, err := stmt.QueryContext(ctx, args...)
	return eachRow(rows, err, each)
}

func (l *sqlite) same(column, value string) string { return column + " = " + value }

func (l *sqlite) find(ctx context.Context, each func(row) error, text string, keys []any) error {
	for _, k := range keys {
		if err := l.query(ctx, each, text+` = $1`, k); err != nil {
			return err
		}
	}
	return nil
}

func (l *sqlite) list(ctx context.Context, each func(row) error, text string, args ...any) error {
	rows, err := l.reader.QueryContext(ctx, text, args...)
	return eachRow(rows, err, each)
}

func (t liteTx) query(ctx context.Context, each func(row) error, text string, args ...any) error {
	rows, err := t.QueryContext(ctx, text, args...)
	return eachRow(rows, err, each)
}

func eachRow(rows *sql.Rows, err error, each func(row) error) error {
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// transact: should ctx end, database/sql rolls back by itself.
func (l *sqlite) transact(ctx context.Context, do func(tx statements) error) error {
	tx, err := l.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := do(liteTx{tx}); err != nil {
		_ = tx.Rollback() // what it could say, err says already
		return err
	}
	return tx.Commit()
}

func (l *sqlite) forget(ctx context.Context, tx statements, authority string, changes []ca.Unpublished) error {
	rows := make([][]any, len(changes))
	for i, c := range changes {
		rows[i] = []any{authority, []byte(c.ID), c.Serial[:]}
	}
	return execEach(ctx, tx, `DELETE FROM unpublished WHERE authority = $1 AND id = $2 AND serial = $3`, rows)
}

// execEach runs a statement for each of the rows. To prepare it takes longer than to run it.
func execEach(ctx context.Context, tx statements, text string, rows [][]any) error {
	stmt, err := tx.(liteTx).PrepareContext(ctx, text)
	if err != nil {
		return err
	}
	defer func() { _ = stmt.Close() }()
	for _, r := range rows {
		if _, err := stmt.ExecContext(ctx, r...); err != nil {
			return err
		}
	}
	return nil
}

func (l *sqlite) committers() int { return 1 }

func (l *sqlite) badRow(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_CONSTRAINT
}

// lostRace: there is one writer at a time, so none is ever lost.
func (l *sqlite) lostRace(error) bool { return false }

func (l *sqlite) close() {
	if l.reader != nil {
		_ = l.reader.Close()
	}
	if l.writer != nil {
		_ = l.writer.Close()
	}
}

// What commit does beside inserting rows.
const (
	liteUnpend = `DELETE FROM pending WHERE (created_at, serial) = (SELECT created_at, serial FROM certificates WHERE serial = $1)`
	liteSign   = `INSERT INTO signatures (serial, signature, fingerprint, signed_at, app, not_after, live)
		SELECT serial, $2, $3, $4, app, not_after, TRUE FROM certificates WHERE serial = $1`
	liteSpend    = `INSERT INTO acme_nonces (nonce, until) VALUES ($1, $2) ON CONFLICT (nonce) DO NOTHING`
	liteComplete = `UPDATE acme_orders SET serial = $2 WHERE id = $1 AND serial IS NULL`
)

// commit runs the statements of each write in turn.
func (l *sqlite) commit(_ context.Context, writes []*write) error {
	ctx := context.Background()      // to watch a context costs as much as the statements; nothing here waits for a network
	for _, text := range liteTexts { // there is no other connection to prepare them in once the transaction has begun
		if _, err := l.prepare(ctx, l.writer, text); err != nil {
			return err
		}
	}
	tx, err := l.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	run := liteRun{lite: l, tx: tx, bound: make(map[string]*sql.Stmt)}
	for _, w := range writes {
		if err := run.write(ctx, w); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// liteInserts are the insertions into groupTables, and liteTexts all that commit runs.
var liteInserts, liteTexts = func() (inserts [len(groupTables)]string, texts []string) {
	for i, t := range groupTables {
		inserts[i] = t.insert()
	}
	return inserts, append(inserts[:], liteUnpend, liteSign, liteSpend, liteComplete)
}()

// liteRun is a commit on its way.
type liteRun struct {
	lite  *sqlite
	tx    *sql.Tx
	bound map[string]*sql.Stmt // the statements of this transaction, by their texts
}

func (r *liteRun) exec(ctx context.Context, text string, args ...any) (int64, error) {
	stmt, found := r.bound[text]
	if !found {
		kept, err := r.lite.prepare(ctx, r.lite.writer, text)
		if err != nil {
			return 0, err
		}
		stmt = r.tx.StmtContext(ctx, kept)
		r.bound[text] = stmt
	}
	return changed(stmt.ExecContext(ctx, args...))
}

func (r *liteRun) write(ctx context.Context, w *write) error {
	for i, rows := range w.rows {
		for _, values := range rows {
			if _, err := r.exec(ctx, liteInserts[i], values...); err != nil {
				return err
			}
		}
	}
	switch {
	case w.signs != nil:
		n, err := r.exec(ctx, liteUnpend, w.signs.serial[:])
		if w.signs.done = n > 0; err != nil || !w.signs.done {
			return err
		}
		_, err = r.exec(ctx, liteSign, w.signs.serial[:], w.signs.signature, w.signs.fingerprint[:], w.signs.at)
		return err
	case w.spends != nil:
		n, err := r.exec(ctx, liteSpend, w.spends.nonce[:], w.spends.until)
		w.spends.done = n > 0
		return err
	case w.completes != nil:
		_, err := r.exec(ctx, liteComplete, w.completes.order, w.completes.serial)
		return err
	}
	return nil
}
