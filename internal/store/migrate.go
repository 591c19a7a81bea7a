package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"github.com/gofrs/flock"
	"github.com/golang-migrate/migrate/v4"
	migratedb "github.com/golang-migrate/migrate/v4/database"
	migratepg "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	migratelite "github.com/golang-migrate/migrate/v4/database/sqlite"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/imca-project/imca/migrations"
)

// Migrate brings the schema of a database up to date; in an empty one it makes it. When several processes do so at once, one works and the
// others wait for it. A schema that is newer than this program, or that a migration left half-done, is an error.
func Migrate(ctx context.Context, databaseURL string) error {
	at, err := parseURL(databaseURL)
	if err != nil {
		return err
	}
	if at.postgres != "" {
		err = migratePostgres(ctx, at.postgres)
	} else {
		err = migrateSQLite(ctx, at.sqlite)
	}
	if err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	return nil
}

func migratePostgres(ctx context.Context, url string) error {
	cfg, err := pgxpool.ParseConfig(url) // which knows the parameters of the pool too
	if err != nil {
		return errPostgresURL
	}
	db := stdlib.OpenDB(*cfg.ConnConfig)
	if err := db.PingContext(ctx); err != nil {
		_ = db.Close()
		return fmt.Errorf("%w: %s", err, postgresHint)
	}
	driver, err := migratepg.WithInstance(db, &migratepg.Config{})
	if err != nil {
		_ = db.Close()
		return err
	}
	return up("postgres", driver)
}

func migrateSQLite(ctx context.Context, path string) error {
	if err := createLite(path); err != nil {
		return err
	}
	// The driver locks nothing between processes. The file stays: to remove it would let two processes hold two locks of one name.
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return fmt.Errorf("waiting for the lock %s.lock: %w", path, err)
	}
	defer func() { _ = lock.Close() }()
	db, err := openLite(ctx, liteURL(path), 1)
	if err != nil {
		return fmt.Errorf("%s: %w: %s", path, err, liteHint)
	}
	driver, err := migratelite.WithInstance(db, &migratelite.Config{})
	if err != nil {
		_ = db.Close()
		return err
	}
	return up("sqlite", driver)
}

// lockTime is how long a process waits for another one's migration.
const lockTime = 15 * time.Minute

// up runs what is missing, and closes the driver.
func up(directory string, driver migratedb.Driver) error {
	files, err := iofs.New(migrations.Files, directory)
	if err != nil {
		return errors.Join(err, driver.Close())
	}
	m, err := migrate.NewWithInstance("iofs", files, directory, driver)
	if err != nil {
		return errors.Join(err, driver.Close())
	}
	defer func() { _, _ = m.Close() }()
	m.LockTimeout = lockTime
	err = m.Up()
	if err == nil || errors.Is(err, migrate.ErrNoChange) {
		return nil
	}
	if version, dirty, verr := m.Version(); verr == nil {
		if verr := versionError(int(version), dirty); verr != nil {
			return verr
		}
	}
	return err
}

// checkVersion holds the schema of a database that is being opened to the one that this program is written for.
func checkVersion(ctx context.Context, db statements) error {
	var version int
	var dirty bool
	if err := one(ctx, db, `SELECT version, dirty FROM schema_migrations`, nil, &version, &dirty); err != nil {
		return fmt.Errorf("reading the version of the schema: %w: if the database is new, run 'imca migrate' first", err)
	}
	if err := versionError(version, dirty); err != nil {
		return err
	}
	if version < newest() {
		return fmt.Errorf("the schema of the database is at version %d, and this program needs %d: run 'imca migrate'", version, newest())
	}
	return nil
}

// versionError tells what to do about a schema that no migration of ours mends.
func versionError(version int, dirty bool) error {
	switch {
	case version > newest():
		return fmt.Errorf("the schema of the database is at version %d, and this program knows versions up to %d only: "+
			"start the newer imca that made it, or restore the backup from before the upgrade", version, newest())
	case dirty:
		return fmt.Errorf("the migration of the database to version %d broke off: if the database is new, remove it and start again; "+
			"otherwise restore the backup from before the upgrade and start again", version)
	}
	return nil
}

// newest is the version of the last migration.
func newest() int {
	names, err := fs.Glob(migrations.Files, "postgres/*.up.sql") // sorted
	if err != nil || len(names) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(names[len(names)-1][len("postgres/"):][:6])
	return n
}
