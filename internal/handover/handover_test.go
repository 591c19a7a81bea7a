package handover_test

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/x509"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/handover"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store"
)

var (
	now  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	root = ca.Principal{Name: "root", Role: ca.RoleAdmin}
)

// newCA is a CA of a hierarchy with the app demo, and its store's end is the test's.
func newCA(t *testing.T, hierarchy ca.Hierarchy) *ca.CA {
	url := "sqlite:" + filepath.Join(t.TempDir(), "imca.db")
	require.NoError(t, store.Migrate(t.Context(), url))
	s, err := store.Open(t.Context(), store.Config{URL: url})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	keys := make(map[string]crypto.Signer)
	authorities, err := ca.Establish(t.Context(), s, root, ca.Establishment{Hierarchy: hierarchy, NewKey: func(name string, kind pki.KeyType) (crypto.Signer, string, error) {
		key, err := kind.Generate()
		keys[name] = key
		return key, name, err
	}}, now)
	require.NoError(t, err)
	issuers, err := ca.Load(authorities, issuer.DefaultProfiles(), "http://ca.example", func(ref string) (crypto.Signer, error) { return keys[ref], nil })
	require.NoError(t, err)
	c, err := ca.New(ca.Config{Store: s, Issuers: issuers, Now: func() time.Time { return now }})
	require.NoError(t, err)
	_, _, err = c.CreateApp(t.Context(), root, ca.NewApp{ID: "demo", Policy: ca.PolicyOpen})
	require.NoError(t, err)
	return c
}

// What is handed over fits together in every hierarchy: the chain leads to the root that comes with it, and the server is told to demand
// certificates of the authority that issues the platform's.
func TestDesk(t *testing.T) {
	for hierarchy, want := range map[ca.Hierarchy]struct{ root, clients string }{
		ca.HierarchyDirect:   {"TencentQQAuthCA", "TencentQQAuthCA"},
		ca.HierarchyIssuing:  {"TencentQQAuthCA", "TencentQQAuthCA"},
		ca.HierarchySeparate: {"TencentQQAuthCA-Server", "TencentQQAuthCA"},
	} {
		t.Run(string(hierarchy), func(t *testing.T) {
			c := newCA(t, hierarchy)
			desk := handover.New(c, pki.Name{})
			require.True(t, desk.Configures())
			require.True(t, desk.Platform(issuer.ClientProfile))
			require.False(t, desk.Platform(issuer.ServerProfile))

			issued, err := c.Issue(t.Context(), root, ca.IssueRequest{App: "demo", Domains: []string{"192.0.2.7", "www.example.com"}})
			require.NoError(t, err)
			require.Equal(t, "www.example.com", handover.FileName(issued.Certificate), "by the first host name")
			in, err := desk.Input(issued.Certificate, issued.PrivateKey)
			require.NoError(t, err)
			require.Equal(t, want.root, in.Root.Name)
			require.Equal(t, want.clients, in.ClientCA.Name)
			require.Equal(t, "callback.platform.internal", in.ClientName.String())

			above := x509.NewCertPool()
			require.True(t, above.AppendCertsFromPEM(in.Root.Certificates))
			between := x509.NewCertPool()
			between.AppendCertsFromPEM(in.Chain)
			leaf, err := pki.ParseCertificates(in.Certificate)
			require.NoError(t, err)
			_, err = leaf[0].Verify(x509.VerifyOptions{Roots: above, Intermediates: between, CurrentTime: now, DNSName: "www.example.com"})
			require.NoError(t, err)

			archive, err := handover.Zip(in, now, "nginx")
			require.NoError(t, err)
			files, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
			require.NoError(t, err)
			names := make(map[string]string)
			for _, file := range files.File {
				content, err := file.Open()
				require.NoError(t, err)
				text, err := io.ReadAll(content)
				require.NoError(t, err)
				names[file.Name] = string(text)
			}
			require.Contains(t, names, want.clients+".crt")
			require.NotEmpty(t, names)
			for name := range names {
				require.NotContains(t, name, "apache/", "one server was asked for")
			}
		})
	}
}

// An authority that is not loaded here has nothing to hand over.
func TestDeskDoesNotKnow(t *testing.T) {
	desk := handover.New(newCA(t, ca.HierarchyDirect), pki.Name{})
	_, err := desk.Authority(&ca.Certificate{Authority: "Other"})
	require.ErrorContains(t, err, "Other")
}
