package main

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/doorcheck"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/judge"
)

// rolling is a server whose authorities roll over while developers' servers run.
type rolling struct {
	*testing.T
	*dev
	state devState
	plain string
	dir   string

	first  string // a bundle of before the roll-over, which an Apache has
	port   string
	apache *judge.WebServer
	nginx  string // the port of one with a bundle of meanwhile
}

// imca runs a command as a user does; its output, and whether it succeeded.
func (r *rolling) imca(token string, args ...string) (string, bool) {
	r.Helper()
	if token != "" {
		args = append(args, "--url", r.url, "--ca", r.folder.path(r.state.CA), "--token-file", r.folder.path(token))
	} else {
		args = append(args, "--data", string(r.folder))
	}
	output, err := judge.RunErr(r.T, "imca", args...)
	var ended *exec.ExitError
	if !errors.As(err, &ended) {
		require.NoError(r, err)
	}
	return output, err == nil
}

func (r *rolling) must(token string, args ...string) string {
	r.Helper()
	output, succeeded := r.imca(token, args...)
	require.True(r, succeeded, output)
	return output
}

// serve starts Apache or nginx on a handed-out bundle.
func (r *rolling) serve(server, folder string) (port string, running *judge.WebServer) {
	r.Helper()
	port = strconv.Itoa(judge.FreePort(r.T))
	listenOn(r.T, filepath.Join(folder, server, "www.shop.test.conf"), port)
	if server == "apache" {
		return port, judge.Apache(r.T, judge.Site{
			Config: "Listen " + port + "\nDefine IMCA_DIR " + folder + "\nInclude " + folder + "/apache/www.shop.test.conf\n", Addrs: []string{"127.0.0.1:" + port},
		})
	}
	return port, judge.Nginx(r.T, judge.Site{Dir: folder, Config: "include " + folder + "/nginx/www.shop.test.conf;\n", Addrs: []string{"127.0.0.1:" + port}})
}

// check has a door checked, and returns what was found and whether it is ready for an authority.
func (r *rolling) check(port, authority string) (report doorcheck.Report, ready doorcheck.Answer) {
	r.Helper()
	var k api.Check
	require.NoError(r, r.ask(demoToken, "POST", "/v1/checks", `{"url":"https://www.shop.test:`+port+`/"}`, http.StatusCreated, &k))
	require.NoError(r, json.Unmarshal(k.Report, &report))
	for _, standby := range report.Standbys {
		if standby.Authority == authority {
			ready = standby.Answer
		}
	}
	return report, ready
}

// public fetches what everybody may.
func (r *rolling) public(path string) (status int, body []byte) {
	r.Helper()
	response, err := http.Get(r.plain + path)
	require.NoError(r, err)
	defer func() { _ = response.Body.Close() }()
	body, err = io.ReadAll(response.Body)
	require.NoError(r, err)
	return response.StatusCode, body
}

// calls has the platform call a door, over each version of TLS.
func (r *rolling) calls(port string, platform *tls.Certificate) {
	r.Helper()
	roots := trustedBy(r.T, r.folder.path(r.state.CA))
	_, bundle := r.public("/ca/bundle.pem")
	require.True(r, roots.AppendCertsFromPEM(bundle))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		require.Equal(r, http.StatusOK, callAs(r.T, port, "www.shop.test", roots, platform, version))
	}
}

// platform has a client certificate issued for the platform.
func (r *rolling) platform() *tls.Certificate {
	r.Helper()
	var issued api.Certificate
	require.NoError(r, r.ask(operatorToken, "POST", "/v1/certificates", `{"domain":"callback.platform.internal","profile":"client"}`, http.StatusCreated, &issued))
	pair, err := tls.X509KeyPair([]byte(issued.Certificate+issued.Chain), []byte(issued.PrivateKey))
	require.NoError(r, err)
	return &pair
}

// awaitIssuer waits until the server issues by an authority.
func (r *rolling) awaitIssuer(profile, authority string) {
	r.Helper()
	require.Eventually(r, func() bool {
		var page api.Page[api.Profile]
		require.NoError(r, r.ask(operatorToken, "GET", "/v1/profiles", "", http.StatusOK, &page))
		return slices.ContainsFunc(page.Items, func(p api.Profile) bool { return p.Name == profile && p.Authority == authority })
	}, 20*time.Second, 50*time.Millisecond)
}

// TestRollOverWithoutOutage goes the way of docs/rollover.md, on each database: to the next root, then to an intermediate below it. Developers' servers are
// real ones, and let the platform in all the time.
func TestRollOverWithoutOutage(t *testing.T) {
	judge.Need(t, "apache2", "nginx", "knotd", "openssl")
	for kind, database := range map[string]func(*testing.T, dataFolder) string{
		"sqlite":   func(_ *testing.T, folder dataFolder) string { return "sqlite:" + folder.path("imca.db") },
		"postgres": func(t *testing.T, _ dataFolder) string { return judge.Postgres(t) },
	} {
		t.Run(kind, func(t *testing.T) {
			r := startRolling(t, database)
			r.must(demoToken, "issue", "www.shop.test", "--out", r.first)
			r.port, r.apache = r.serve("apache", r.first)
			r.must(demoToken, "endpoint", "add", "https://www.shop.test:"+r.port+"/")
			old := r.platform()
			report, _ := r.check(r.port, "")
			require.Equal(t, doorcheck.Healthy, report.Summary)
			require.Empty(t, report.Standbys)
			require.NotContains(t, strings.Join(report.Untold, "\n"), "next root")

			r.readyForTheNextRoot()
			r.must("", "ca", "promote", "TencentQQAuthCA-G2")
			r.awaitIssuer("client", "TencentQQAuthCA-G2")
			next := r.platform()
			require.Equal(t, "TencentQQAuthCA-G2", issuedBy(t, next))
			for _, port := range []string{r.port, r.nginx} { // both of the platform's certificates are let in, everywhere
				r.calls(port, old)
				r.calls(port, next)
			}
			// What the old root has signed is revoked by the old root.
			serial := r.serialOf(filepath.Join(r.first, "www.shop.test.crt"))
			r.must(demoToken, "revoke", serial, "--reason", "superseded")
			require.Eventually(t, func() bool { return r.lists("TencentQQAuthCA", serial) }, 20*time.Second, 100*time.Millisecond)
			require.False(t, r.lists("TencentQQAuthCA-G2", serial))

			r.readyForAnIntermediate()
			r.must("", "ca", "promote", "TencentQQAuthCA-Calls")
			r.awaitIssuer("client", "TencentQQAuthCA-Calls")
			behind := r.platform()
			require.Len(t, behind.Certificate, 2)
			r.calls(r.port, behind)
			r.calls(r.nginx, behind)

			// The old root goes when nobody needs it.
			_, retired := r.imca("", "ca", "retire", "TencentQQAuthCA")
			require.False(t, retired, "certificates of it are valid")
			r.must("", "ca", "retire", "TencentQQAuthCA", "--force")
			require.Eventually(t, func() bool {
				_, body := r.public("/ca/clients.pem")
				return strings.Count(string(body), "BEGIN CERTIFICATE") == 1
			}, 20*time.Second, 50*time.Millisecond)
			require.True(t, r.lists("TencentQQAuthCA", serial))
			require.Contains(t, r.must(operatorToken, "ca", "list"), "retired")
			r.must("", "doctor")
		})
	}
}

// stands adds an authority, and waits until the server has taken it over.
func (r *rolling) stands(name string, more ...string) {
	r.Helper()
	r.must("", append([]string{"ca", "add", name}, more...)...)
	require.Eventually(r, func() bool { status, _ := r.public("/crl/" + name + ".crl"); return status == http.StatusOK }, 20*time.Second, 50*time.Millisecond)
}

// readyForTheNextRoot has the next root stand by: who has the file of before is not ready, who gets it now is. Nothing is promoted before.
func (r *rolling) readyForTheNextRoot() {
	r.stands("TencentQQAuthCA-G2", "--for", "client", "--for", "server")
	report, ready := r.check(r.port, "TencentQQAuthCA-G2")
	require.Equal(r, doorcheck.No, ready, doorcheck.Render(&report, doorcheck.Style{}))
	require.Equal(r, doorcheck.Healthy, report.Summary, "nothing fails today")
	finding := report.Finding("next_root_refused")
	require.NotNil(r, finding)
	require.Contains(r, finding.Advice, r.plain+"/ca/clients.pem")
	second := filepath.Join(r.dir, "second")
	r.must(demoToken, "issue", "www.shop.test", "--out", second)
	r.nginx, _ = r.serve("nginx", second)
	report, ready = r.check(r.nginx, "TencentQQAuthCA-G2")
	require.Equal(r, doorcheck.Yes, ready, doorcheck.Render(&report, doorcheck.Style{}))

	output, promoted := r.imca("", "ca", "promote", "TencentQQAuthCA-G2")
	require.False(r, promoted)
	require.Contains(r, output, "https://www.shop.test:"+r.port+"/")
	require.Contains(r, r.must(demoToken, "endpoint", "list"), "TencentQQAuthCA-G2")

	whole := filepath.Join(r.first, "httpd.conf")
	require.NoError(r, os.WriteFile(whole, []byte("Define IMCA_DIR "+r.first+"\nInclude "+r.first+"/apache/www.shop.test.conf\n"), 0o600))
	inspected := func() string {
		output, _ := judge.RunErr(r.T, "imca", "inspect", "--apache", whole, "--url", r.plain, "--files-only", "--json")
		require.Contains(r, output, "www.shop.test")
		return output
	}
	require.Contains(r, inspected(), `"ca_incomplete"`)
	r.must(demoToken, "ca", "fetch", "clients", "--out", filepath.Join(r.first, "TencentQQAuthCA.crt"))
	require.NotContains(r, inspected(), `"ca_`, "it holds the roots of the platform, and no other")
	r.apache.Reload(r.T)
	_, ready = r.check(r.port, "TencentQQAuthCA-G2")
	require.Equal(r, doorcheck.Yes, ready)
	require.Contains(r, r.must("", "ca", "promote", "TencentQQAuthCA-G2", "--dry-run"), "1  ready for TencentQQAuthCA-G2")
}

// readyForAnIntermediate has an intermediate stand by: Apache's depth is not enough, nginx takes it as it is.
func (r *rolling) readyForAnIntermediate() {
	r.stands("TencentQQAuthCA-Calls", "--parent", "TencentQQAuthCA-G2", "--for", "client")
	report, ready := r.check(r.port, "TencentQQAuthCA-Calls")
	require.Equal(r, doorcheck.No, ready)
	require.NotNil(r, report.Finding("intermediate_refused"), doorcheck.Render(&report, doorcheck.Style{}))
	_, ready = r.check(r.nginx, "TencentQQAuthCA-Calls")
	require.Equal(r, doorcheck.Yes, ready)
	conf := filepath.Join(r.first, "apache", "www.shop.test.conf")
	text, err := os.ReadFile(conf)
	require.NoError(r, err)
	require.Contains(r, string(text), "SSLVerifyDepth 1")
	require.NoError(r, os.WriteFile(conf, []byte(strings.Replace(string(text), "SSLVerifyDepth 1", "SSLVerifyDepth 2", 1)), 0o600))
	r.apache.Reload(r.T)
	_, ready = r.check(r.port, "TencentQQAuthCA-Calls")
	require.Equal(r, doorcheck.Yes, ready)
}

func startRolling(t *testing.T, database func(*testing.T, dataFolder) string) *rolling {
	t.Helper()
	folder := dataFolder(filepath.Join(t.TempDir(), "data"))
	dns := judge.Knot(t, map[string]string{"test": "", "shop.test": "www A 127.0.0.1"})
	r := &rolling{T: t, dev: startDev(t, string(folder), database(t, folder), "--resolver", dns.Addr), dir: t.TempDir()}
	var err error
	r.state, err = folder.state()
	require.NoError(t, err)
	r.plain, r.first = r.state.BaseURL, filepath.Join(r.dir, "first")
	require.NoError(t, os.Chmod(filepath.Dir(r.dir), 0o711)) // so that Apache's workers can walk through
	return r
}

func issuedBy(t *testing.T, pair *tls.Certificate) string {
	t.Helper()
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	return leaf.Issuer.CommonName
}

func (r *rolling) serialOf(file string) string {
	r.Helper()
	output := judge.Run(r.T, "openssl", "x509", "-in", file, "-noout", "-serial")
	return strings.ToLower(strings.TrimPrefix(strings.TrimSpace(output), "serial="))
}

// lists tells whether a certificate is on the revocation list of an authority, as it is published.
func (r *rolling) lists(authority, serial string) bool {
	r.Helper()
	status, body := r.public("/crl/" + authority + ".crl")
	require.Equal(r, http.StatusOK, status)
	list, err := x509.ParseRevocationList(body)
	require.NoError(r, err)
	return slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool { return e.SerialNumber.Text(16) == strings.TrimLeft(serial, "0") })
}

// TestServersFollow has two servers on one database, of which one has no key of the authority that is added: it starts, follows, and issues on.
func TestServersFollow(t *testing.T) {
	var cfg ServerConfig
	s, _ := newServer(t, func(c *ServerConfig) { cfg = *c })
	var here atomic.Bool
	other := cfg
	other.OpenKey = func(ref string) (crypto.Signer, error) {
		if strings.Contains(ref, "Next") && !here.Load() {
			return nil, errors.New("the file is not here")
		}
		return cfg.OpenKey(ref)
	}
	second, err := NewServer(t.Context(), other)
	require.NoError(t, err)
	require.NoError(t, second.Start())
	t.Cleanup(func() { require.NoError(t, second.Close()) })
	named := func(s *Server, name string) *issuer.Issuer {
		i := slices.IndexFunc(s.ca.Issuers(), func(i *issuer.Issuer) bool { return i.Name() == name })
		if i < 0 {
			return nil
		}
		return s.ca.Issuers()[i]
	}
	keyFolder := &keyStore{folder: filepath.Join(filepath.Dir(strings.TrimPrefix(cfg.Database, "sqlite:")), "keys"), passphrase: []byte("correct horse")}
	_, err = s.ca.AddAuthority(t.Context(), localAdmin(), ca.NewAuthority{Name: "Next", For: []string{"client"}, NewKey: keyFolder.make})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return named(second, "Next") != nil }, 20*time.Second, 20*time.Millisecond)
	require.False(t, named(second, "Next").CanSign(), "trusted and published, without its key")
	require.Eventually(t, func() bool { return s.ca.CRL("Next") != nil && second.ca.CRL("Next") != nil }, 20*time.Second, 20*time.Millisecond)

	_, err = s.ca.Promote(t.Context(), localAdmin(), "Next", false)
	require.NoError(t, err)
	_, err = second.ca.FollowAuthorities(t.Context())
	require.ErrorContains(t, err, "the file is not here")
	issue := func(s *Server) string {
		issued, err := s.ca.Issue(t.Context(), itself(), ca.IssueRequest{Profile: "client", Domains: []string{"callback.platform.internal"}})
		require.NoError(t, err)
		return issued.Certificate.Authority
	}
	require.Equal(t, "Next", issue(s))
	require.Equal(t, "TencentQQAuthCA", issue(second), "both are good")
	here.Store(true)
	require.Eventually(t, func() bool { return issue(second) == "Next" }, 20*time.Second, 100*time.Millisecond)
}
