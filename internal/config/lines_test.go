package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLines(t *testing.T) {
	c := Default()
	c.Database = "postgres://imca:hunter2@db.example/imca?sslpassword=hunter3&sslmode=verify-full"
	c.DatabasePassword = "env:IMCA_DB"
	c.TrustedProxies = []string{"10.0.0.0/8"}
	lines, err := c.Lines()
	require.NoError(t, err)
	values := make(map[string]string)
	for _, l := range lines {
		values[l.Path] = l.Value
		require.NotContains(t, l.Value, "hunter")
	}
	require.Equal(t, "postgres://imca:xxxxx@db.example/imca?sslmode=verify-full&sslpassword=xxxxx", values["database"])
	require.Equal(t, "env:IMCA_DB", values["database_password"], "where it is, is no secret")
	require.Equal(t, "10.0.0.0/8", values["trusted_proxies[0]"])
	require.Equal(t, "info", values["log_level"])
	require.NotContains(t, values, "oidc")

	require.Equal(t, mask, masked("webhooks.secret", "hunter2"))
	require.Equal(t, mask, masked("database", "postgres://imca:hun%zzter2@db/imca"))
}
