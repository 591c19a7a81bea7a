package bundle_test

import (
	"archive/zip"
	"bytes"
	"crypto"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/acmelines"
	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

func TestZip(t *testing.T) {
	always := []string{
		"README.txt", "TencentQQAuthCA.crt", "apache/www.example.com.conf", "caddy/www.example.com.caddyfile", "go/www.example.com.go",
		"haproxy/www.example.com.cfg", "nginx/www.example.com.conf", "node/www.example.com.mjs", "tomcat/TencentQQAuthCA.p12",
		"tomcat/www.example.com.p12", "tomcat/www.example.com.xml", "tomcat/www.example.com/ROOT/index.html", "tomcat/www.example.com/rewrite.config",
		"www.example.com.crt", "www.example.com.key",
	}
	for shape, more := range map[string][]string{"direct": nil, "issuing": nil, "separate": {"TencentQQAuthCA-Server.crt"}} {
		t.Run(shape, func(t *testing.T) {
			want := slices.Sorted(slices.Values(slices.Concat(always, more)))
			in := hierarchies[shape](t).input(t, pki.ECDSAP256, "www.example.com")
			var b bytes.Buffer
			require.NoError(t, bundle.Zip(&b, in, before))
			archive, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
			require.NoError(t, err)
			content := map[string]string{}
			var names []string
			for _, entry := range archive.File {
				names = append(names, entry.Name)
				require.True(t, entry.Modified.Equal(before), entry.Name)
				mode := "-rw-r--r--"
				if entry.Name == "www.example.com.key" || entry.Name == "tomcat/www.example.com.p12" {
					mode = "-rw-------"
				}
				require.Equal(t, mode, entry.Mode().String(), entry.Name)
				r, err := entry.Open()
				require.NoError(t, err)
				text, err := io.ReadAll(r)
				require.NoError(t, err)
				content[entry.Name] = string(text)
			}
			slices.Sort(names)
			require.Equal(t, want, names)
			require.Equal(t, string(in.Certificate)+string(in.Chain), content["www.example.com.crt"])
			require.Equal(t, string(in.Key), content["www.example.com.key"])
			require.Equal(t, string(in.ClientCA.Certificates), content["TencentQQAuthCA.crt"])
			if shape == "separate" {
				require.Equal(t, string(in.Root.Certificates), content["TencentQQAuthCA-Server.crt"])
			}
		})
	}
}

// What unzip makes of it on a disk.
func TestUnzip(t *testing.T) {
	s := unpack(t, hierarchies["direct"](t).input(t, pki.ECDSAP256, "www.example.com"), "nginx")
	info, err := os.Stat(filepath.Join(s.dir, "www.example.com.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

func TestFilesForOneServer(t *testing.T) {
	in := hierarchies["direct"](t).input(t, pki.ECDSAP256, "www.example.com")
	require.Equal(t, []string{"apache", "caddy", "go", "haproxy", "nginx", "node", "tomcat"}, bundle.Servers())
	files, err := bundle.Files(in, "nginx")
	require.NoError(t, err)
	require.Equal(t, []string{"www.example.com.crt", "www.example.com.key", "TencentQQAuthCA.crt", "nginx/www.example.com.conf", "README.txt"}, fileNames(files))
	_, err = bundle.Files(in, "iis")
	require.EqualError(t, err, `there is no configuration for the server "iis": choose from apache, caddy, go, haproxy, nginx, node, tomcat`)
}

// A host that is called like the authority has files of its own.
func TestHostNamedLikeTheAuthority(t *testing.T) {
	in := hierarchies["direct"](t).input(t, pki.ECDSAP256, "www.example.com")
	in.Root.Name, in.ClientCA.Name = "WWW.example.com", "WWW.example.com"
	files, err := bundle.Files(in, "nginx")
	require.NoError(t, err)
	require.Equal(t, []string{"www.example.com-server.crt", "www.example.com-server.key", "WWW.example.com.crt", "nginx/www.example.com-server.conf", "README.txt"}, fileNames(files))
	require.Equal(t, string(in.Certificate), text(t, files, "www.example.com-server.crt"))
	require.Contains(t, text(t, files, "nginx/www.example.com-server.conf"), "www.example.com-server.key")
}

func TestKeyOfTheDeveloper(t *testing.T) {
	in := hierarchies["direct"](t).input(t, pki.ECDSAP256, "www.example.com")
	in.Key = nil
	files, err := bundle.Files(in)
	require.NoError(t, err)
	require.NotContains(t, fileNames(files), "www.example.com.key")
	require.Contains(t, text(t, files, "README.txt"), "Put its private key, which you made, beside it as www.example.com.key.")
	require.Contains(t, text(t, files, "apache/www.example.com.conf"), "www.example.com.key")
	require.Contains(t, text(t, files, "nginx/www.example.com.conf"), "www.example.com.key")
}

// The key is PKCS#8, in whatever form it came.
func TestKeyIsPKCS8(t *testing.T) {
	judge.Need(t, "openssl")
	in := hierarchies["direct"](t).input(t, pki.RSA2048, "www.example.com")
	want := in.Key
	in.Key = []byte(judge.RunInput(t, want, "openssl", "rsa", "-traditional"))
	require.Contains(t, string(in.Key), "BEGIN RSA PRIVATE KEY")
	files, err := bundle.Files(in)
	require.NoError(t, err)
	require.Equal(t, string(want), text(t, files, "www.example.com.key"))
}

func TestREADME(t *testing.T) {
	for shape, build := range hierarchies {
		t.Run(shape, func(t *testing.T) {
			in := build(t).input(t, pki.ECDSAP256, "www.example.com")
			in.CRLURLs = []string{"http://ca.example.com/crl/TencentQQAuthCA.crl"}
			files, err := bundle.Files(in)
			require.NoError(t, err)
			readme := text(t, files, "README.txt")
			require.LessOrEqual(t, strings.Count(readme, "\n"), 14, "somebody is to read it:\n%s", readme)
			for _, file := range files {
				if folder, _, found := strings.Cut(file.Name, "/"); found {
					require.Contains(t, readme, folder)
				} else if file.Name != "README.txt" {
					require.Contains(t, readme, file.Name)
				}
			}
			require.Contains(t, readme, after.Format("2006-01-02 15:04 UTC"))
			require.NotContains(t, readme, "\n\n")
		})
	}
}

// The curl of the README is pasted where it says, and shows what it says.
func TestCurlOfTheREADME(t *testing.T) {
	for _, server := range []string{"apache", "nginx", "haproxy", "caddy", "node"} { // Tomcat and Go say what Caddy says, and are slow to start
		for shape, build := range hierarchies {
			if shape != "direct" && slices.Contains([]string{"haproxy", "caddy", "node"}, server) {
				continue // their answers do not depend on it
			}
			t.Run(server+"/"+shape, func(t *testing.T) {
				s := open(t, build(t).input(t, pki.ECDSAP256, "www.example.com"), server)
				readme, err := os.ReadFile(filepath.Join(s.dir, "README.txt"))
				require.NoError(t, err)
				line := regexp.MustCompile(`(?m)^   curl --tls-max 1.2 --cacert (\S+) (\S+)$`).FindStringSubmatch(string(readme))
				require.NotNil(t, line)
				output, err := judge.RunErr(t, "curl", "-sS", "--tls-max", "1.2", "--connect-to", "::"+s.addr.String(), "--cacert", filepath.Join(s.dir, line[1]), line[2])
				promised := regexp.MustCompile(`"(handshake failure|bad certificate|400)"`).FindAllStringSubmatch(string(readme), -1)
				require.Len(t, promised, 3)
				require.True(t, slices.ContainsFunc(promised, func(p []string) bool { return strings.Contains(output, p[1]) }), "%v: %s", err, output)
			})
		}
	}
}

func TestStem(t *testing.T) {
	for text, want := range map[string]string{
		"www.example.com":  "www.example.com",
		"*.example.com":    "wildcard.example.com",
		"münchen.example":  "xn--mnchen-3ya.example",
		"192.0.2.1":        "192.0.2.1",
		"2001:db8::1":      "2001-db8--1",
		"::1":              "1",
		longNames(1)[0]:    longNames(1)[0][:200],
		"WWW.Example.COM.": "www.example.com",
	} {
		require.Equal(t, want, bundle.Stem(name(t, text)))
	}
}

func TestListen(t *testing.T) {
	for name, test := range map[string]struct {
		listen        netip.AddrPort
		apache, nginx []string
		url           string
	}{
		"default": {netip.AddrPort{}, []string{"<VirtualHost *:443>"}, []string{"    listen 443 ssl;", "    #listen [::]:443 ssl;"}, "https://www.example.com/"},
		"port": {
			netip.AddrPortFrom(netip.Addr{}, 8443), []string{"<VirtualHost *:8443>", `"Listen 8443"`},
			[]string{"    listen 8443 ssl;", "    #listen [::]:8443 ssl;"}, "https://www.example.com:8443/",
		},
		"zone": {
			netip.AddrPortFrom(netip.MustParseAddr("2001:db8::1%a;\nb"), 443), []string{"<VirtualHost [2001:db8::1]:443>"},
			[]string{"    listen [2001:db8::1]:443 ssl;"}, "https://www.example.com/",
		},
		"address": {netip.AddrPortFrom(ipv4, 0), []string{"<VirtualHost 127.0.0.1:443>"}, []string{"    listen 127.0.0.1:443 ssl;"}, "https://www.example.com/"},
	} {
		t.Run(name, func(t *testing.T) {
			in := hierarchies["direct"](t).input(t, pki.ECDSAP256, "www.example.com")
			in.Listen = test.listen
			files, err := bundle.Files(in)
			require.NoError(t, err)
			for _, line := range test.apache {
				require.Contains(t, text(t, files, "apache/www.example.com.conf"), line)
			}
			for _, line := range test.nginx {
				require.Contains(t, text(t, files, "nginx/www.example.com.conf"), "\n"+line+"\n")
			}
			require.Contains(t, text(t, files, "README.txt"), test.url+"\n")
		})
	}
}

// An IPv6 address is listened for on IPv6, unless the input says where.
func TestListenForIPv6(t *testing.T) {
	files, err := bundle.Files(hierarchies["direct"](t).input(t, pki.ECDSAP256, "2001:db8::1"))
	require.NoError(t, err)
	require.Contains(t, text(t, files, "nginx/2001-db8--1.conf"), "\n    listen [::]:443 ssl;\n")
	require.Contains(t, text(t, files, "README.txt"), " https://[2001:db8::1]/\n")
}

func TestVerifyDepth(t *testing.T) {
	in := hierarchies["direct"](t).input(t, pki.ECDSAP256, "www.example.com")
	in.VerifyDepth = 2
	files, err := bundle.Files(in)
	require.NoError(t, err)
	require.Contains(t, text(t, files, "apache/www.example.com.conf"), "\n    SSLVerifyDepth 2\n")
	require.Contains(t, text(t, files, "nginx/www.example.com.conf"), "\n    ssl_verify_depth 2;\n")
}

func fileNames(files []bundle.File) []string {
	var names []string
	for _, file := range files {
		names = append(names, file.Name)
	}
	return names
}

func text(t testing.TB, files []bundle.File, name string) string {
	t.Helper()
	i := slices.Index(fileNames(files), name)
	require.NotEqual(t, -1, i, name)
	return string(files[i].Content)
}

func encodeKey(t testing.TB, key crypto.PrivateKey) []byte {
	t.Helper()
	encoded, err := pki.EncodeKey(key.(crypto.Signer))
	require.NoError(t, err)
	return encoded
}

// TestRenewal: the lines for ACME clients are those of package acmelines, for the names of the certificate; where there can be none, README and zip say
// nothing of it.
func TestRenewal(t *testing.T) {
	for _, test := range []struct {
		names          []string
		bound, offered bool
	}{
		{[]string{"www.example.com", "api.example.com"}, true, true},
		{[]string{"www.example.com"}, false, true},
		{[]string{"*.example.com"}, true, false},
		{[]string{"192.0.2.1"}, true, false},
	} {
		t.Run(strings.Join(test.names, " "), func(t *testing.T) {
			in := hierarchies["direct"](t).input(t, pki.ECDSAP256, test.names...)
			in.Renewal = bundle.Renewal{Server: acmelines.Server{Directory: "https://ca.example.com/acme/directory", Roots: in.Root.Certificates}, Bound: test.bound}
			files, err := bundle.Files(in)
			require.NoError(t, err)
			readme := text(t, files, "README.txt")
			require.Equal(t, test.offered, strings.Contains(readme, "\n- renew: "), readme)
			require.Equal(t, test.offered && test.bound, strings.Contains(readme, "MAC_KEY"))
			if !test.offered {
				require.NotContains(t, strings.Join(fileNames(files), " "), "renew/")
				return
			}
			for _, client := range acmelines.Clients() {
				lines := text(t, files, "renew/"+client+".txt")
				for _, want := range append(test.names, in.Renewal.Server.Directory, string(in.Root.Certificates)) {
					require.Contains(t, lines, want)
				}
				require.Equal(t, test.bound, strings.Contains(lines, "KEY_ID"))
			}
		})
	}
}
