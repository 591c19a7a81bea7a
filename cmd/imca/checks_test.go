package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/doorcheck"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/judge"
)

// TestCheckThroughTheServer has a real Apache checked by 'imca dev' with the CA's canaries: as it was handed out, and then loosened.
func TestCheckThroughTheServer(t *testing.T) {
	judge.Need(t, "apache2")
	folder := dataFolder(filepath.Join(t.TempDir(), "data"))
	d := startDev(t, string(folder), "sqlite:"+folder.path("imca.db"))
	state, err := folder.state()
	require.NoError(t, err)
	mine := filepath.Join(t.TempDir(), "mine")
	judge.Run(t, "imca", "issue", "www.example.com", "--out", mine, "--url", d.url, "--ca", folder.path(state.CA), "--token-file", folder.path(demoToken))
	require.NoError(t, os.Chmod(filepath.Dir(filepath.Dir(mine)), 0o711)) // so that Apache's workers can walk through

	port := strconv.Itoa(judge.FreePort(t))
	conf := filepath.Join(mine, "apache", "www.example.com.conf")
	listenOn(t, conf, port)
	server := judge.Apache(t, judge.Site{
		Config: "Listen " + port + "\nDefine IMCA_DIR " + mine + "\nInclude " + conf + "\n", Addrs: []string{"127.0.0.1:" + port},
	})
	check := func() (api.Check, doorcheck.Report) {
		var k api.Check
		var report doorcheck.Report
		body := `{"url":"https://www.example.com:` + port + `/callback","address":"127.0.0.1","callback":true}`
		require.NoError(t, d.ask(demoToken, "POST", "/v1/checks", body, http.StatusCreated, &k))
		require.NoError(t, json.Unmarshal(k.Report, &report))
		return k, report
	}
	imca := func(args ...string) (string, int) {
		output, err := judge.RunErr(t, "imca", append(args, "--url", d.url, "--ca", folder.path(state.CA), "--token-file", folder.path(demoToken))...)
		var ended *exec.ExitError
		if errors.As(err, &ended) {
			return output, ended.ExitCode()
		}
		require.NoError(t, err)
		return output, 0
	}
	endpoint := "https://www.example.com:" + port + "/callback"

	healthy, report := check()
	require.Equal(t, "healthy", healthy.Summary, doorcheck.Render(&report, doorcheck.Style{Verbose: true}))
	require.Less(t, report.TookMS, int64(2000))
	require.Equal(t, doorcheck.Yes, report.RefusesStrangers.Answer)
	require.Equal(t, doorcheck.Unknown, report.RefusesRevoked.Answer, "no list is loaded; but it was revoked a moment ago")
	shown := map[doorcheck.Role]doorcheck.Outcome{}
	for _, p := range report.Probes {
		if _, first := shown[p.Certificate]; !first {
			shown[p.Certificate] = p.Outcome
		}
	}
	for _, role := range []doorcheck.Role{doorcheck.AsDeveloper, doorcheck.AsExpired, doorcheck.AsStranger, doorcheck.AsNobody} {
		require.Equal(t, doorcheck.Refused, shown[role], role)
	}
	require.Equal(t, doorcheck.Admitted, shown[doorcheck.AsPlatform])
	require.Equal(t, doorcheck.Admitted, shown[doorcheck.AsRevoked])

	var canaries api.Page[api.CertificateSummary]
	require.NoError(t, d.ask(operatorToken, "GET", "/v1/certificates?profile="+issuer.CanaryProfile, "", http.StatusOK, &canaries))
	require.Len(t, canaries.Items, 4)
	require.NoError(t, d.ask(demoToken, "GET", "/v1/certificates?profile="+issuer.CanaryProfile, "", http.StatusOK, &canaries))
	require.Empty(t, canaries.Items)

	output, code := imca("check", endpoint, "--address", "127.0.0.1", "--callback")
	require.Equal(t, 0, code, output)
	require.Contains(t, output, "refuses strangers    yes")
	require.Contains(t, output, "Nothing has changed since "+healthy.ID)
	said := regexp.MustCompile("imca check (chk_[0-9a-f]+)").FindStringSubmatch(output)
	require.NotNil(t, said, output)
	healthy.ID = said[1]
	again, code := imca("check", healthy.ID)
	require.Equal(t, 0, code)
	require.Contains(t, again, endpoint)

	text, err := os.ReadFile(conf)
	require.NoError(t, err)
	loose := strings.Replace(string(text), "SSLVerifyClient require", "SSLVerifyClient optional", 1)
	require.NotEqual(t, string(text), loose)
	loose = strings.Replace(loose, "        Require expr", "        Require all granted\n        #Require expr", 1)
	require.NoError(t, os.WriteFile(conf, []byte(loose), 0o600))
	server.Reload(t)
	opened, report := check()
	require.Equal(t, "open", opened.Summary, doorcheck.Render(&report, doorcheck.Style{Verbose: true}))
	require.Equal(t, healthy.ID, opened.Since)
	require.NotNil(t, report.Finding("not_required"))
	worse := false
	for _, c := range opened.Changes {
		worse = worse || c.What == "refuses_strangers" && c.Worse
	}
	require.True(t, worse, opened.Changes)
	output, code = imca("check", endpoint, "--address", "127.0.0.1")
	require.Equal(t, (&doorcheck.Report{Summary: doorcheck.Open}).ExitCode(), code, output)
	output, code = imca("check", "--list", endpoint)
	require.Equal(t, 0, code)
	require.Equal(t, 2, strings.Count(output, "healthy"), output)
	require.Equal(t, 2, strings.Count(output, " open "), output)
	output, code = imca("check", "--list", "--json")
	require.Equal(t, 0, code)
	require.Contains(t, output, opened.ID)
	_, code = imca("check")
	require.Equal(t, exitUsage, code)
	_, code = imca("check", "https://www.example.com/?q")
	require.Equal(t, exitRefused, code)
	_, code = imca("check", "chk_nothing")
	require.Equal(t, exitRefused, code)
}

// TestWebhookIsDelivered has 'imca dev' tell a receiver on this machine, whose certificate is of the CA, that a door is closed to the platform.
func TestWebhookIsDelivered(t *testing.T) {
	folder := dataFolder(filepath.Join(t.TempDir(), "data"))
	d := startDev(t, string(folder), "sqlite:"+folder.path("imca.db"), "--resolver", judge.Knot(t, map[string]string{"test": "", "shop.test": "www A 127.0.0.1"}).Addr)
	state, err := folder.state()
	require.NoError(t, err)
	dir := t.TempDir()
	connection := []string{"--url", d.url, "--ca", folder.path(state.CA), "--token-file", folder.path(demoToken)}
	imca := func(args ...string) string { return judge.Run(t, "imca", append(args, connection...)...) }
	imca("issue", "www.shop.test", "--out", dir)

	got := make(chan string, 10)
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.Header.Get("webhook-signature") + " " + string(body)
	}))
	receiver.TLS = &tls.Config{Certificates: []tls.Certificate{*pair(t, filepath.Join(dir, "www.shop.test.crt"), filepath.Join(dir, "www.shop.test.key"))}}
	receiver.StartTLS()
	t.Cleanup(receiver.Close)
	_, port, err := net.SplitHostPort(receiver.Listener.Addr().String())
	require.NoError(t, err)

	var w api.Webhook
	require.NoError(t, json.Unmarshal([]byte(imca("webhook", "add", "https://www.shop.test:"+port+"/hook", "--json")), &w))
	require.NotEmpty(t, w.Secret)
	imca("webhook", "test", w.ID)
	require.Contains(t, <-got, `"type":"webhook.test"`)
	// The receiver asks for no certificate: everybody gets in.
	imca("endpoint", "add", "https://www.shop.test:"+port+"/hook")
	for message := ""; !strings.Contains(message, `"type":"endpoint.`); { // the check's own requests come to the same place
		message = <-got
		require.False(t, strings.HasPrefix(message, "v1,") && !strings.Contains(message, `"type":"endpoint.open"`), message)
	}
	require.Eventually(t, func() bool { return strings.Contains(imca("webhook", "list"), "delivered ") }, 10*time.Second, 50*time.Millisecond)
	require.Contains(t, imca("endpoint", "list"), "open")
	require.Contains(t, imca("webhook", "rotate", w.ID), "whsec_")
	imca("webhook", "remove", w.ID)
}

// TestThirdPartyCertificate: a server whose certificate is of a company's own CA is told so, until that CA is known.
func TestThirdPartyCertificate(t *testing.T) {
	judge.Need(t, "openssl")
	folder := dataFolder(filepath.Join(t.TempDir(), "data"))
	d := startDev(t, string(folder), "sqlite:"+folder.path("imca.db"))
	state, err := folder.state()
	require.NoError(t, err)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	judge.Run(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "30", "-subj", "/CN=A company",
		"-keyout", file("ca.key"), "-out", file("ca.crt"))
	judge.Run(t, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", "-days", "20", "-subj", "/CN=www.example.com",
		"-addext", "subjectAltName=DNS:www.example.com", "-addext", "basicConstraints=critical,CA:FALSE", "-CA", file("ca.crt"), "-CAkey", file("ca.key"),
		"-keyout", file("www.key"), "-out", file("www.crt"))
	platform := x509.NewCertPool()
	text, err := os.ReadFile(folder.path(state.CA))
	require.NoError(t, err)
	require.True(t, platform.AppendCertsFromPEM(text))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{*pair(t, file("www.crt"), file("www.key"))}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: platform}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	summary := func() (string, doorcheck.Report) {
		var k api.Check
		var report doorcheck.Report
		require.NoError(t, d.ask(demoToken, "POST", "/v1/checks", `{"url":"https://www.example.com:`+port+`/","address":"127.0.0.1"}`, http.StatusCreated, &k))
		require.NoError(t, json.Unmarshal(k.Report, &report))
		return k.Summary, report
	}
	before, report := summary()
	require.Equal(t, "locked_out", before)
	require.NotNil(t, report.Finding("unknown_issuer"), doorcheck.Render(&report, doorcheck.Style{}))
	imca := func(args ...string) string {
		return judge.Run(t, "imca", append(args, "--url", d.url, "--ca", folder.path(state.CA), "--token-file", folder.path(operatorToken))...)
	}
	fingerprint := regexp.MustCompile(`[0-9a-f]{64}`).FindString(imca("app", "root", "add", "demo", file("ca.crt")))
	after, report := summary()
	require.Equal(t, "healthy", after, doorcheck.Render(&report, doorcheck.Style{}))
	require.Nil(t, report.Finding("expires_soon"), "20 days are left")
	require.Contains(t, imca("app", "root", "list", "demo"), "CN=A company")
	imca("app", "root", "remove", "demo", fingerprint)
	before, _ = summary()
	require.Equal(t, "locked_out", before)
}
