package store_test

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/store"
	"github.com/imca-project/imca/internal/store/storetest"
)

// databases make the URL of a fresh, empty database of each kind.
var databases = map[string]func(t testing.TB) string{
	"sqlite":   func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "imca.db") },
	"postgres": judge.Postgres,
}

func open(t testing.TB, url string) *store.Store {
	t.Helper()
	require.NoError(t, store.Migrate(context.Background(), url))
	s, err := store.Open(context.Background(), store.Config{URL: url})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestConformance(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		storetest.Run(t, func(t testing.TB) storetest.Database { return openers(databases["sqlite"](t)) })
	})
	t.Run("postgres", func(t *testing.T) {
		// A schema for each test is as fresh as a database, and made in a tenth of the time.
		database := judge.Postgres(t)
		conn, err := pgx.Connect(t.Context(), database)
		require.NoError(t, err)
		defer func() { require.NoError(t, conn.Close(context.Background())) }()
		n := 0
		storetest.Run(t, func(t testing.TB) storetest.Database {
			n++
			schema := fmt.Sprintf("test_%d", n)
			_, err := conn.Exec(t.Context(), "CREATE SCHEMA "+schema)
			require.NoError(t, err)
			u, err := url.Parse(database)
			require.NoError(t, err)
			q := u.Query()
			q.Set("search_path", schema)
			u.RawQuery = q.Encode()
			return openers(u.String())
		})
	})
}

func openers(url string) storetest.Database {
	return func(t testing.TB) storetest.Store { return open(t, url) }
}
