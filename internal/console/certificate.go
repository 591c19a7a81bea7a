package console

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// certificatePage is all that is known of one certificate.
type certificatePage struct {
	certificateLine
	Decoded  *decoded // nil while it is pending
	Chain    []link   // from the certificate to the root
	Findings []ca.Finding
	Served   []ca.Check // what found it in use
	Events   []ca.Event // nil for who may not read them
	Act      may
}

func (certificatePage) template() string { return "certificate" }

// may is what whoever is signed in may do with a certificate in its state.
type may struct{ Revoke, Hold, Release, Raise bool }

// Any tells whether there is anything.
func (m may) Any() bool { return m.Revoke || m.Release || m.Raise }

// decoded is what stands in a certificate, for people.
type decoded struct {
	Subject, Issuer    string
	Names              []string
	Usage              []string
	KeyUsage           []string
	PublicKey          string
	SignatureAlgorithm string
	KeyHash            string // SHA-256 of the SubjectPublicKeyInfo
	SHA256, SHA1       string
	SubjectKeyID       string
	AuthorityKeyID     string
	CRL, OCSP, CAURL   []string
	Bytes              int
}

// link is a certificate of the chain.
type link struct {
	Name        string
	Authority   string // its name as one of ours; empty for the leaf
	Fingerprint string
	NotAfter    string
}

func certificate(v *visit) error {
	cert, err := v.certificate()
	if err != nil {
		return err
	}
	p := certificatePage{certificateLine: v.lines([]*ca.Certificate{cert})[0], Act: v.mayDo(cert)}
	if p.Findings, err = v.ca.ExamineCertificate(v.context(), v.principal, cert.Serial); err != nil {
		return err
	}
	if err := p.decode(v.ca); err != nil {
		return err
	}
	if p.Served, err = v.served(cert.App, cert.Serial); err != nil {
		return err
	}
	if v.may(ca.ActReadEvents) {
		if p.Events, err = v.ca.ListEvents(v.context(), v.principal, ca.EventQuery{Object: cert.Serial.String(), Limit: 100}); err != nil {
			return err
		}
	}
	return v.show(p)
}

// certificate is the one in the path.
func (v *visit) certificate() (*ca.Certificate, error) {
	serial, err := v.serial()
	if err != nil {
		return nil, err
	}
	return v.ca.Certificate(v.context(), v.principal, serial)
}

// serial is the one in the path.
func (v *visit) serial() (pki.Serial, error) {
	serial, err := pki.ParseSerial(v.param("serial"))
	if err != nil {
		return serial, &ca.Error{Kind: ca.KindNotFound, Detail: fmt.Sprintf("There is no such certificate (%v): look it up in the list.", err), Err: err}
	}
	return serial, nil
}

// may tells whether who is signed in may do something at all.
func (v *visit) may(a ca.Action) bool { return v.principal.Role.May(a) && v.principal.Scopes.Allow(a) }

func (v *visit) mayDo(cert *ca.Certificate) may {
	held := cert.Revocation != nil && cert.Revocation.Reason == pki.CertificateHold
	return may{
		Revoke:  v.may(ca.ActRevoke) && (cert.Revocation == nil || held),
		Hold:    v.may(ca.ActHold) && cert.Revocation == nil,
		Release: v.may(ca.ActRelease) && held,
		Raise:   v.may(ca.ActRevoke) && cert.Revocation != nil && !held && cert.Revocation.Reason != pki.KeyCompromise,
	}
}

// decode reads the certificate.
func (p *certificatePage) decode(authority *ca.CA) error {
	der, err := p.DER()
	if err != nil || der == nil {
		return err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("reading the certificate %s: %w", p.Serial, err)
	}
	p.Decoded = decode(c)
	p.Chain = []link{{Name: c.Subject.CommonName, Fingerprint: p.Decoded.SHA256, NotAfter: c.NotAfter.Format("2006-01-02")}}
	for _, above := range chainOf(authority, p.Authority) {
		p.Chain = append(p.Chain, link{
			Name: above.Subject.CommonName, Authority: above.Subject.CommonName, Fingerprint: fingerprint(above.Raw), NotAfter: above.NotAfter.Format("2006-01-02"),
		})
	}
	return nil
}

// chainOf is an authority's certificate and those above it, the root last.
func chainOf(authority *ca.CA, name string) []*x509.Certificate {
	for _, i := range authority.Issuers() {
		if i.Name() == name {
			return append([]*x509.Certificate{i.Certificate()}, i.Chain()...)
		}
	}
	return nil
}

func decode(c *x509.Certificate) *decoded {
	sum := sha1.Sum(c.Raw) // some tools still show it
	d := &decoded{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), Names: slices.Clone(c.DNSNames), SignatureAlgorithm: c.SignatureAlgorithm.String(),
		KeyHash: fingerprint(c.RawSubjectPublicKeyInfo), SHA256: fingerprint(c.Raw), SHA1: hex.EncodeToString(sum[:]),
		SubjectKeyID: hex.EncodeToString(c.SubjectKeyId), AuthorityKeyID: hex.EncodeToString(c.AuthorityKeyId),
		CRL: c.CRLDistributionPoints, OCSP: c.OCSPServer, CAURL: c.IssuingCertificateURL, Bytes: len(c.Raw), PublicKey: c.PublicKeyAlgorithm.String(),
	}
	for _, ip := range c.IPAddresses {
		d.Names = append(d.Names, ip.String())
	}
	if kind, err := pki.KeyTypeOf(c.PublicKey); err == nil {
		d.PublicKey = string(kind)
	}
	usages := map[x509.ExtKeyUsage]string{x509.ExtKeyUsageServerAuth: "serverAuth", x509.ExtKeyUsageClientAuth: "clientAuth", x509.ExtKeyUsageOCSPSigning: "OCSPSigning"}
	for _, u := range c.ExtKeyUsage {
		d.Usage = append(d.Usage, usages[u])
	}
	for i, name := range []string{
		"digitalSignature", "contentCommitment", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly",
	} {
		if c.KeyUsage&(1<<i) != 0 {
			d.KeyUsage = append(d.KeyUsage, name)
		}
	}
	return d
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// downloadCertificate gives the certificate, or it and what stands above it up to the root, as PEM.
func downloadCertificate(v *visit) error {
	cert, err := v.certificate()
	if err != nil {
		return err
	}
	der, err := cert.DER()
	if err != nil {
		return err
	}
	if der == nil {
		return &ca.Error{Kind: ca.KindConflict, Detail: "This certificate is pending: there is no signature to give."}
	}
	pem := pki.EncodeCertificate(der)
	name := cert.Serial.String()
	if v.r.URL.Query().Get("chain") != "" {
		name += "-chain"
		for _, above := range chainOf(v.ca, cert.Authority) {
			pem = append(pem, pki.EncodeCertificate(above.Raw)...)
		}
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/x-pem-file")
	h.Set("Content-Disposition", `attachment; filename="`+name+`.pem"`)
	_, _ = v.w.Write(pem)
	return nil
}

// revokePage asks how one certificate shall end.
type revokePage struct {
	certificateLine
	Reasons []pki.Reason
	Reason  string // as chosen
	Faults  faults
}

func (revokePage) template() string { return "revoke-one" }

// Typed is what has to be typed to confirm: the first name.
func (p revokePage) Typed() string {
	if len(p.Names) == 0 {
		return p.Serial.String()
	}
	return p.Names[0].String()
}

func askRevoke(v *visit) error {
	cert, err := v.certificate()
	if err != nil {
		return err
	}
	return v.show(v.revokePage(cert))
}

func (v *visit) revokePage(cert *ca.Certificate) revokePage {
	p := revokePage{certificateLine: v.lines([]*ca.Certificate{cert})[0], Reasons: pki.LeafReasons()}
	act := v.mayDo(cert)
	switch {
	case act.Raise:
		p.Reasons = []pki.Reason{pki.KeyCompromise}
	case !act.Hold:
		p.Reasons = slices.DeleteFunc(p.Reasons, func(r pki.Reason) bool { return r == pki.CertificateHold })
	}
	return p
}

func revoke(v *visit) error {
	cert, err := v.certificate()
	if err != nil {
		return err
	}
	p := v.revokePage(cert)
	p.Reason = v.r.PostFormValue("reason")
	reason, err := pki.ParseReason(p.Reason)
	switch typed := strings.TrimSpace(v.r.PostFormValue("typed")); {
	case p.Reason == "" || err != nil:
		p.Faults = v.fault("reason", "revoke.choose")
	case !strings.EqualFold(typed, p.Typed()):
		p.Faults = v.fault("typed", "revoke.typed.wrong")
	default:
		_, err = v.ca.Revoke(v.context(), v.principal, cert.Serial, reason)
		if err == nil {
			return v.redirect(done(certificatesPath+"/"+cert.Serial.String(), "revoked"))
		}
		var again bool
		if p.Faults, again = refusal(err); !again {
			return err
		}
	}
	return v.showStatus(http.StatusUnprocessableEntity, p)
}

func release(v *visit) error {
	serial, err := v.serial()
	if err != nil {
		return err
	}
	if _, err := v.ca.Release(v.context(), v.principal, serial); err != nil {
		return err
	}
	return v.redirect(done(certificatesPath+"/"+serial.String(), "released"))
}
