package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// receiver takes messages, and holds them against the secret that the page has shown.
type receiver struct {
	url    string
	secret atomic.Pointer[string]
	got    chan string // "genuine", or what is wrong
}

// newReceiver has a certificate of the CA for a name.
func newReceiver(t *testing.T, d *dev, name string) *receiver {
	var issued struct {
		Certificate string
		PrivateKey  string `json:"private_key"`
	}
	require.NoError(t, d.ask(demoToken, "POST", "/v1/certificates", fmt.Sprintf(`{"domain":%q}`, name), http.StatusCreated, &issued))
	pair, err := tls.X509KeyPair([]byte(issued.Certificate), []byte(issued.PrivateKey))
	require.NoError(t, err)
	r := &receiver{got: make(chan string, 10)}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		if q.Header.Get("webhook-id") != "" {
			r.got <- r.judge(q.Header, body)
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	r.url = "https://" + name + ":" + port + "/imca"
	return r
}

// judge is what Standard Webhooks asks of whoever receives a message.
func (r *receiver) judge(header http.Header, body []byte) string {
	secret := r.secret.Load()
	if secret == nil {
		return "a message without a secret"
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(*secret, "whsec_"))
	if err != nil {
		return err.Error()
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", header.Get("webhook-id"), header.Get("webhook-timestamp"), body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); !strings.Contains(header.Get("webhook-signature"), want) {
		return "the signature is another: " + header.Get("webhook-signature")
	}
	return "genuine"
}

// watchIt goes on from a green check: the server is checked from now on, and a receiver is told, as the pages say.
func watchIt(t *testing.T, r *reader, told *receiver) {
	r.click(`form[action$="/endpoints"] button`, "#endpoint .state.good")
	r.look("endpoint")
	r.click(`nav a[href$="/endpoints"]`, "#webhook-url")
	r.look("endpoints")
	r.do(chromedp.SendKeys("#webhook-url", told.url, chromedp.ByQuery))
	r.click(`form[action$="/webhooks"] button`, "#secret")
	secret := r.copied("#secret")
	require.True(t, strings.HasPrefix(secret, "whsec_"), secret)
	told.secret.Store(&secret)
	r.look("webhook-secret")
	r.click("main a.button", `[id^="test-whk"]`)
	r.do(chromedp.Focus(`[id^="test-whk"]`, chromedp.ByQuery), chromedp.KeyEvent("\r"), chromedp.WaitVisible("#webhook-list .state.good", chromedp.ByQuery))
	require.Equal(t, "genuine", <-told.got)
	r.look("webhooks")
	r.click(`[id^="rotate-whk"]`, "#secret")
	require.NotEqual(t, secret, r.copied("#secret"))
	r.look("webhook-rotated")
	r.click("main a.button", `[id^="remove-whk"]`)
	r.click(`[id^="remove-whk"]`, "#webhook-list .empty")
	r.click(`main a[href*="/endpoints/"]`, "main details")
	r.click("main details summary", "main details button")
	r.click("main details button", "#endpoint-list .empty")
}

// TestOperatorsTokensInABrowser: an administrator makes a token that is good for little, whose holder then sees little; the keyboard is enough.
func TestOperatorsTokensInABrowser(t *testing.T) {
	judge.Need(t, "chromium")
	folder := dataFolder(t.TempDir())
	d := startDev(t, string(folder), "sqlite:"+folder.path("imca.db"))
	admin := judge.Run(t, "imca", "token", "create", "--role", "admin", "--name", "alice", "--data", string(folder))
	for _, language := range []string{"en", "zh-CN"} {
		t.Run(language, func(t *testing.T) {
			r := newReader(t, d.url, language)
			signIn := func(token string) {
				r.do(chromedp.Navigate(d.url+"/console/tokens"), chromedp.WaitVisible("#token", chromedp.ByQuery), chromedp.SendKeys("#token", token+"\r", chromedp.ByQuery))
			}
			signIn(secretIn(admin))
			r.do(chromedp.WaitVisible("#make", chromedp.ByQuery))
			r.look("tokens")
			r.do(chromedp.SendKeys("#token-name", "night watch", chromedp.ByQuery), chromedp.Focus("#role-operator", chromedp.ByQuery), chromedp.KeyEvent(" "))
			r.do(chromedp.Focus("#make summary", chromedp.ByQuery), chromedp.KeyEvent("\r"), chromedp.WaitVisible(`[id="scope-event.read"]`, chromedp.ByQuery))
			var visible bool
			r.do(chromedp.Evaluate(`document.getElementById("scope-authority.create").offsetParent !== null`, &visible))
			require.False(t, visible, "an operator makes no authorities")
			for _, scope := range []string{"event.read", "session.sign-in", "session.sign-out"} {
				r.do(chromedp.Focus(`[id="scope-`+scope+`"]`, chromedp.ByQuery), chromedp.KeyEvent(" "))
			}
			r.look("token-scopes")
			r.do(chromedp.Focus("#make .actions button", chromedp.ByQuery), chromedp.KeyEvent("\r"), chromedp.WaitVisible("#secret", chromedp.ByQuery))
			r.look("token-secret")
			secret := r.copied("#secret")
			r.click("main a.button", "#make")
			r.click(`form[action="/signout"] button`, "#token")

			r.do(chromedp.Navigate(d.url+"/console/events"), chromedp.WaitVisible("#token", chromedp.ByQuery), chromedp.SendKeys("#token", secret+"\r", chromedp.ByQuery),
				chromedp.WaitVisible("main table", chromedp.ByQuery))
			var entries int
			r.do(chromedp.Evaluate(`document.querySelectorAll("nav.menu a").length`, &entries))
			require.Equal(t, 1, entries, "events, and nothing else")
			r.look("token-scoped")
		})
	}
}

// secretIn is the token in what a command has printed.
func secretIn(output string) string {
	for _, word := range strings.Fields(output) {
		if strings.HasPrefix(word, "imca_") {
			return word
		}
	}
	return ""
}
