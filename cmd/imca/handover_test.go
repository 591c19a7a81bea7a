package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
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

// TestWholeWay goes the way of a newcomer, in each hierarchy: 'imca dev', 'imca issue', Apache and nginx with the files as they were written.
// The platform gets in, and nobody else does.
func TestWholeWay(t *testing.T) {
	judge.Need(t, "apache2", "nginx")
	for _, hierarchy := range ca.Hierarchies() {
		t.Run(string(hierarchy), func(t *testing.T) {
			folder := dataFolder(filepath.Join(t.TempDir(), "data"))
			d := startDev(t, string(folder), "sqlite:"+folder.path("imca.db"), "--hierarchy", string(hierarchy))
			state, err := folder.state()
			require.NoError(t, err)
			imca := func(args ...string) {
				judge.Run(t, "imca", append(args, "--url", d.url, "--ca", folder.path(state.CA), "--token-file", folder.path(demoToken))...)
			}
			dir := t.TempDir()
			require.NoError(t, os.Chmod(filepath.Dir(dir), 0o711)) // so that Apache's workers can walk through
			mine, other := filepath.Join(dir, "mine"), filepath.Join(dir, "other")
			imca("issue", "www.example.com", "--out", mine)
			imca("issue", "other.example.com", "--out", other, "--local-key")

			callers := map[string]*tls.Certificate{
				"nobody":            nil,
				"the platform":      pair(t, folder.path(platformCert), folder.path(platformKey)),
				"another developer": pair(t, filepath.Join(other, "other.example.com.crt"), filepath.Join(other, "other.example.com.key")),
				"the site itself":   pair(t, filepath.Join(mine, "www.example.com.crt"), filepath.Join(mine, "www.example.com.key")),
			}
			for server, config := range map[string]string{
				"apache": "Listen PORT\nDefine IMCA_DIR " + mine + "\nInclude " + mine + "/apache/www.example.com.conf\n",
				"nginx":  "include " + mine + "/nginx/www.example.com.conf;\n",
			} {
				port := strconv.Itoa(judge.FreePort(t))
				listenOn(t, filepath.Join(mine, server, "www.example.com.conf"), port)
				site := judge.Site{Config: strings.ReplaceAll(config, "PORT", port), Addrs: []string{"127.0.0.1:" + port}}
				if server == "apache" {
					judge.Apache(t, site)
				} else {
					site.Dir = mine
					judge.Nginx(t, site)
				}
				address := []string{"check", "https://www.example.com:" + port + "/", "--address", "127.0.0.1"}
				healthy := judge.Run(t, "imca", append(address, "--data", string(folder))...)
				require.Contains(t, healthy, "www.example.com")
				theirs := filepath.Join(other, "other.example.com")
				_, err := judge.RunErr(t, "imca", append(address, "--data", string(folder), "--cert", theirs+".crt", "--key", theirs+".key")...)
				var ended *exec.ExitError
				require.ErrorAs(t, err, &ended)
				require.NotZero(t, ended.ExitCode(), "who shows another developer's certificate is not let in as the platform")
				for name, caller := range callers {
					for version, number := range map[string]uint16{"TLS 1.2": tls.VersionTLS12, "TLS 1.3": tls.VersionTLS13} {
						status := call(t, port, trustedBy(t, folder.path(state.CA)), caller, number)
						if name == "the platform" {
							require.Equal(t, http.StatusOK, status, "%s, %s, %s", server, name, version)
						} else {
							require.NotEqual(t, http.StatusOK, status, "%s, %s, %s", server, name, version)
						}
					}
				}
			}
		})
	}
}

// listenOn changes the port of a handed-out configuration, and where it is a matter of the test, nothing else.
func listenOn(t *testing.T, file, port string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	changed := strings.NewReplacer("*:443", "127.0.0.1:"+port, "listen 443", "listen 127.0.0.1:"+port, "Define IMCA_DIR conf", "").Replace(string(text))
	require.Contains(t, changed, port)
	require.NoError(t, os.WriteFile(file, []byte(changed), 0o600))
}

func pair(t *testing.T, crt, key string) *tls.Certificate {
	t.Helper()
	p, err := tls.LoadX509KeyPair(crt, key)
	require.NoError(t, err)
	return &p
}

func trustedBy(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(text))
	return roots
}

// call is the status with which the site answers a caller; 0 where it refuses the connection.
func call(t *testing.T, port string, roots *x509.CertPool, caller *tls.Certificate, version uint16) int {
	t.Helper()
	return callAs(t, port, "www.example.com", roots, caller, version)
}

// callAs is the same for a site of another name.
func callAs(t *testing.T, port, host string, roots *x509.CertPool, caller *tls.Certificate, version uint16) int {
	t.Helper()
	cfg := &tls.Config{RootCAs: roots, MinVersion: version, MaxVersion: version}
	if caller != nil {
		// Whatever the server asks for, this one is shown.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return caller, nil }
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		}}}
	response, err := client.Get("https://" + host + "/")
	if err != nil {
		require.NotContains(t, err.Error(), "failed to verify", "the caller knows the site in every case")
		require.Contains(t, err.Error(), "remote error: tls:")
		return 0
	}
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode
}
