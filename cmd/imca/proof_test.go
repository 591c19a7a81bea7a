package main

import (
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// TestMessagesLeadToTheCertificate: a developer with a token and an Apache, and nothing else, gets from the refusal to the certificate by
// doing what the messages say.
func TestMessagesLeadToTheCertificate(t *testing.T) {
	judge.Need(t, "apache2", "knotd", "sh")
	dns := judge.Knot(t, map[string]string{"test": "", "shop.test": "www A 127.0.0.1"})
	root := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(root), 0o711)) // so that Apache's workers can walk through
	require.NoError(t, os.Chmod(root, 0o755))
	port := judge.FreePort(t)
	judge.Apache(t, judge.Site{
		Config: fmt.Sprintf("Listen 127.0.0.1:%d\nDocumentRoot %q\n<Directory %q>\nRequire all granted\n</Directory>\n", port, root, root),
		Addrs:  []string{fmt.Sprintf("127.0.0.1:%d", port)},
	})
	folder := dataFolder(filepath.Join(t.TempDir(), "data"))
	d := startDev(t, string(folder), "sqlite:"+folder.path("imca.db"), "--domains", "prove", "--resolver", dns.Addr, "--allow-egress", "127.0.0.1",
		"--http01-port", strconv.Itoa(port))
	state, err := folder.state()
	require.NoError(t, err)
	secret, err := os.ReadFile(folder.path(demoToken))
	require.NoError(t, err)
	home := t.TempDir()
	sh := func(line string) (string, error) {
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir = home
		cmd.Env = append(os.Environ(), "IMCA_URL="+d.url, "IMCA_CA="+folder.path(state.CA), "IMCA_TOKEN="+strings.TrimSpace(string(secret)))
		output, err := cmd.CombinedOutput()
		return string(output), err
	}
	said := func(pattern, in string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(in)
		require.NotNil(t, found, "%s is not said in:\n%s", pattern, in)
		return found[1]
	}

	output, err := sh("imca issue www.shop.test")
	var ended *exec.ExitError
	require.ErrorAs(t, err, &ended)
	require.Equal(t, exitRefused, ended.ExitCode(), output)
	output, err = sh(said(`Prove it like this: (imca domain add \S+)`, output))
	require.NoError(t, err, output)

	_, err = sh(said(`Then: (imca domain verify [^\n]*)`, output))
	require.Error(t, err, "nothing is shown yet")

	// The only thing that the message cannot know is where the DocumentRoot is; it says which one it means.
	folderSaid := said(`whose DocumentRoot is (\S+), say`, output)
	for _, command := range regexp.MustCompile(`(?m)^ +((?:mkdir|printf) .*)$`).FindAllStringSubmatch(output, -1) {
		_, err := sh(strings.ReplaceAll(command[1], folderSaid, root))
		require.NoError(t, err)
	}
	output, err = sh(said(`Then: (imca domain verify [^\n]*)`, output))
	require.NoError(t, err, output)
	output, err = sh(said(`(imca issue \S+)`, output))
	require.NoError(t, err, output)
	judge.Run(t, "openssl", "verify", "-CAfile", folder.path(state.CA), filepath.Join(home, "www.shop.test", "www.shop.test.crt"))
}

// provingServer is a server that looks for proofs by a DNS server and at a port of loopback.
func provingServer(t *testing.T, dns string, port uint16, change func(*ServerConfig)) *Server {
	s, _ := newServer(t, func(cfg *ServerConfig) {
		cfg.Proof = provingConfig(dns, port)
		if change != nil {
			change(cfg)
		}
	})
	_, _, err := s.ca.CreateApp(t.Context(), itself(), ca.NewApp{ID: "shop"})
	if err != nil {
		require.True(t, isKind(err, ca.KindConflict), err) // another server on the database has made it
	}
	return s
}

func provingConfig(dns string, port uint16) ProofConfig {
	return ProofConfig{
		Rules:   ca.DomainRules{Policy: ca.PolicyProve, Identity: "ca.test", HTTPPort: port},
		Egress:  egress.Config{Resolver: dns, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, DNSTimeout: 300 * time.Millisecond, DNSTries: 2},
		Timeout: 3 * time.Second,
	}
}

var shopDeveloper = ca.Principal{Name: "dev", Role: ca.RoleDeveloper, App: "shop", Token: "tok_dev"}

func claimed(t *testing.T, s *Server, name string, m ca.Method) (ca.Domain, ca.Challenge) {
	t.Helper()
	d, _, err := s.ca.AddDomain(t.Context(), shopDeveloper, ca.NewDomain{Domain: name, Method: string(m)})
	require.NoError(t, err)
	return d, s.ca.Challenges(d)[0]
}

func requireRefused(t *testing.T, err error, kind ca.Kind, says string) {
	t.Helper()
	var refusal *ca.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, kind, refusal.Kind, refusal.Detail)
	require.Contains(t, refusal.Detail, says)
}

// web serves a handler on loopback, and is its port.
func webServer(t *testing.T, handler http.Handler) uint16 {
	server := httptest.NewServer(handler)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	n, err := strconv.ParseUint(port, 10, 16)
	require.NoError(t, err)
	return uint16(n)
}

// TestHostileServers: whatever a stranger's server does, nothing is proven by it, no other place is reached, and the next developer is served.
func TestHostileServers(t *testing.T) {
	judge.Need(t, "knotd")
	secret := "internal secret"
	inside := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("a place that is closed was reached")
		_, _ = w.Write([]byte(secret))
	}))
	closed, err := net.Listen("tcp", "127.0.0.2:0")
	require.NoError(t, err)
	inside.Listener = closed
	inside.Start()
	t.Cleanup(inside.Close)

	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
	}
	hosts := map[string]struct {
		serve http.HandlerFunc
		kind  ca.Kind
		says  string
	}{
		"loopback":  {redirect("http://" + closed.Addr().String() + "/"), ca.KindProofReach, "refused"},
		"mapped":    {redirect("http://[::ffff:169.254.169.254]/latest/meta-data/"), ca.KindProofReach, "metadata"},
		"file":      {redirect("file:///etc/passwd"), ca.KindProofReach, "refused"},
		"itself":    {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, ca.KindProofReach, "redirect"},
		"slow":      {drip, ca.KindProofReach, ""},
		"endless":   {flood, ca.KindProofWrong, "more than"},
		"bomb":      {bomb, ca.KindProofWrong, ""},
		"header":    {hugeHeader, ca.KindProofReach, ""},
		"not-found": {http.NotFound, ca.KindProofWrong, "404"},
		"any-text":  {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(secret)) }, ca.KindProofWrong, "exactly this content"},
		"echo":      {func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(filepath.Base(r.URL.Path))) }, ca.KindProofWrong, "another text"},
	}
	zone := "good A 127.0.0.1\nrebound A 203.0.113.1\nrebound A 127.0.0.2\nprivate A 10.0.0.1\nalias CNAME metadata.internal.\n"
	for name := range hosts {
		zone += name + " A 127.0.0.1\n"
	}
	dns := judge.Knot(t, map[string]string{"test": "", "host.test": zone})
	var s *Server
	var good ca.Challenge
	port := webServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, _, _ := strings.Cut(r.Host, ".")
		if name == "good" {
			_, _ = w.Write([]byte(good.KeyAuthorization + "\n"))
			return
		}
		hosts[name].serve(w, r)
	}))
	s = provingServer(t, dns.Addr, port, nil)
	refused := func(t *testing.T, name string, kind ca.Kind, says string) {
		claimed(t, s, name, "")
		_, err := s.ca.VerifyDomain(t.Context(), shopDeveloper, name, "", "")
		requireRefused(t, err, kind, says)
		require.NotContains(t, err.Error(), "latest/meta-data: ")
		_, err = s.ca.Issue(t.Context(), shopDeveloper, ca.IssueRequest{Domains: []string{name}})
		requireRefused(t, err, ca.KindUnproven, name)
	}
	for name, host := range hosts {
		t.Run(name, func(t *testing.T) { refused(t, name+".host.test", host.kind, host.says) })
	}
	t.Run("private address", func(t *testing.T) { refused(t, "private.host.test", ca.KindProofReach, "private network") })
	t.Run("no such name", func(t *testing.T) { refused(t, "none.host.test", ca.KindProofDNS, "none.host.test") })
	t.Run("alias to nowhere", func(t *testing.T) { refused(t, "alias.host.test", ca.KindProofDNS, "") })
	t.Run("public first, loopback second", func(t *testing.T) { refused(t, "rebound.host.test", ca.KindProofReach, "") })
	_, good = claimed(t, s, "good.host.test", "")
	_, err = s.ca.VerifyDomain(t.Context(), shopDeveloper, "good.host.test", "", "")
	require.NoError(t, err)
	_, err = s.ca.Issue(t.Context(), shopDeveloper, ca.IssueRequest{Domains: []string{"good.host.test"}})
	require.NoError(t, err)
}

func drip(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		_, _ = w.Write([]byte("x"))
		w.(http.Flusher).Flush()
		time.Sleep(200 * time.Millisecond)
	}
}

func flood(w http.ResponseWriter, r *http.Request) {
	block := make([]byte, 1<<20)
	for n := 0; n < 1<<10 && r.Context().Err() == nil; n++ {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	block := make([]byte, 1<<20)
	for range 100 {
		if _, err := z.Write(block); err != nil {
			return
		}
	}
	_ = z.Close()
}

func hugeHeader(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Huge", strings.Repeat("x", 8<<20))
	_, _ = w.Write([]byte("x"))
}

// TestProofsByDNS: real records, real CNAMEs, real CAA.
func TestProofsByDNS(t *testing.T) {
	judge.Need(t, "knotd")
	dns := judge.Knot(t, map[string]string{"test": "", "shop.test": "", "elsewhere.test": ""})
	s := provingServer(t, dns.Addr, 0, nil)
	issue := func(names ...string) error {
		_, err := s.ca.Issue(t.Context(), shopDeveloper, ca.IssueRequest{Domains: names})
		return err
	}
	verify := func(name string) error {
		_, err := s.ca.VerifyDomain(t.Context(), shopDeveloper, name, "", "")
		return err
	}

	_, way := claimed(t, s, "*.shop.test", "")
	require.Equal(t, "_acme-challenge.shop.test", way.RecordName)
	requireRefused(t, verify("shop.test"), ca.KindProofWrong, way.RecordValue)
	dns.Replace(t, "shop.test", `_acme-challenge TXT "`+strings.Repeat(`x" "`, 2000)+`"`)
	requireRefused(t, verify("shop.test"), ca.KindProofWrong, way.RecordValue)
	dns.Replace(t, "shop.test", `_acme-challenge CNAME proof.elsewhere.test.`)
	dns.Replace(t, "elsewhere.test", `proof TXT "something else"`+"\n"+`proof TXT "`+way.RecordValue+`"`)
	require.NoError(t, verify("shop.test"))
	require.NoError(t, issue("*.shop.test", "shop.test"))

	// The owner's CAA is asked for every certificate.
	const mine = "accounturi=https://ca.test/apps/shop"
	for records, allowed := range map[string]bool{
		`@ CAA 0 issue "other-ca.test"`: false,
		`@ CAA 0 issue ";"`:             false,
		`@ CAA 0 issue "ca.test"`:       true,
		`@ CAA 0 issue "ca.test; ` + mine + `; validationmethods=dns-01"`:                          true,
		`@ CAA 0 issue "ca.test; accounturi=https://ca.test/apps/other"`:                           false,
		`@ CAA 0 issue "ca.test; validationmethods=http-01"`:                                       false,
		"@ CAA 0 issue \"ca.test\"\n@ CAA 0 issuewild \";\"":                                       false,
		`@ CAA 128 unheard "of"`:                                                                   false,
		"@ CAA 0 issue \"other-ca.test\"\n@ CAA 0 issue \"ca.test\"\n@ CAA 0 iodef \"mailto:x@y\"": true,
	} {
		dns.Replace(t, "shop.test", records)
		if err := issue("*.shop.test"); allowed {
			require.NoError(t, err, records)
		} else {
			requireRefused(t, err, ca.KindCAA, "CAA at shop.test")
		}
	}

	// A standing record is bound to the app.
	_, way = claimed(t, s, "elsewhere.test", ca.MethodStanding)
	require.Equal(t, "_validation-persist.elsewhere.test", way.RecordName)
	dns.Replace(t, "elsewhere.test", `_validation-persist TXT "ca.test; accounturi=https://ca.test/apps/other"`)
	requireRefused(t, verify("elsewhere.test"), ca.KindProofWrong, "another account")
	dns.Replace(t, "elsewhere.test", `_validation-persist TXT "`+way.RecordValue+`"`)
	require.NoError(t, verify("elsewhere.test"))
	require.NoError(t, issue("elsewhere.test"))
	requireRefused(t, issue("*.elsewhere.test"), ca.KindUnproven, "*.elsewhere.test")
}

// TestDeadResolver: where the DNS does not answer nothing is proven and, as the CAA record that says no may be behind it, nothing issued.
func TestDeadResolver(t *testing.T) {
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = dead.Close() })
	s := provingServer(t, dead.LocalAddr().String(), 0, nil)
	claimed(t, s, "www.shop.test", "")
	_, err = s.ca.VerifyDomain(t.Context(), shopDeveloper, "www.shop.test", "", "")
	requireRefused(t, err, ca.KindProofDNS, "www.shop.test")
	_, err = s.ca.ApproveDomain(t.Context(), itself(), ca.Decision{Name: "www.shop.test"})
	require.NoError(t, err)
	_, err = s.ca.Issue(t.Context(), shopDeveloper, ca.IssueRequest{Domains: []string{"www.shop.test"}})
	requireRefused(t, err, ca.KindProofDNS, "CAA")
}

// TestTwoServersShareProofs: what is proven on one is used on the other, and what is lost on one is lost on both.
func TestTwoServersShareProofs(t *testing.T) {
	judge.Need(t, "knotd")
	dns := judge.Knot(t, map[string]string{"test": "", "shop.test": "www A 127.0.0.1"})
	databases(t, func(t *testing.T, url string) {
		var way ca.Challenge
		port := webServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(way.KeyAuthorization)) }))
		first, second := twoServers(t, url, func(cfg *ServerConfig) {
			cfg.Proof = ProofConfig{
				Rules:  ca.DomainRules{Policy: ca.PolicyProve, HTTPPort: port},
				Egress: egress.Config{Resolver: dns.Addr, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}},
			}
		})
		_, _, err := first.ca.CreateApp(t.Context(), itself(), ca.NewApp{ID: "shop"})
		require.NoError(t, err)
		_, way = claimed(t, first, "www.shop.test", "")
		_, err = second.ca.VerifyDomain(t.Context(), shopDeveloper, "www.shop.test", "", "")
		require.NoError(t, err)
		_, err = first.ca.Issue(t.Context(), shopDeveloper, ca.IssueRequest{Domains: []string{"www.shop.test"}})
		require.NoError(t, err)
		_, err = second.ca.RejectDomain(t.Context(), itself(), ca.Decision{Name: "www.shop.test", Reason: "sold"})
		require.NoError(t, err)
		_, err = first.ca.Issue(t.Context(), shopDeveloper, ca.IssueRequest{Domains: []string{"www.shop.test"}})
		requireRefused(t, err, ca.KindUnproven, "sold")
	})
}

// twoServers are two on one database.
func twoServers(t *testing.T, url string, change func(*ServerConfig)) (first, second *Server) {
	var k *keyStore
	both := make([]*Server, 2)
	for i := range both {
		both[i], _ = newServer(t, func(cfg *ServerConfig) {
			cfg.Database = url
			if k == nil {
				k = &keyStore{folder: filepath.Join(t.TempDir(), "keys"), passphrase: []byte("correct horse")}
				records, err := openStore(t.Context(), url)
				require.NoError(t, err)
				_, _, err = establish(t.Context(), records, ca.Establishment{}, k, time.Now())
				require.NoError(t, err)
				require.NoError(t, records.Close())
			}
			cfg.OpenKey = k.open
			change(cfg)
		})
	}
	return both[0], both[1]
}

// TestChallengesAreThoseOfTheValidator: the CA tells developers where it will be looked for.
func TestChallengesAreThoseOfTheValidator(t *testing.T) {
	s := provingServer(t, "127.0.0.1:53", 0, nil)
	name, err := pki.ParseName("2001:db8::7")
	require.NoError(t, err)
	d := ca.Domain{Name: name, App: "shop", State: ca.DomainPending, Method: ca.MethodHTTP, Token: "T"}
	require.Equal(t, "http://[2001:db8::7]/.well-known/acme-challenge/T", s.ca.Challenges(d)[0].URL)
}
