package judge

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestPostgres(t *testing.T) {
	var url string
	t.Run("fresh and our own", func(t *testing.T) {
		url = Postgres(t)
		require.NotEqual(t, url, Postgres(t))

		conn, err := pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		var tables int
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`).Scan(&tables))
		require.Zero(t, tables)
		// The connection stays open: a test that is killed leaves some, and its database must go all the same.
	})
	if url == "" {
		t.Skip("the inner test was skipped")
	}
	_, err := pgx.Connect(t.Context(), url)
	require.ErrorContains(t, err, "does not exist")
}
