package acmelines_test

import (
	"crypto/x509"
	"math/big"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/acmelines"
	"github.com/imca-project/imca/internal/pki"
)

func root(t *testing.T) []byte {
	key, err := pki.KeyType("ecdsa-p256").Generate()
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<31, 0), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	require.NoError(t, err)
	return pki.EncodeCertificate(der)
}

func name(t *testing.T, text string) pki.Name {
	n, err := pki.ParseName(text)
	require.NoError(t, err)
	return n
}

func TestLines(t *testing.T) {
	const directory = "https://ca.example.com:8443/acme/directory"
	text := root(t)
	bound := acmelines.Credential{KeyID: "eab_8hXbq0T1Zk2d", HMACKey: "bWFj_LWtl-eQ"}
	require.Equal(t, []string{"acme.sh", "apache", "caddy", "certbot", "dehydrated", "lego", "nginx-acme", "uacme"}, acmelines.Clients())
	for _, client := range acmelines.Clients() {
		t.Run(client, func(t *testing.T) {
			lines, err := acmelines.Lines(client, acmelines.Server{Directory: directory, Roots: append([]byte("around it\n"), text...)}, bound, name(t, "www.shop.test"), name(t, "api.shop.test"))
			require.NoError(t, err)
			for _, want := range []string{directory, string(text), bound.KeyID, bound.HMACKey, "www.shop.test", "api.shop.test"} {
				require.Contains(t, lines, want)
			}
			require.NotContains(t, lines, "around it")
			requireShell(t, lines)

			open, err := acmelines.Lines(client, acmelines.Server{Directory: directory}, acmelines.Credential{})
			require.NoError(t, err)
			require.Contains(t, open, "www.example.com")
			require.NotContains(t, strings.ToLower(open), "eab")
			require.NotContains(t, open, "ca.crt", "the machine's own trust will do")
			requireShell(t, open)

			usual, err := acmelines.Lines(client, acmelines.Server{Directory: directory, HTTPPort: 80, TLSPort: 443}, acmelines.Credential{})
			require.NoError(t, err)
			require.Equal(t, open, usual)
		})
	}
}

// requireShell asserts that a shell understands lines, and finds no end of a here-document missing.
func requireShell(t *testing.T, lines string) {
	t.Helper()
	cmd := exec.Command("sh", "-n")
	cmd.Stdin = strings.NewReader(lines)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", output, lines)
	require.Empty(t, string(output), lines)
	require.Equal(t, strings.Count(lines, "<<'END'\n"), strings.Count(lines, "\nEND\n"), lines)
}

func TestLinesRefuse(t *testing.T) {
	good := acmelines.Server{Directory: "https://ca.example.com/acme/directory"}
	for why, c := range map[string]struct {
		client string
		server acmelines.Server
		bound  acmelines.Credential
		names  []pki.Name
	}{
		"no lines for the client":   {client: "netscape", server: good},
		"mean something to a shell": {client: "certbot", server: acmelines.Server{Directory: "https://ca.example.com$(reboot)/acme/directory"}},
		"characters that mean":      {client: "apache", server: acmelines.Server{Directory: "https://ca.example.com/acme/directory\nLoadModule x"}},
		"reading the roots":         {client: "certbot", server: acmelines.Server{Directory: good.Directory, Roots: []byte("END\nreboot\n")}},
		"the credential has other":  {client: "lego", server: good, bound: acmelines.Credential{KeyID: "eab", HMACKey: "'; reboot; '"}},
		"proven by DNS":             {client: "lego", server: good, names: []pki.Name{name(t, "shop.test"), name(t, "*.shop.test")}},
		"Few clients ask":           {client: "lego", server: good, names: []pki.Name{name(t, "192.0.2.1")}},
	} {
		t.Run(why, func(t *testing.T) {
			_, err := acmelines.Lines(c.client, c.server, c.bound, c.names...)
			require.ErrorContains(t, err, why)
		})
	}
}
