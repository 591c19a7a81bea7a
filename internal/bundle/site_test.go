package bundle_test

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// site is a bundle that somebody has unpacked and started.
type site struct {
	dir    string // of the README
	addr   netip.AddrPort
	root   string // file that curl trusts
	before string // what the server's own configuration says ahead of the line that includes ours
	reload func(testing.TB)
}

// neighbours are other sites of the same server, which were there before and ask nobody for a certificate. They answer 204.
var neighbours = map[string]string{
	"apache": `<VirtualHost %[1]s>
ServerName other.example
SSLEngine on
SSLCertificateFile %[2]q
SSLCertificateKeyFile %[2]q
<Location "/">
Redirect 204 "/"
</Location>
</VirtualHost>
`,
	"nginx": `server {
listen %s ssl;
server_name other.example;
ssl_protocols TLSv1.2 TLSv1.3;
ssl_certificate %[2]q;
ssl_certificate_key %[2]q;
return 204;
}
`,
	"caddy": `https://other.example:%[4]d {
bind %[3]s
tls %[2]q %[2]q
respond 204
}
`,
}

// settle puts a neighbour before the site.
func (s *site) settle(t *testing.T, h hierarchy, server string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "neighbour.pem")
	writePEM(t, file, h.server.leaf(t, pki.ECDSAP256, serverTemplate(t, "other.example")))
	s.before = fmt.Sprintf(neighbours[server], s.addr, file, s.addr.Addr(), s.addr.Port())
}

var ipv4 = netip.MustParseAddr("127.0.0.1")

// unpack hands in out, for a free port of 127.0.0.1 unless it says where, and unpacks it where the server has its configuration.
func unpack(t *testing.T, in bundle.Input, server string) *site {
	t.Helper()
	judge.Need(t, "unzip")
	if !in.Listen.IsValid() {
		in.Listen = netip.AddrPortFrom(ipv4, uint16(judge.FreePort(t)))
	}
	s := &site{dir: t.TempDir(), addr: in.Listen}
	if server == "apache" || server == "tomcat" {
		s.dir = filepath.Join(s.dir, "conf")
	}
	var archive bytes.Buffer
	require.NoError(t, bundle.Zip(&archive, in, before))
	file := filepath.Join(t.TempDir(), "bundle.zip")
	require.NoError(t, os.WriteFile(file, archive.Bytes(), 0o600))
	judge.Run(t, "unzip", "-q", file, "-d", s.dir)
	s.root = filepath.Join(s.dir, in.Root.Name+".crt")
	return s
}

// start starts the server as the first lines of its configuration say.
func (s *site) start(t *testing.T, server string) {
	t.Helper()
	if run, ok := programs[server]; ok {
		process := judge.Start(t, server, run(t, s), judge.Listening(s.addr.String()))
		s.reload = func(t testing.TB) {
			t.Helper()
			_ = process.Stop()
			s.start(t.(*testing.T), server)
		}
		return
	}
	include := regexp.MustCompile(`(?mi)^#   (include .*)$`).FindStringSubmatch(s.configuration(t, server))
	require.NotNil(t, include)
	web := judge.Site{Config: s.before + include[1] + "\n", Addrs: []string{s.addr.String()}, Dir: s.dir}
	switch server {
	case "apache":
		web.Config = fmt.Sprintf("Listen %s\n", s.addr) + web.Config
		web.Modules = []string{"proxy", "proxy_http"}
		web.Dir = filepath.Dir(s.dir)
		s.reload = judge.Apache(t, web).Reload
	case "nginx":
		s.reload = judge.Nginx(t, web).Reload
	}
}

func (s *site) configuration(t *testing.T, server string) string {
	t.Helper()
	text, err := os.ReadFile(s.file(t, server))
	require.NoError(t, err)
	return string(text)
}

// edit changes the configuration as its comments tell the developer to. Each pair of texts, old and new, is there exactly once.
func (s *site) edit(t *testing.T, server string, pairs ...string) {
	t.Helper()
	text := s.configuration(t, server)
	for i := 0; i < len(pairs); i += 2 {
		require.Equal(t, 1, strings.Count(text, pairs[i]), pairs[i])
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	require.NoError(t, os.WriteFile(s.file(t, server), []byte(text), 0o644))
}

func (s *site) file(t *testing.T, server string) string {
	t.Helper()
	var files []string
	require.NoError(t, fs.WalkDir(os.DirFS(s.dir), server, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && slices.Contains(configurations, path.Ext(name)) {
			files = append(files, filepath.Join(s.dir, name))
		}
		return err
	}))
	require.Len(t, files, 1)
	return files[0]
}

// configurations are the endings of files that a developer edits.
var configurations = []string{".conf", ".cfg", ".caddyfile", ".xml", ".mjs", ".go"}

func open(t *testing.T, in bundle.Input, server string) *site {
	t.Helper()
	s := unpack(t, in, server)
	s.start(t, server)
	return s
}

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// judge has everybody call, with Go and with curl, by both versions of TLS.
func (s *site) judge(t *testing.T, host string, callers ...caller) {
	t.Helper()
	for _, c := range callers {
		for _, version := range versions {
			t.Run(c.name+"/"+strings.ReplaceAll(tls.VersionName(version), " ", ""), func(t *testing.T) {
				status, err := s.call(t, version, host, host, c.certificate)
				curlStatus, curlErr := s.curl(t, version, host, c.certificate)
				if !c.enters {
					requireRefusal(t, status, err)
					requireRefusal(t, curlStatus, curlErr)
					return
				}
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, status)
				require.NoError(t, curlErr)
				require.Equal(t, http.StatusOK, curlStatus)
			})
		}
	}
}

// requireRefusal holds a call against the ways in which a server refuses a caller, so that no other fault passes for a refusal.
func requireRefusal(t *testing.T, status int, err error) {
	t.Helper()
	if err == nil {
		require.Contains(t, []int{http.StatusBadRequest, http.StatusForbidden, http.StatusMisdirectedRequest}, status)
		return
	}
	// The server may close the connection before it has read the request; then its alert can be lost on the way. curl says 60 both when it
	// distrusts the server ("SSL certificate problem") and when the server's alert says "expired". Node says nothing.
	require.Regexp(t, `remote error: tls: |connection reset by peer|broken pipe|EOF$|curl: \((16|35|55|56)\).*(alert|reset|Broken pipe|not connected|SYSCALL)|`+
		`curl: \(60\) SSL certificate verification failed|curl: \(52\) Empty reply`, err.Error())
}

// call posts what the platform posts, over a connection of its own.
func (s *site) call(t *testing.T, version uint16, sni, host string, certificate *tls.Certificate) (status int, err error) {
	t.Helper()
	trusted, err := os.ReadFile(s.root)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(trusted))
	conn, err := tls.Dial("tcp", s.addr.String(), &tls.Config{
		ServerName: sni, RootCAs: roots, MinVersion: version, MaxVersion: version,
		// Not Certificates, of which Go shows only what the server's list of authorities names.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if certificate == nil {
				return &tls.Certificate{}, nil
			}
			return certificate, nil
		},
	})
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	request, err := http.NewRequest(http.MethodPost, "https://"+bracket(host)+"/callback?SdkAppid=1", strings.NewReader(`{}`))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	if err := request.Write(conn); err != nil {
		return 0, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

func (s *site) curl(t *testing.T, version uint16, host string, certificate *tls.Certificate) (status int, err error) {
	t.Helper()
	number := strings.TrimPrefix(tls.VersionName(version), "TLS ")
	args := []string{
		"-sS", "-o", "/dev/null", "-w", "status %{http_code}", "--cacert", s.root, "--tlsv" + number, "--tls-max", number, "--max-time", "30",
		"--connect-to", "::" + s.addr.String(),
	}
	if certificate != nil {
		file := filepath.Join(t.TempDir(), "caller.pem")
		writePEM(t, file, *certificate)
		args = append(args, "--cert", file)
	}
	output, err := judge.RunErr(t, "curl", append(args, fmt.Sprintf("https://%s:%d/", bracket(host), s.addr.Port()))...)
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, output)
	}
	_, err = fmt.Sscanf(output, "status %d", &status)
	require.NoError(t, err, output)
	return status, nil
}

// writePEM writes chain and key into one file.
func writePEM(t *testing.T, file string, certificate tls.Certificate) {
	t.Helper()
	text, err := pki.EncodeKey(certificate.PrivateKey.(crypto.Signer))
	require.NoError(t, err)
	for _, der := range certificate.Certificate {
		text = append(text, pki.EncodeCertificate(der)...)
	}
	require.NoError(t, os.WriteFile(file, text, 0o600))
}

// bracket is a host as URLs have it.
func bracket(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}
