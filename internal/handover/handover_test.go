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

	"github.com/imca-project/imca/internal/bundle"
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
	c, _ := growingCA(t, hierarchy)
	return c
}

// growingCA is the same, with what makes the keys of further authorities.
func growingCA(t *testing.T, hierarchy ca.Hierarchy) (_ *ca.CA, newKey func(string, pki.KeyType) (crypto.Signer, string, error)) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "imca.db")
	require.NoError(t, store.Migrate(t.Context(), url))
	s, err := store.Open(t.Context(), store.Config{URL: url})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	keys := make(map[string]crypto.Signer)
	newKey = func(name string, kind pki.KeyType) (crypto.Signer, string, error) {
		key, err := kind.Generate()
		keys[name] = key
		return key, name, err
	}
	authorities, err := ca.Establish(t.Context(), s, root, ca.Establishment{Hierarchy: hierarchy, NewKey: newKey}, now)
	require.NoError(t, err)
	load := func(recorded []ca.Authority) ([]*issuer.Issuer, error) {
		return ca.Load(recorded, issuer.DefaultProfiles(), "http://ca.example", func(ref string) (crypto.Signer, error) { return keys[ref], nil })
	}
	issuers, err := load(authorities)
	require.NoError(t, err)
	c, err := ca.New(ca.Config{Store: s, Issuers: issuers, Open: load, Recorded: authorities, Now: func() time.Time { return now }})
	require.NoError(t, err)
	_, _, err = c.CreateApp(t.Context(), root, ca.NewApp{ID: "demo", Policy: ca.PolicyOpen})
	require.NoError(t, err)
	return c, newKey
}

// What is handed over during a roll-over opens the server to the platform before and after it, and no longer than that.
func TestDeskDuringARollOver(t *testing.T) {
	c, newKey := growingCA(t, ca.HierarchySeparate)
	desk := handover.New(c, pki.Name{})
	input := func() bundle.Input {
		issued, err := c.Issue(t.Context(), root, ca.IssueRequest{App: "demo", Domains: []string{"www.example.com"}})
		require.NoError(t, err)
		in, err := desk.Input(issued.Certificate, issued.PrivateKey)
		require.NoError(t, err)
		_, err = handover.Zip(in, now)
		require.NoError(t, err)
		return in
	}
	names := func(pem []byte) (list []string) {
		certificates, err := pki.ParseCertificates(pem)
		require.NoError(t, err)
		for _, certificate := range certificates {
			list = append(list, certificate.Subject.CommonName)
		}
		return list
	}
	add := func(name, parent string, profile string) {
		_, err := c.AddAuthority(t.Context(), root, ca.NewAuthority{Name: name, Parent: parent, For: []string{profile}, NewKey: newKey})
		require.NoError(t, err)
		require.NoError(t, c.PublishCRLs(t.Context()))
	}
	before := input()
	require.Equal(t, []string{"TencentQQAuthCA"}, names(before.ClientCA.Certificates))
	require.Equal(t, 1, before.VerifyDepth)

	add("Next", "", "client")
	add("Servers", "", "server")
	in := input()
	require.Equal(t, "TencentQQAuthCA", in.ClientCA.Name)
	require.Equal(t, []string{"TencentQQAuthCA", "Next"}, names(in.ClientCA.Certificates), "not those of servers")
	require.Equal(t, 1, in.VerifyDepth)
	require.Equal(t, []string{"http://ca.example/crl/TencentQQAuthCA.crl", "http://ca.example/crl/Next.crl"}, in.CRLURLs)

	add("Calls", "Next", "client")
	in = input()
	require.Equal(t, []string{"TencentQQAuthCA", "Next"}, names(in.ClientCA.Certificates))
	require.Equal(t, 2, in.VerifyDepth)
	require.Equal(t, []string{"TencentQQAuthCA", "Calls", "Next"}, names(in.ClientIssuers), "today's, then the latest")
	require.Len(t, in.CRLURLs, 3)

	_, err := c.Promote(t.Context(), root, "Calls", false)
	require.NoError(t, err)
	_, err = c.Promote(t.Context(), root, "Servers", false)
	require.NoError(t, err)
	in = input()
	require.Equal(t, "Next", in.ClientCA.Name, "by whose name the file goes")
	require.Equal(t, []string{"Next", "TencentQQAuthCA"}, names(in.ClientCA.Certificates))
	require.Equal(t, []string{"Servers"}, names(in.Root.Certificates))

	for _, old := range []string{"TencentQQAuthCA", "TencentQQAuthCA-Server"} {
		require.NoError(t, c.Retire(t.Context(), root, old, true, false))
	}
	in = input()
	require.Equal(t, []string{"Next"}, names(in.ClientCA.Certificates))
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
