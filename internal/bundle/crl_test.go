package bundle_test

import (
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// publish serves revocation lists by their path.
func publish(t *testing.T, lists map[string][]byte) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list, ok := lists[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(list)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// fetchCRL runs the line of the README.
func (s *site) fetchCRL(t *testing.T) error {
	t.Helper()
	judge.Need(t, "curl", "openssl")
	readme, err := os.ReadFile(filepath.Join(s.dir, "README.txt"))
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^4\. .*reload: (.*)$`).FindSubmatch(readme)
	require.NotNil(t, line, "%s", readme)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", string(line[1]))
	cmd.Dir = s.dir
	output, err := cmd.CombinedOutput()
	t.Logf("%s\n%s", line[1], output)
	return err
}

// optional are the lines that switch the revocation list on, as they are handed out.
var optional = map[string][]string{
	"apache": {`    #SSLCARevocationFile "${IMCA_DIR}/`, "    #SSLCARevocationCheck leaf\n"},
	"nginx":  {"    #ssl_crl "},
}

// written is the same for servers where the list is named in the middle of a line: a pattern, and what it becomes for an authority.
var written = map[string][2]string{
	"haproxy": {`(?m)(verify required)$`, `$1 crl-file ./AUTHORITY.crl`},
	"tomcat":  {`(<SSLHostConfig) `, `$1 certificateRevocationListFile="conf/AUTHORITY.crl" `},
	"node":    {`(?m)^  //(crl: )`, `  $1`},
	"go":      {`(revocationLists =) ""`, `$1 "AUTHORITY.crl"`},
}

// switchOn removes the # before the optional lines, or does what the comment there says.
func (s *site) switchOn(t *testing.T, server string) {
	t.Helper()
	if edit, ok := written[server]; ok {
		lists, err := filepath.Glob(filepath.Join(s.dir, "*.crl"))
		require.NoError(t, err)
		require.Len(t, lists, 1)
		authority := strings.TrimSuffix(filepath.Base(lists[0]), ".crl")
		text, pattern := s.configuration(t, server), regexp.MustCompile(edit[0])
		require.Len(t, pattern.FindAllString(text, -1), 1)
		text = pattern.ReplaceAllString(text, strings.ReplaceAll(edit[1], "AUTHORITY", authority))
		require.NoError(t, os.WriteFile(s.file(t, server), []byte(text), 0o644))
	}
	for _, line := range optional[server] {
		s.edit(t, server, line, strings.Replace(line, "#", "", 1))
	}
}

// readers are the servers that read revocation lists: all but Caddy.
func readers() []string {
	return slices.DeleteFunc(bundle.Servers(), func(server string) bool { return server == "caddy" })
}

func TestRevokedCallersStayOut(t *testing.T) {
	judge.Long(t)
	for _, server := range readers() {
		for shape, build := range hierarchies {
			if shape != "direct" && neighbours[server] == "" {
				continue // enough is enough: some start slowly
			}
			t.Run(server+"/"+shape, func(t *testing.T) {
				h := build(t)
				callers := pick(t, h.callers(t), "the platform", "the platform with its organization", "another developer, clientAuth")
				good, revoked, other := callers[0], callers[1], callers[2]
				lists := map[string][]byte{"/crl/TencentQQAuthCA.crl": h.client.crl(t, revoked.certificate.Leaf.SerialNumber)}
				in := h.input(t, pki.ECDSAP256, "www.example.com")
				in.CRLURLs = []string{publish(t, lists) + "/crl/TencentQQAuthCA.crl"}
				s := open(t, in, server)
				s.judge(t, "www.example.com", good, revoked, other) // nobody has switched it on

				require.NoError(t, s.fetchCRL(t))
				s.switchOn(t, server)
				s.reload(t)
				revoked.enters = false
				s.judge(t, "www.example.com", good, revoked, other)
			})
		}
	}
}

// While one root follows another, both are trusted, and each has its list.
func TestRollOver(t *testing.T) {
	for _, server := range bundle.Servers() {
		t.Run(server, func(t *testing.T) {
			reads := slices.Contains(readers(), server)
			first, second := newAuthority(t, "TencentQQAuthCA", nil), newAuthority(t, "TencentQQAuthCA 2", nil)
			h := hierarchy{client: first, server: first}
			in := h.input(t, pki.ECDSAP256, "www.example.com")
			in.ClientCA.Certificates = slices.Concat(in.ClientCA.Certificates, pki.EncodeCertificate(second.certificate.Raw))

			var callers []caller
			for _, signer := range []*authority{first, second} {
				for _, enters := range []bool{true, false} {
					certificate := signer.leaf(t, pki.ECDSAP256, clientTemplate(pkix.Name{CommonName: platform}, clientAuth))
					callers = append(callers, caller{signer.certificate.Subject.CommonName, &certificate, enters || !reads})
				}
			}
			url := publish(t, map[string][]byte{
				"/1.crl": first.crl(t, callers[1].certificate.Leaf.SerialNumber),
				"/2.crl": second.crl(t, big.NewInt(1), callers[3].certificate.Leaf.SerialNumber),
			})
			in.CRLURLs = []string{url + "/1.crl", url + "/2.crl"}
			s := unpack(t, in, server)
			require.NoError(t, s.fetchCRL(t))
			s.switchOn(t, server)
			s.start(t, server)
			s.judge(t, "www.example.com", callers...)
		})
	}
}

// While the platform moves behind an intermediate CA, both ways in are open, and each has its list. Who certifies servers certifies no platform.
func TestRollOverToAnIntermediate(t *testing.T) {
	for _, server := range bundle.Servers() {
		t.Run(server, func(t *testing.T) {
			reads := slices.Contains(readers(), server)
			root := newAuthority(t, "TencentQQAuthCA", nil)
			below, servers := newAuthority(t, "TencentQQAuthCA-Calls", root, clientAuth), newAuthority(t, "TencentQQAuthCA-Issuing", root, serverAuth)
			in := hierarchy{client: root, server: servers}.input(t, pki.ECDSAP256, "www.example.com")
			in.VerifyDepth = 2
			in.ClientIssuers = slices.Concat(pki.EncodeCertificate(root.certificate.Raw), pki.EncodeCertificate(below.certificate.Raw))

			var callers []caller
			for _, signer := range []*authority{root, below} {
				for _, enters := range []bool{true, false} {
					certificate := signer.leaf(t, pki.ECDSAP256, clientTemplate(pkix.Name{CommonName: platform}, clientAuth))
					callers = append(callers, caller{signer.certificate.Subject.CommonName, &certificate, enters || !reads})
				}
			}
			forged := servers.leaf(t, pki.ECDSAP256, clientTemplate(pkix.Name{CommonName: platform}, clientAuth))
			url := publish(t, map[string][]byte{
				"/root.crl": root.crl(t, callers[1].certificate.Leaf.SerialNumber), "/calls.crl": below.crl(t, callers[3].certificate.Leaf.SerialNumber),
			})
			in.CRLURLs = []string{url + "/root.crl", url + "/calls.crl"}
			s := open(t, in, server)
			s.judge(t, "www.example.com", callers[0], callers[2], caller{"who certifies servers", &forged, false})
			if !reads {
				return
			}
			require.NoError(t, s.fetchCRL(t))
			s.switchOn(t, server)
			s.reload(t)
			s.judge(t, "www.example.com", callers...)
		})
	}
}

// The oddest name that an authority can have does no harm to a server or a shell.
func TestOddNameOfAnAuthority(t *testing.T) {
	for _, server := range []string{"apache", "nginx", "haproxy", "node", "tomcat"} {
		t.Run(server, func(t *testing.T) {
			h := hierarchies["direct"](t)
			callers := pick(t, h.callers(t), "the platform", "the platform with its organization", "nobody")
			callers[1].enters = false
			in := h.input(t, pki.ECDSAP256, "www.example.com")
			in.Root.Name, in.ClientCA.Name = "-r_--.CA.1", "-r_--.CA.1"
			in.CRLURLs = []string{publish(t, map[string][]byte{"/~a,b@[1]/%20/a.crl": h.client.crl(t, callers[1].certificate.Leaf.SerialNumber)}) + "/~a,b@%5B1%5D/%2520/a.crl?x=1&y=%3B"}
			s := unpack(t, in, server)
			require.NoError(t, s.fetchCRL(t))
			s.switchOn(t, server)
			s.start(t, server)
			s.judge(t, "www.example.com", callers...)
		})
	}
}

// A list that cannot be fetched must not cost the one that is there: without it the server does not start again.
func TestFetchingTheCRLFails(t *testing.T) {
	for name, urls := range map[string][]string{
		"not there":        {"/none.crl"},
		"no list":          {"/text.crl"},
		"second not there": {"/good.crl", "/none.crl"},
	} {
		t.Run(name, func(t *testing.T) {
			h := hierarchies["direct"](t)
			base := publish(t, map[string][]byte{"/good.crl": h.client.crl(t), "/text.crl": []byte("<html>")})
			in := h.input(t, pki.ECDSAP256, "www.example.com")
			for _, url := range urls {
				in.CRLURLs = append(in.CRLURLs, base+url)
			}
			s := unpack(t, in, "nginx")
			file := filepath.Join(s.dir, "TencentQQAuthCA.crl")
			require.NoError(t, os.WriteFile(file, []byte("as it was"), 0o644))
			require.Error(t, s.fetchCRL(t))
			kept, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Equal(t, "as it was", string(kept))
		})
	}
}
