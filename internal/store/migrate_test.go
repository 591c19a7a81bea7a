package store

import (
	"context"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/store/storetest"
	"github.com/imca-project/imca/migrations"
)

// eachDatabase runs a test on an empty database of each kind.
func eachDatabase(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, "sqlite:"+filepath.Join(t.TempDir(), "imca.db")) })
	t.Run("postgres", func(t *testing.T) { test(t, judge.Postgres(t)) })
}

func openTest(t *testing.T, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{URL: url})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestMigrateTogether(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		errs := make([]error, 8)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				if errs[i] = Migrate(t.Context(), url); errs[i] == nil {
					s, err := Open(t.Context(), Config{URL: url})
					if errs[i] = err; err == nil {
						errs[i] = s.Close()
					}
				}
			})
		}
		all.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
		s := openTest(t, url)
		require.NoError(t, s.CreateApp(t.Context(), storetest.NewApp("alpha"), storetest.NewAct(storetest.Epoch)))
		require.NoError(t, Migrate(t.Context(), url), "again, with data")
		_, err := s.App(t.Context(), "alpha")
		require.NoError(t, err)
	})
}

func TestSchemaNotOurs(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		_, err := Open(t.Context(), Config{URL: url})
		require.ErrorContains(t, err, "run 'imca migrate' first", "an empty database")

		require.NoError(t, Migrate(t.Context(), url))
		s := openTest(t, url)
		for _, state := range []struct{ change, says string }{
			{`UPDATE schema_migrations SET dirty = TRUE`, "broke off: if the database is new, remove it and start again; otherwise restore the backup"},
			{`UPDATE schema_migrations SET dirty = FALSE, version = 999`, "start the newer imca that made it, or restore the backup"},
			{`UPDATE schema_migrations SET dirty = TRUE, version = 999`, "start the newer imca"},
		} {
			_, err := s.db.exec(t.Context(), state.change)
			require.NoError(t, err)
			require.ErrorContains(t, Migrate(t.Context(), url), state.says)
			_, err = Open(t.Context(), Config{URL: url})
			require.ErrorContains(t, err, state.says)
		}
		_, err = s.db.exec(t.Context(), `UPDATE schema_migrations SET dirty = FALSE, version = 0`)
		require.NoError(t, err)
		_, err = Open(t.Context(), Config{URL: url})
		require.ErrorContains(t, err, "run 'imca migrate'", "an older schema")
	})
}

// TestDown: the way back leaves nothing behind.
func TestDown(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url string) {
		require.NoError(t, Migrate(t.Context(), url))
		s := openTest(t, url)
		kind, tables := "postgres", `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`
		if strings.HasPrefix(url, "sqlite") {
			kind, tables = "sqlite", `SELECT name FROM sqlite_schema WHERE type = 'table'`
		}
		downs, err := fs.Glob(migrations.Files, kind+"/*.down.sql")
		require.NoError(t, err)
		for i := len(downs) - 1; i >= 0; i-- {
			text, err := migrations.Files.ReadFile(downs[i])
			require.NoError(t, err)
			_, err = s.db.exec(t.Context(), string(text))
			require.NoError(t, err)
		}
		var left []string
		require.NoError(t, s.db.list(t.Context(), func(r row) error {
			var name string
			err := r.Scan(&name)
			left = append(left, name)
			return err
		}, tables))
		require.Equal(t, []string{"schema_migrations"}, left)
	})
}

func TestURLs(t *testing.T) {
	for text, want := range map[string]address{
		"sqlite:imca.db":                      {sqlite: "imca.db"},
		"sqlite:/var/lib/imca/imca.db":        {sqlite: "/var/lib/imca/imca.db"},
		"sqlite:///var/lib/imca/imca.db":      {sqlite: "/var/lib/imca/imca.db"},
		"sqlite:a b?c#d%41":                   {sqlite: "a b?c#d%41"},
		"postgres://imca@db/imca":             {postgres: "postgres://imca@db/imca"},
		"postgresql://imca@db/imca?sslmode=x": {postgres: "postgresql://imca@db/imca?sslmode=x"},
	} {
		got, err := parseURL(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"", "imca.db", "/var/lib/imca.db", "sqlite:", "sqlite://", "mysql://root@db/imca", "postgres", "postgres:imca", "Postgres://imca@db/imca"} {
		_, err := parseURL(text)
		require.ErrorContains(t, err, `write "postgres://`, "%q", text)
	}
}

// TestPasswordStaysSecret: no error repeats the URL, however it is wrong.
func TestPasswordStaysSecret(t *testing.T) {
	urls := []string{
		"mysql://imca:s3cret@db/imca", "imca:s3cret@db/imca", "postgres:imca:s3cret@db/imca", "postgres://imca:s3cret%zz@db/imca",
		"postgres://imca:s3cret@db:port/imca", "postgres://imca:s3cret@127.0.0.1:1/imca", "postgres://imca:s3cret@127.0.0.1:1/imca?sslmode=bogus",
		"postgres://imca:s3cret@127.0.0.1:1/imca?pool_max_conns=many", "postgres://imca:x/s3cret@127.0.0.1:1/imca", "postgres://imca:s3cret@[::1/imca",
		"postgres://127.0.0.1:1/imca?password=s3cret&user=imca", "postgres://imca:s3cret@127.0.0.1:1/imca?connect_timeout=s3cret",
		"postgres://imca:s3c\x00ret@127.0.0.1:1/imca", "postgres://imca:%73%33cret@127.0.0.1:1/imca",
	}
	if os.Getenv(judge.PostgresEnv) != "" {
		u, err := url.Parse(judge.Postgres(t))
		require.NoError(t, err)
		u.User = url.UserPassword("nobody-there", "s3cret")
		urls = append(urls, u.String())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, text := range urls {
		_, err := Open(ctx, Config{URL: text})
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "s3cret", text)
		err = Migrate(ctx, text)
		require.Error(t, err, text)
		require.NotContains(t, err.Error(), "s3cret", text)
	}
}

// TestSQLiteFile: a path is a path, whatever signs are in it, and the file is its owner's alone.
func TestSQLiteFile(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"plain.db", "with space.db", "what?.db", "sharp#.db", "100%.db", "%41.db", "a&b=c;d.db", "münchen.db", "it's.db"} {
		path := filepath.Join(dir, name)
		require.NoError(t, Migrate(t.Context(), "sqlite:"+path))
		s := openTest(t, "sqlite:"+path)
		require.NoError(t, s.CreateApp(t.Context(), storetest.NewApp("alpha"), storetest.NewAct(storetest.Epoch)))
		for _, suffix := range []string{"", "-wal", "-shm", ".lock"} {
			info, err := os.Stat(path + suffix)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), path+suffix)
		}
	}
	err := Migrate(t.Context(), "sqlite:"+filepath.Join(dir, "none", "imca.db"))
	require.ErrorContains(t, err, "give a path in a folder that exists")

	other := filepath.Join(dir, "text.db")
	require.NoError(t, os.WriteFile(other, []byte(strings.Repeat("no database at all\n", 100)), 0o600))
	require.ErrorContains(t, Migrate(t.Context(), "sqlite:"+other), "check that it is a SQLite database")
	_, err = Open(t.Context(), Config{URL: "sqlite:" + other})
	require.ErrorContains(t, err, "check that it is a SQLite database")
}

func TestSQLiteSettings(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "imca.db")
	require.NoError(t, Migrate(t.Context(), url))
	l := openTest(t, url).db.(*sqlite)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "20000"} {
		var got string
		require.NoError(t, l.writer.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
	_, err := l.reader.ExecContext(t.Context(), `DELETE FROM apps`)
	require.ErrorContains(t, err, "readonly", "a reader does not write")
}
