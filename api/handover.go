package api

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/acmelines"
	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// authority is what goes along with a certificate of an authority, as PEM.
type authority struct {
	chain    []byte // the issuers up to the root, which is left out
	root     []byte
	rootName string
}

// authorities are those of a CA, by name.
func authorities(c *ca.CA) map[string]authority {
	names := make(map[string]string) // of the roots, by their DER
	for _, i := range c.Issuers() {
		names[string(i.Certificate().Raw)] = i.Name()
	}
	known := make(map[string]authority)
	for _, i := range c.Issuers() {
		a := authority{root: pki.EncodeCertificate(i.Root().Raw), rootName: names[string(i.Root().Raw)]}
		if path := i.Chain(); len(path) > 0 {
			a.chain = pki.EncodeCertificate(i.Certificate().Raw)
			for _, parent := range path[:len(path)-1] {
				a.chain = append(a.chain, pki.EncodeCertificate(parent.Raw)...)
			}
		}
		known[i.Name()] = a
	}
	return known
}

// authorityOf is the authority that signed a certificate.
func (d *door) authorityOf(cert *ca.Certificate) (authority, error) {
	a, known := d.authority[cert.Authority]
	if !known {
		return authority{}, fmt.Errorf("the authority %s of the certificate %s is not loaded", cert.Authority, cert.Serial)
	}
	return a, nil
}

// platform is whom the developers' servers are to let in.
type platform struct {
	profiles  []string // those of its certificates
	authority string   // who issues them; empty where nobody here does
	name      pki.Name
	depth     int // how many certificates lead from its certificate to the root, the root included
	crlURLs   []string
}

func findPlatform(c *ca.CA, name pki.Name) platform {
	found := platform{name: name}
	if name.IsZero() {
		found.name, _ = pki.ParseName("callback.platform.internal")
	}
	for _, i := range c.Issuers() {
		for _, profile := range i.Profiles() {
			if profile.EKU == x509.ExtKeyUsageClientAuth {
				found.profiles = append(found.profiles, profile.Name)
				found.authority, found.depth = i.Name(), 1+len(i.Chain())
				found.crlURLs = crlURLs(c, append([]*x509.Certificate{i.Certificate()}, i.Chain()...))
			}
		}
	}
	return found
}

// crlURLs are where the lists of the authorities on a path are; none, unless all of them have one.
func crlURLs(c *ca.CA, path []*x509.Certificate) (list []string) {
	for _, certificate := range path {
		for _, i := range c.Issuers() {
			if i.Certificate().Equal(certificate) && i.CRLURL() != "" {
				list = append(list, i.CRLURL())
			}
		}
	}
	if len(list) != len(path) {
		return nil
	}
	return list
}

// deliver hands an issued certificate over, as JSON, zip or key store.
func (d *door) deliver(c *call, issued *ca.Issued, form, password string) error {
	cert := issued.Certificate
	if form == PKCS12 && issued.Replayed {
		return web.Refuse(ca.KindConflict, "The certificate %s was made by an earlier request, whose answer alone had the key: fetch it as JSON, or renew it to get a key store with a new key.", cert.Serial)
	}
	by, err := d.authorityOf(cert)
	if err != nil {
		return err
	}
	answer, err := full(cert, by, d.frame.Now())
	if err != nil {
		return err
	}
	answer.PrivateKey = string(issued.PrivateKey)
	if form == JSON {
		return c.answer(c.created(answer.path(), issued.Replayed), answer)
	}
	if answer.Certificate == "" { // revoked while it was pending, and found by its idempotency key
		return web.Refuse(ca.KindConflict, "The certificate %s has no signature (status %s), so there is nothing to hand over: issue another, with a new Idempotency-Key.", cert.Serial, answer.Status)
	}
	in := bundle.Input{
		Certificate: []byte(answer.Certificate), Chain: by.chain, Key: issued.PrivateKey, Root: bundle.Authority{Name: by.rootName, Certificates: by.root},
	}
	ending, content := ".p12", []byte(nil)
	if form == PKCS12 {
		content, err = bundle.KeyStore(in, password)
	} else {
		ending = ".zip"
		server := d.acmeServer(c)
		if _, err := acmeLines(server, acmelines.Credential{}, nil); err == nil { // else the Host is a strange one, which shall not cost a key that is shown once
			in.Renewal = bundle.Renewal{Server: server, Bound: cert.App != d.openApp}
		}
		content, err = d.pack(in)
	}
	if err != nil {
		return fmt.Errorf("packing the certificate %s: %w", cert.Serial, err)
	}
	return c.file(c.created(answer.path(), issued.Replayed), form, fileName(cert)+ending, content)
}

// pack makes the bundle for a developer's server.
func (d *door) pack(in bundle.Input) ([]byte, error) {
	client := d.authority[d.platform.authority]
	in.ClientCA = bundle.Authority{Name: client.rootName, Certificates: client.root}
	in.ClientName, in.VerifyDepth, in.CRLURLs = d.platform.name, d.platform.depth, d.platform.crlURLs
	var archive bytes.Buffer
	if err := bundle.Zip(&archive, in, d.frame.Now()); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}

// fileName is what the files of a certificate are called, without their ending: by its first host name, as in the bundle.
func fileName(cert *ca.Certificate) string {
	for _, n := range cert.Names {
		if !n.IsIP() {
			return bundle.Stem(n)
		}
	}
	return bundle.Stem(cert.Names[0])
}

// checkForm refuses what could not be handed over, before anything is issued for it.
func (d *door) checkForm(form, profile, csr, password string) error {
	invalid := func(field, detail string) error { return &ca.Error{Kind: ca.KindInvalid, Field: field, Detail: detail} }
	switch {
	case form != PKCS12 && password != "":
		return invalid("/pkcs12_password", "A password is for key stores only: leave it out, or ask for one with the header 'Accept: "+PKCS12+"'.")
	case form == PKCS12 && csr != "":
		return invalid("/csr", "The key of a CSR stays with you, so no key store can be made here: ask for JSON or zip, and pack it with 'openssl pkcs12 -export'.")
	case form == PKCS12 && (len(password) < 6 || strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r > '~' })):
		return invalid("/pkcs12_password", "A key store needs a password of 6 to 256 printable ASCII characters, which all programs read alike.")
	case form == Zip && slices.Contains(d.platform.profiles, profile):
		return web.Refuse(web.KindNotAcceptable, "The zip configures servers, and certificates of profile %s are for callers: ask for %s or %s.", profile, JSON, PKCS12)
	case form == Zip && d.platform.authority == "":
		return web.Refuse(ca.KindUnavailable, "No authority here issues the platform's client certificate, so no configuration can be made that admits it: ask for %s, or ask the operator.", JSON)
	}
	return nil
}
