package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// machineCA is a CA for operators' machines, and no authority of the server.
type machineCA struct {
	*issuer.Issuer
	path string // of its certificate
}

func newMachineCA(t *testing.T) machineCA {
	t.Helper()
	key, err := pki.ECDSAP256.Generate()
	require.NoError(t, err)
	root, err := issuer.NewRoot(issuer.RootRequest{
		Serial: pki.NewSerial(), CommonName: "Machines", Key: key, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)})
	require.NoError(t, err)
	by, err := issuer.New(issuer.Config{Name: "Machines", Certificate: root, Key: key, Profiles: issuer.DefaultProfiles()})
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "machines.crt")
	require.NoError(t, os.WriteFile(path, pki.EncodeCertificate(root.Raw), 0o600))
	return machineCA{by, path}
}

// machine is a certificate of the machineCA, with its key.
func (f machineCA) machine(t *testing.T, profile, name string, from, to time.Time) *tls.Certificate {
	t.Helper()
	key, err := pki.ECDSAP256.Generate()
	require.NoError(t, err)
	parsed, err := pki.ParseName(name)
	require.NoError(t, err)
	draft, err := f.Prepare(issuer.Request{
		Profile: profile, Serial: pki.NewSerial(), Names: []pki.Name{parsed}, PublicKey: key.Public(), NotBefore: from, NotAfter: to})
	require.NoError(t, err)
	der, err := f.Sign(draft)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestMachinesShowCertificates(t *testing.T) {
	ours, theirs := newMachineCA(t), newMachineCA(t)
	s, _ := newServer(t, func(cfg *ServerConfig) {
		cfg.Machines = config.Machines{CA: ours.path, Operators: []string{"deploy.machines.example"}, Auditors: []string{"audit.machines.example"}}
	})
	root := x509.NewCertPool()
	root.AddCert(rootFor(s.ca.Issuers(), "server"))
	as := func(shown *tls.Certificate, token string) *api.Client {
		settings := &tls.Config{RootCAs: root, MinVersion: tls.VersionTLS12}
		if shown != nil {
			// Certificates would be withheld from a server that does not list their CA; a stranger is not so polite.
			settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown, nil }
		}
		transport := &http.Transport{TLSClientConfig: settings}
		t.Cleanup(transport.CloseIdleConnections)
		return &api.Client{URL: "https://" + s.Address("https"), Token: token, HTTP: &http.Client{Transport: transport}}
	}
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	deploy := ours.machine(t, "client", "deploy.machines.example", from, to)

	who, err := as(deploy, "").Whoami(t.Context())
	require.NoError(t, err)
	require.Equal(t, api.Principal{Name: "deploy.machines.example", Role: "operator", TokenID: "machine:deploy.machines.example"}, *who)
	_, err = as(deploy, "").CreateApp(t.Context(), api.AppRequest{ID: "shop"})
	require.NoError(t, err)
	_, err = as(ours.machine(t, "client", "audit.machines.example", from, to), "").CreateApp(t.Context(), api.AppRequest{ID: "more"})
	require.ErrorContains(t, err, "auditor")

	for name, test := range map[string]struct {
		shown *tls.Certificate
		token string
		want  string
	}{
		"nothing":                   {nil, "", "needs a token"},
		"another CA":                {theirs.machine(t, "client", "deploy.machines.example", from, to), "", "gives no role here"},
		"a server's certificate":    {ours.machine(t, "server", "deploy.machines.example", from, to), "", "gives no role here"},
		"an expired one":            {ours.machine(t, "client", "deploy.machines.example", from, from.Add(time.Minute)), "", "gives no role here"},
		"a machine without a role":  {ours.machine(t, "client", "laptop.machines.example", from, to), "", "has no role here"},
		"beside a token that fails": {deploy, "imca_wrong", "not known here"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := as(test.shown, test.token).Whoami(t.Context())
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestOwnAuthoritiesGiveNoRole(t *testing.T) {
	s, _ := newServer(t, nil)
	path := filepath.Join(t.TempDir(), "own.crt")
	require.NoError(t, os.WriteFile(path, pki.EncodeCertificate(s.ca.Issuers()[0].Certificate().Raw), 0o600))
	_, err := newMachines(config.Machines{CA: path, Admins: []string{"callback.platform.internal"}}, s.ca.Issuers())
	require.ErrorContains(t, err, "use another CA")
}
