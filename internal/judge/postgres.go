package judge

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// PostgresEnv names the environment variable with the postgres:// URL of a superuser of a PostgreSQL cluster for tests.
// scripts/with-postgres starts such a cluster and sets it.
const PostgresEnv = "IMCA_TEST_POSTGRES"

// Postgres makes a fresh, empty database in the cluster that IMCA_TEST_POSTGRES names, drops it when the test ends, and returns its URL.
func Postgres(t testing.TB) string {
	t.Helper()
	cluster := os.Getenv(PostgresEnv)
	if cluster == "" {
		missing(t, PostgresEnv+" is not set: run through scripts/with-postgres, which starts a cluster and sets it")
	}
	u, err := url.Parse(cluster)
	require.NoError(t, err, "%s must be a postgres:// URL", PostgresEnv)

	name := "imca_" + strings.ToLower(rand.Text())
	inCluster(t, cluster, `CREATE DATABASE `+name)
	// FORCE: a test may leave connections that a process it killed had open.
	t.Cleanup(func() { inCluster(t, cluster, `DROP DATABASE `+name+` WITH (FORCE)`) })
	u.Path = "/" + name
	return u.String()
}

func inCluster(t testing.TB, cluster, statement string) {
	t.Helper()
	// Not t.Context(), which is cancelled before cleanups run.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, cluster)
	require.NoError(t, err)
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, statement)
	require.NoError(t, err, statement)
}
