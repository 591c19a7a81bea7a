package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEmptyFileGivesDefaults(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "{}\n"} {
		c, err := Parse([]byte(text))
		require.NoError(t, err, text)
		require.Equal(t, Default(), c, text)
	}
	require.Equal(t, ":8443", Default().Listen.HTTPS)
	require.True(t, *Default().Profiles.Server.Wildcards)
	require.False(t, *Default().Profiles.Client.Wildcards)
}

func TestWhatIsSetStays(t *testing.T) {
	c, err := Parse([]byte(`
database: postgres://imca@db/imca?sslmode=verify-full
database_password: file:/run/secrets/db
public_url: http://ca.example.com
listen: {http: "off"}
profiles:
  server: {default_days: 30, wildcards: false, key_types: [ed25519]}
policy:
  deny_names: [platform.example]
  allow_addresses: [10.0.0.0/8, 192.0.2.1]
`))
	require.NoError(t, err)
	require.Equal(t, Off, c.Listen.HTTP)
	require.Equal(t, ":8443", c.Listen.HTTPS)
	require.Equal(t, 30, c.Profiles.Server.DefaultDays)
	require.Equal(t, 397, c.Profiles.Server.MaxDays)
	require.False(t, *c.Profiles.Server.Wildcards)
	require.Equal(t, []string{"ed25519"}, c.Profiles.Server.KeyTypes)
}

func TestFaults(t *testing.T) {
	tests := []struct{ text, path, says string }{
		{"databse: x", "line 1", `no setting "databse"`},
		{"listen: {htps: x}", "line 1", `no setting "htps"`},
		{"log_level: info\nlog_level: warn", "line 2", "is there already (line 1)"},
		{"profiles: {server: {max_days: soon}}", "line 1", "give a whole number"},
		{"profiles: {server: {wildcards: 7}}", "line 1", "give true or false"},
		{"policy: {deny_names: 7}", "line 1", "give a list of texts"},
		{"listen: 8443", "line 1", "give a block of settings"},
		{"listen: [", "the file", "no YAML"},
		{"log_level: info\n---\nlog_level: info", "the file", "more than one document"},
		{"domains: {policy: trust}", "domains.policy", "use one of open, prove"},
		{"domains: {proof_days: 4000}", "domains.proof_days", "give 1 to 397"},
		{"domains: {certificates_per_week: -1}", "domains.certificates_per_week", "give 0 to"},
		{"domains: {resolver: dns.example}", "domains.resolver", "ADDRESS:PORT"},
		{"domains: {allow: [10.0.0.1/8]}", "domains.allow[0]", "bits set"},
		{"acme: {url: 'http://acme.example.com'}", "acme.url", "https://HOST"},
		{"acme: {url: 'https://acme.example.com/'}", "acme.url", "without a path"},
		{"acme: {terms_of_service: terms.html}", "acme.terms_of_service", "no address of a page"},
		{"acme: {website: 'ftp://example.com'}", "acme.website", "no address of a page"},
		{"acme: {open_app: 'a b'}", "acme.open_app", "imca app list"},
		{"acme: {open_orders: -1}", "acme.open_orders", "give 0 to"},
		{"acme: {failures_per_name_hour: 1000001}", "acme.failures_per_name_hour", "give 0 to"},
		{"oidc: {audience: imca}", "oidc.issuer", "take the block out"},
		{"oidc: {issuer: 'http://login.example', audience: imca, admins: [a]}", "oidc.issuer", "write https://"},
		{"oidc: {issuer: 'https://login.example', admins: [a]}", "oidc.audience", "any service"},
		{"oidc: {issuer: 'https://login.example', audience: imca}", "oidc", "Nobody gets a role"},
		{"database: mysql://db", "database", `neither "postgres:" nor "sqlite:"`},
		{`database: "sqlite:"`, "database", "sqlite:imca.db"},
		{`database: "postgres://a b%"`, "database", "It is no URL"},
		{"database_password: hunter2", "database_password", "SQLite has no password"},
		{"{database: 'postgres://u@h/d', database_password: hunter2}", "database_password", "file:PATH or env:NAME"},
		{"{database: 'postgres://u:p@h/d', database_password: 'env:X'}", "database_password", "keep one of the two"},
		{"public_url: ca.example.com", "public_url", "http://ca.example.com"},
		{"public_url: https://ca.example.com", "public_url", "begin it with http://"},
		{"public_url: http://ca.example.com/?a", "public_url", `leave out user, "?" and "#"`},
		{"listen: {https: 'off'}", "listen.https", "cannot be off"},
		{"listen: {http: '8080'}", "listen.http", "ADDRESS:PORT"},
		{"listen: {http: ':99999'}", "listen.http", "ADDRESS:PORT"},
		{"listen: {http: ':8443'}", "listen.http", "listen.https listens on :8443 already"},
		{"tls: {certificate: a.crt}", "tls", "belong together"},
		{"tls: {certificate: a.crt, key: a.key, names: [a]}", "tls.names", "leave them out"},
		{"ca: {hierarchy: flat}", "ca.hierarchy", "direct, issuing, separate"},
		{"ca: {name: a/b}", "ca.name", "letters, digits"},
		{"ca: {passphrase: hunter2}", "ca.passphrase", "file:PATH or env:NAME"},
		{"profiles: {server: {default_days: 500}}", "profiles.server.default_days", "give 1 to 397"},
		{"profiles: {client: {max_days: -1}}", "profiles.client.max_days", "give 1 to 3650"},
		{"profiles: {client: {key_types: []}}", "profiles.client.key_types", "name one"},
		{"policy: {allow_addresses: [10.0.0.1/8]}", "policy.allow_addresses[0]", "write 10.0.0.0/8"},
		{"trusted_proxies: [10.0.0.1, proxy]", "trusted_proxies[1]", "no address and no range"},
		{"limits: {token_per_second: .nan}", "limits.token_per_second", "out of bounds"},
		{"limits: {shutdown_seconds: 100000}", "limits.shutdown_seconds", "give 1 to 600"},
		{"log_level: loud", "log_level", "debug, info, warn, error"},
	}
	for _, tt := range tests {
		_, err := Parse([]byte(tt.text))
		var faults Faults
		require.ErrorAs(t, err, &faults, tt.text)
		require.Equal(t, tt.path, faults[0].Path, tt.text)
		require.Contains(t, faults[0].Detail, tt.says, tt.text)
		require.Len(t, faults, 1, "%s: %v", tt.text, err)
	}
}

func TestAllFaultsAtOnce(t *testing.T) {
	_, err := Parse([]byte("databse: x\nlisten: {https: nowhere}\nlog_level: loud\nca: {name: ''}\nlimits: {token_burst: -1}\n"))
	require.Error(t, err)
	for _, part := range []string{"line 1: ", "listen.https: ", "log_level: ", "limits.token_burst: "} {
		require.Contains(t, err.Error(), part)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), 4)
}

func TestLoadStartsPathsAtTheFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "imca.yaml")
	require.NoError(t, os.WriteFile(path, []byte("tls: {certificate: own.crt, key: /etc/own.key}\nca: {passphrase: 'file:pass'}\n"), 0o600))
	c, err := Load(path)
	require.NoError(t, err)
	require.Equal(t, "sqlite:"+filepath.Join(dir, "imca.db"), c.Database)
	require.Equal(t, filepath.Join(dir, "keys"), c.CA.Keys)
	require.Equal(t, "file:"+filepath.Join(dir, "pass"), c.CA.Passphrase)
	require.Equal(t, filepath.Join(dir, "own.crt"), c.TLS.Certificate)
	require.Equal(t, "/etc/own.key", c.TLS.Key)

	_, err = Load(filepath.Join(dir, "other.yaml"))
	require.ErrorContains(t, err, "copy deploy/imca.yaml")
}

func TestSampleIsValid(t *testing.T) {
	sample, err := os.ReadFile("../../deploy/imca.yaml")
	require.NoError(t, err)
	_, err = Parse(sample)
	require.NoError(t, err)

	// What the sample shows commented out must be right too, once somebody takes the marks away: "#setting:" is one, "# text" is not.
	var whole strings.Builder
	for line := range strings.Lines(string(sample)) {
		if mark := strings.Index(line, "#"); mark >= 0 && strings.TrimSpace(line[:mark]) == "" && !strings.HasPrefix(line[mark:], "# ") {
			line = line[:mark] + line[mark+1:]
		}
		whole.WriteString(line)
	}
	_, err = Parse([]byte(whole.String()))
	require.NoError(t, err, whole.String())
}

func FuzzParse(f *testing.F) {
	sample, err := os.ReadFile("../../deploy/imca.yaml")
	require.NoError(f, err)
	f.Add(sample)
	f.Add([]byte("listen: {https: ':1', http: 'off'}\nca: {organization: \"a\\tb \\x00\"}\ntls: {names: ['', \"\\n\"]}\n"))
	f.Add([]byte("policy: &a {deny_names: [x]}\nprofiles: {server: {max_days: 0x10}}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Parse(text)
		if err != nil {
			var faults Faults
			require.ErrorAs(t, err, &faults)
			require.NotEmpty(t, faults)
			return
		}
		first, err := c.Encode()
		require.NoError(t, err)
		again, err := Parse(first)
		require.NoError(t, err, "%s", first)
		second, err := again.Encode()
		require.NoError(t, err)
		require.Equal(t, string(first), string(second))
	})
}
