package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	eggsampler "github.com/eggsampler/acme/v3"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
	"github.com/stretchr/testify/require"
	xacme "golang.org/x/crypto/acme"

	"github.com/imca-project/imca/internal/judge"
	"github.com/imca-project/imca/internal/pki"
)

// library is an ACME client to link, registered with an account of its own.
type library interface {
	// obtain gets a chain for names, each proven by a method, in place of another certificate if there is one and the library can say so.
	obtain(p *proofs, method string, key crypto.Signer, replaced *x509.Certificate, names ...string) ([]*x509.Certificate, error)
	// window is when the CA wants a certificate renewed (RFC 9773); zero where the library does not ask.
	window(ctx context.Context, leaf *x509.Certificate) (start, end time.Time, err error)
	// revoke revokes a certificate by the account, or by the certificate's key.
	revoke(ctx context.Context, leaf *x509.Certificate, key crypto.Signer) error
}

// opening registers an account with a key and a credential, at a directory.
type opening func(ctx context.Context, client *http.Client, directory string, key crypto.Signer, kid, mac string) (library, error)

// TestLibraries: every library registers with EC and RSA keys by a credential, proves names of all kinds in every way that there is, renews, and
// revokes by its account and by the certificate's key.
func TestLibraries(t *testing.T) {
	judge.Long(t)
	judge.Need(t, "knotd", "imca")
	w := newACMEWorld(t, "--acme-eab", "required")
	p := newProofs(w)
	count := 0
	for name, open := range map[string]opening{"acmez": openACMEZ, "eggsampler": openEggsampler, "x-crypto": openXCrypto} {
		for kind, keyType := range map[string]pki.KeyType{"EC": "ecdsa-p256", "RSA": "rsa-2048"} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				kid, mac := w.credential()
				key, err := keyType.Generate()
				require.NoError(t, err)
				l, err := open(t.Context(), w.client, w.directory(), key, kid, mac)
				require.NoError(t, err)
				count++
				testLibrary(t, p, l, strings.ToLower(name+"-"+kind), fmt.Sprintf("127.0.%d.1", count), fmt.Sprintf("127.0.%d.2", count))
			})
		}
	}
}

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// testLibrary goes by names below label.shop.test, and by two addresses that nobody has proven.
func testLibrary(t *testing.T, p *proofs, l library, label, one, other string) {
	p.listen(one)
	p.listen(other)
	key := newECKey(t)
	var last *x509.Certificate
	for _, c := range []struct {
		method string
		names  []string
	}{
		{acme.ChallengeTypeHTTP01, []string{label + "-http.shop.test", label + "-http2.shop.test"}},
		{acme.ChallengeTypeTLSALPN01, []string{label + "-tls.shop.test"}},
		{acme.ChallengeTypeDNS01, []string{"*." + label + ".shop.test", label + ".shop.test"}},
		{acme.ChallengeTypeHTTP01, []string{one}},
		{acme.ChallengeTypeTLSALPN01, []string{other}},
	} {
		before := p.shown
		chain, err := l.obtain(p, c.method, key, nil, c.names...)
		require.NoError(t, err, "%s %v", c.method, c.names)
		require.Equal(t, before+len(c.names), p.shown, "each name is proven")
		requireChainFor(t, p.acmeWorld, chain, c.names...)
		last = chain[0]
	}
	start, end, err := l.window(t.Context(), last)
	require.NoError(t, err)
	if !start.IsZero() {
		require.True(t, last.NotBefore.Before(start) && start.Before(end) && end.Before(last.NotAfter), "%v to %v", start, end)
	}
	renewed, err := l.obtain(p, acme.ChallengeTypeHTTP01, key, last, other)
	require.NoError(t, err)
	require.NotEqual(t, last.SerialNumber, renewed[0].SerialNumber)

	require.NoError(t, l.revoke(t.Context(), last, nil))
	p.requireStatus(last, "revoked")
	p.requireStatus(renewed[0], "valid")
	require.NoError(t, l.revoke(t.Context(), renewed[0], key))
	p.requireStatus(renewed[0], "revoked")
}

// requireChainFor asserts that a chain is a leaf for names and its root.
func requireChainFor(t *testing.T, w *acmeWorld, chain []*x509.Certificate, names ...string) {
	t.Helper()
	require.Len(t, chain, 2)
	have := slices.Clone(chain[0].DNSNames)
	for _, ip := range chain[0].IPAddresses {
		have = append(have, ip.String())
	}
	require.ElementsMatch(t, names, have)
	roots := x509.NewCertPool()
	roots.AddCert(chain[1])
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots})
	require.NoError(t, err)
}

func request(key crypto.Signer, names ...string) (*x509.CertificateRequest, error) {
	template := new(x509.CertificateRequest)
	for _, n := range names {
		if ip, err := netip.ParseAddr(n); err == nil {
			template.IPAddresses = append(template.IPAddresses, ip.AsSlice())
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificateRequest(der)
}

// acmezLibrary is github.com/mholt/acmez, which Caddy is made with.
type acmezLibrary struct {
	client  *acme.Client
	account acme.Account
}

func openACMEZ(ctx context.Context, client *http.Client, directory string, key crypto.Signer, kid, mac string) (library, error) {
	l := &acmezLibrary{client: &acme.Client{Directory: directory, HTTPClient: client}}
	account := acme.Account{Contact: []string{"mailto:ops@shop.test"}, TermsOfServiceAgreed: true, PrivateKey: key}
	if err := account.SetExternalAccountBinding(ctx, l.client, acme.EAB{KeyID: kid, MACKey: mac}); err != nil {
		return nil, err
	}
	var err error
	l.account, err = l.client.NewAccount(ctx, account)
	return l, err
}

// solver shows the proofs of acmez.
type solver struct{ *proofs }

func (s solver) Present(_ context.Context, c acme.Challenge) error { return s.show(c) }
func (s solver) CleanUp(context.Context, acme.Challenge) error     { return nil }

func (l *acmezLibrary) obtain(p *proofs, method string, key crypto.Signer, replaced *x509.Certificate, names ...string) ([]*x509.Certificate, error) {
	csr, err := request(key, names...)
	if err != nil {
		return nil, err
	}
	params, err := acmez.OrderParametersFromCSR(l.account, csr)
	if err != nil {
		return nil, err
	}
	params.Replaces = replaced
	client := acmez.Client{Client: l.client, ChallengeSolvers: map[string]acmez.Solver{method: solver{p}}}
	certificates, err := client.ObtainCertificate(p.Context(), params)
	if err != nil {
		return nil, err
	}
	return pki.ParseCertificates(certificates[0].ChainPEM)
}

func (l *acmezLibrary) window(ctx context.Context, leaf *x509.Certificate) (start, end time.Time, err error) {
	info, err := l.client.GetRenewalInfo(ctx, leaf)
	return info.SuggestedWindow.Start, info.SuggestedWindow.End, err
}

func (l *acmezLibrary) revoke(ctx context.Context, leaf *x509.Certificate, key crypto.Signer) error {
	return l.client.RevokeCertificate(ctx, l.account, leaf, key, acme.ReasonSuperseded)
}

// eggsamplerLibrary is github.com/eggsampler/acme.
type eggsamplerLibrary struct {
	client  eggsampler.Client
	account eggsampler.Account
}

func openEggsampler(_ context.Context, client *http.Client, directory string, key crypto.Signer, kid, mac string) (library, error) {
	c, err := eggsampler.NewClient(directory, eggsampler.WithHTTPClient(client))
	if err != nil {
		return nil, err
	}
	account, err := c.NewAccountOptions(key, eggsampler.NewAcctOptAgreeTOS(), eggsampler.NewAcctOptWithContacts("mailto:ops@shop.test"),
		eggsampler.NewAcctOptExternalAccountBinding(eggsampler.ExternalAccountBinding{KeyIdentifier: kid, MacKey: mac, Algorithm: "HS256", HashFunc: crypto.SHA256}))
	return &eggsamplerLibrary{c, account}, err
}

func (l *eggsamplerLibrary) obtain(p *proofs, method string, key crypto.Signer, replaced *x509.Certificate, names ...string) ([]*x509.Certificate, error) {
	var identifiers []eggsampler.Identifier
	for _, n := range names {
		kind := "dns"
		if _, err := netip.ParseAddr(n); err == nil {
			kind = "ip"
		}
		identifiers = append(identifiers, eggsampler.Identifier{Type: kind, Value: n})
	}
	order, err := l.client.ReplacementOrder(l.account, replaced, identifiers)
	if err != nil {
		return nil, err
	}
	for _, url := range order.Authorizations {
		authorization, err := l.client.FetchAuthorization(l.account, url)
		if err != nil {
			return nil, err
		}
		if authorization.Status == "valid" {
			continue
		}
		c, offered := authorization.ChallengeMap[method]
		if !offered {
			return nil, fmt.Errorf("%s is not offered for %s", method, authorization.Identifier.Value)
		}
		err = p.show(acme.Challenge{
			Type: method, Token: c.Token, KeyAuthorization: c.KeyAuthorization,
			Identifier: acme.Identifier{Type: authorization.Identifier.Type, Value: authorization.Identifier.Value},
		})
		if err != nil {
			return nil, err
		}
		if _, err := l.client.UpdateChallenge(l.account, c); err != nil {
			return nil, err
		}
	}
	csr, err := request(key, names...)
	if err != nil {
		return nil, err
	}
	if order, err = l.client.FinalizeOrder(l.account, order, csr); err != nil {
		return nil, err
	}
	return l.client.FetchCertificates(l.account, order.Certificate)
}

func (l *eggsamplerLibrary) window(_ context.Context, leaf *x509.Certificate) (start, end time.Time, err error) {
	info, err := l.client.GetRenewalInfo(leaf)
	return info.SuggestedWindow.Start, info.SuggestedWindow.End, err
}

func (l *eggsamplerLibrary) revoke(_ context.Context, leaf *x509.Certificate, key crypto.Signer) error {
	if key == nil {
		key = l.account.PrivateKey
	}
	return l.client.RevokeCertificate(l.account, leaf, key, 4)
}

// xcryptoLibrary is golang.org/x/crypto/acme, which autocert is made with.
type xcryptoLibrary struct{ client *xacme.Client }

func openXCrypto(ctx context.Context, client *http.Client, directory string, key crypto.Signer, kid, mac string) (library, error) {
	secret, err := base64.RawURLEncoding.DecodeString(mac)
	if err != nil {
		return nil, err
	}
	c := &xacme.Client{Key: key, HTTPClient: client, DirectoryURL: directory}
	_, err = c.Register(ctx, &xacme.Account{ExternalAccountBinding: &xacme.ExternalAccountBinding{KID: kid, Key: secret}}, xacme.AcceptTOS)
	return &xcryptoLibrary{c}, err
}

func (l *xcryptoLibrary) obtain(p *proofs, method string, key crypto.Signer, _ *x509.Certificate, names ...string) ([]*x509.Certificate, error) {
	var identifiers []xacme.AuthzID
	for _, n := range names {
		kind := "dns"
		if _, err := netip.ParseAddr(n); err == nil {
			kind = "ip"
		}
		identifiers = append(identifiers, xacme.AuthzID{Type: kind, Value: n})
	}
	ctx := p.Context()
	order, err := l.client.AuthorizeOrder(ctx, identifiers)
	if err != nil {
		return nil, err
	}
	for _, url := range order.AuthzURLs {
		if err := l.prove(p, method, url); err != nil {
			return nil, err
		}
	}
	if order, err = l.client.WaitOrder(ctx, order.URI); err != nil {
		return nil, err
	}
	csr, err := request(key, names...)
	if err != nil {
		return nil, err
	}
	ders, _, err := l.client.CreateOrderCert(ctx, order.FinalizeURL, csr.Raw, true)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificates(slices.Concat(ders...))
}

func (l *xcryptoLibrary) prove(p *proofs, method, url string) error {
	ctx := p.Context()
	authorization, err := l.client.GetAuthorization(ctx, url)
	if err != nil || authorization.Status == xacme.StatusValid {
		return err
	}
	i := slices.IndexFunc(authorization.Challenges, func(c *xacme.Challenge) bool { return c.Type == method })
	if i < 0 {
		return fmt.Errorf("%s is not offered for %s", method, authorization.Identifier.Value)
	}
	c := authorization.Challenges[i]
	keyAuthorization, err := l.client.HTTP01ChallengeResponse(c.Token)
	if err != nil {
		return err
	}
	err = p.show(acme.Challenge{
		Type: method, Token: c.Token, KeyAuthorization: keyAuthorization,
		Identifier: acme.Identifier{Type: authorization.Identifier.Type, Value: authorization.Identifier.Value},
	})
	if err != nil {
		return err
	}
	if _, err := l.client.Accept(ctx, c); err != nil {
		return err
	}
	_, err = l.client.WaitAuthorization(ctx, url)
	return err
}

// window: the library does not ask for it yet.
func (l *xcryptoLibrary) window(context.Context, *x509.Certificate) (start, end time.Time, err error) {
	return start, end, nil
}

func (l *xcryptoLibrary) revoke(ctx context.Context, leaf *x509.Certificate, key crypto.Signer) error {
	return l.client.RevokeCert(ctx, key, leaf.Raw, xacme.CRLReasonSuperseded)
}
