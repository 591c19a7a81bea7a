package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"
)

// proofs are where a library shows what it was asked to: a web server, the zone shop.test, and a server that speaks acme-tls/1.
type proofs struct {
	*acmeWorld

	mu    sync.Mutex
	pages map[string]string           // http-01, by path
	keys  map[string]*tls.Certificate // tls-alpn-01, by name
	shown int                         // how many proofs
}

func newProofs(w *acmeWorld) *proofs {
	w.Helper()
	p := &proofs{acmeWorld: w, pages: make(map[string]string), keys: make(map[string]*tls.Certificate)}
	p.listen("127.0.0.1")
	return p
}

// listen shows them at an address of loopback.
func (p *proofs) listen(address string) {
	p.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", address, p.httpPort))
	require.NoError(p.T, err)
	pages := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(p.page)}}
	pages.Start()
	p.Cleanup(pages.Close)
	p.handshake(fmt.Sprintf("%s:%d", address, p.tlsPort), p.key)
}

// handshake speaks acme-tls/1 at an address, with certificates by name, until the test ends.
func (w *acmeWorld) handshake(address string, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) {
	w.Helper()
	l, err := tls.Listen("tcp", address, &tls.Config{NextProtos: []string{"acme-tls/1"}, GetCertificate: certificate})
	require.NoError(w.T, err)
	w.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake()
			_ = conn.Close()
		}
	}()
}

func (p *proofs) page(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text, found := p.pages[r.URL.Path]
	if !found {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write([]byte(text))
}

func (p *proofs) key(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key, found := p.keys[hello.ServerName]
	if !found {
		return nil, fmt.Errorf("there is no challenge for %q", hello.ServerName)
	}
	return key, nil
}

// show makes the proof of a challenge.
func (p *proofs) show(c acme.Challenge) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shown++
	switch c.Type {
	case acme.ChallengeTypeHTTP01:
		p.pages[c.HTTP01ResourcePath()] = c.KeyAuthorization
	case acme.ChallengeTypeDNS01:
		return p.addTXT(c.DNS01TXTRecordName(), c.DNS01KeyAuthorization())
	case acme.ChallengeTypeTLSALPN01:
		key, err := acmez.TLSALPN01ChallengeCert(c)
		if err != nil {
			return err
		}
		name := c.Identifier.Value
		if ip, err := netip.ParseAddr(name); err == nil { // RFC 8738, Section 6: its reverse name.
			reverse, err := dns.ReverseAddr(ip.String())
			if err != nil {
				return err
			}
			name = strings.TrimSuffix(reverse, ".")
		}
		p.keys[name] = key
	}
	return nil
}

// addTXT adds a record to the zone by DNS UPDATE.
func (p *proofs) addTXT(name, text string) error {
	update := new(dns.Msg).SetUpdate("shop.test.")
	update.Insert([]dns.RR{&dns.TXT{Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 1}, Txt: []string{text}}})
	answer, err := dns.Exchange(update, p.dns.Addr)
	if err == nil && answer.Rcode != dns.RcodeSuccess {
		err = fmt.Errorf("changing the zone: %s", dns.RcodeToString[answer.Rcode])
	}
	return err
}

// credential is one for accounts of the app demo.
func (w *acmeWorld) credential() (kid, key string) {
	w.Helper()
	var have struct {
		KeyID   string `json:"key_id"`
		HMACKey string `json:"hmac_key"`
	}
	require.NoError(w.T, w.ask(operatorToken, http.MethodPost, "/v1/apps/demo/eab", `{"name":"test"}`, http.StatusCreated, &have))
	return have.KeyID, have.HMACKey
}
