package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/judge"
)

// TestRevokedCallerStaysOut goes the way of the platform and of a developer who checks revocation, in each hierarchy: certificates that 'imca client
// keep' keeps, the handed-out configuration with its optional lines on, and a list that 'imca crl keep' keeps. A revoked caller gets in until
// the server has loaded the list that names it, and not after; the platform always does.
func TestRevokedCallerStaysOut(t *testing.T) {
	judge.Need(t, "apache2", "nginx")
	for _, hierarchy := range ca.Hierarchies() {
		t.Run(string(hierarchy), func(t *testing.T) {
			folder := dataFolder(filepath.Join(t.TempDir(), "data"))
			d := startDev(t, string(folder), "sqlite:"+folder.path("imca.db"), "--hierarchy", string(hierarchy))
			state, err := folder.state()
			require.NoError(t, err)
			imca := func(token string, args ...string) string {
				return judge.Run(t, "imca", append(args, "--url", d.url, "--ca", folder.path(state.CA), "--token-file", folder.path(token))...)
			}
			dir := t.TempDir()
			require.NoError(t, os.Chmod(filepath.Dir(dir), 0o711)) // so that Apache's workers can walk through
			site := filepath.Join(dir, "site")
			imca(demoToken, "issue", "www.example.com", "--out", site)

			client := func(name string) *tls.Certificate {
				at := filepath.Join(t.TempDir(), name)
				imca(operatorToken, "client", "keep", "--once", "--name", "callback.platform.internal", "--out", at)
				return pair(t, filepath.Join(at, "callback.platform.internal.crt"), filepath.Join(at, "callback.platform.internal.key"))
			}
			good, stolen := client("good"), client("stolen")
			crl := filepath.Join(site, "TencentQQAuthCA.crl")
			keepCRL := func(args ...string) string {
				return judge.Run(t, "imca", append([]string{"crl", "keep", "--once", "--url", state.BaseURL + "/crl/TencentQQAuthCA.crl",
					"--ca", filepath.Join(site, "TencentQQAuthCA.crt"), "--out", crl}, args...)...)
			}
			require.Contains(t, keepCRL(), "is new")
			require.Empty(t, keepCRL(), "it has not changed")

			type server struct {
				*judge.WebServer
				port, signal string
			}
			servers := make(map[string]server)
			for name, config := range map[string]string{
				"apache": "Listen PORT\nDefine IMCA_DIR " + site + "\nInclude " + site + "/apache/www.example.com.conf\n",
				"nginx":  "include " + site + "/nginx/www.example.com.conf;\n",
			} {
				port := strconv.Itoa(judge.FreePort(t))
				file := filepath.Join(site, name, "www.example.com.conf")
				listenOn(t, file, port)
				switchOn(t, file)
				config := judge.Site{Config: strings.ReplaceAll(config, "PORT", port), Addrs: []string{"127.0.0.1:" + port}}
				if name == "apache" {
					servers[name] = server{judge.Apache(t, config), port, "USR1"}
				} else {
					config.Dir = site
					servers[name] = server{judge.Nginx(t, config), port, "HUP"}
				}
			}
			roots := trustedBy(t, folder.path(state.CA))
			enters := func(s server, caller *tls.Certificate) bool {
				return call(t, s.port, roots, caller, tls.VersionTLS12) == http.StatusOK
			}
			for name, s := range servers {
				require.True(t, enters(s, good) && enters(s, stolen), "%s lets both in", name)
			}
			imca(operatorToken, "revoke", fmt.Sprintf("%034x", stolen.Leaf.SerialNumber), "--reason", "keyCompromise")
			awaitListed(t, state.BaseURL, stolen)
			reload := make([]string, 0, len(servers))
			for name, s := range servers {
				require.True(t, enters(s, stolen), "%s has not loaded the list yet", name)
				reload = append(reload, "kill -"+s.signal+" "+strconv.Itoa(s.PID()))
			}
			require.Contains(t, keepCRL("--reload", strings.Join(reload, " && ")), "is new")
			for name, s := range servers {
				require.Eventually(t, func() bool { return !enters(s, stolen) }, 20*time.Second, 50*time.Millisecond, "%s has loaded the list", name)
				require.True(t, enters(s, good), "%s lets the platform in", name)
			}

			// The server goes away: nothing worse is installed.
			before, err := os.ReadFile(crl)
			require.NoError(t, err)
			require.NoError(t, d.Signal(os.Interrupt))
			require.Eventually(t, func() bool {
				_, err := http.Get(state.BaseURL + "/healthz")
				return err != nil
			}, 20*time.Second, 50*time.Millisecond)
			cmd := exec.Command(judge.Path(t, "imca"), "crl", "keep", "--once", "--url", state.BaseURL+"/crl/TencentQQAuthCA.crl",
				"--ca", filepath.Join(site, "TencentQQAuthCA.crt"), "--out", crl)
			output, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s", output)
			require.Equal(t, exitUnreachable, exit.ExitCode(), "%s", output)
			after, err := os.ReadFile(crl)
			require.NoError(t, err)
			require.Equal(t, before, after)
		})
	}
}

// switchOn takes the # from the optional lines of a handed-out configuration.
func switchOn(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	on := strings.NewReplacer("#SSLCARevocation", "SSLCARevocation", "#ssl_crl", "ssl_crl").Replace(string(text))
	require.NotEqual(t, string(text), on)
	require.NoError(t, os.WriteFile(file, []byte(on), 0o600))
}

// awaitListed waits until a certificate is on the list that is served: that is promised within two seconds.
func awaitListed(t *testing.T, base string, revoked *tls.Certificate) {
	t.Helper()
	require.Eventually(t, func() bool {
		answer, err := http.Get(base + "/crl/TencentQQAuthCA.crl")
		if err != nil {
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		der, err := io.ReadAll(answer.Body)
		if err != nil {
			return false
		}
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return false
		}
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(revoked.Leaf.SerialNumber) == 0 {
				return true
			}
		}
		return false
	}, 20*time.Second, 50*time.Millisecond)
}
