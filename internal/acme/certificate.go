package acme

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// issuedProfile is the profile of an order that names none.
const issuedProfile = "server"

// profiles are those that a developer may ask for, with what the directory says about them.
func profiles(c *ca.CA) map[string]string {
	found := make(map[string]string)
	for _, i := range c.Issuers() {
		for _, p := range i.Profiles() {
			if p.EKU == x509.ExtKeyUsageServerAuth {
				const day = 24 * 60 * 60
				found[p.Name] = fmt.Sprintf("The certificate of a developer's server, for %d days.", int(p.DefaultValidity.Seconds())/day)
			}
		}
	}
	return found
}

// chain is what follows the leaf in a certificate chain, and how the authority is named in the IDs of RFC 9773.
type chain struct {
	pem   []byte
	keyID []byte
}

// chains are those of the authorities as they are now.
func (d *door) chains() map[string]chain {
	return d.issuers.Of(d.CA, func() map[string]chain { return chains(d.CA) })
}

// chains are those of all authorities. Behind an intermediate the root is left out; where the root signs leaves itself it is there, although
// whoever trusts it has it: certbot, mod_md and others refuse a chain of one certificate.
func chains(c *ca.CA) map[string]chain {
	found := make(map[string]chain)
	for _, i := range c.Issuers() {
		text := pki.EncodeCertificate(i.Certificate().Raw)
		if above := i.Chain(); len(above) > 0 {
			for _, certificate := range above[:len(above)-1] {
				text = append(text, pki.EncodeCertificate(certificate.Raw)...)
			}
		}
		found[i.Name()] = chain{text, i.Certificate().SubjectKeyId}
	}
	return found
}

// certificate gives the chain of a certificate (RFC 8555, Section 7.4.2), leaf first. Every account of the app may have it.
func (d *door) certificate(q *request) error {
	if err := q.onlyRead(); err != nil {
		return err
	}
	serial, err := pki.ParseSerial(param(q.r, "serial"))
	if err != nil {
		return missing("certificate")
	}
	c, err := d.CA.Certificate(q.r.Context(), d.principal(q), serial)
	if err != nil {
		return err
	}
	der, err := c.DER()
	if err != nil {
		return fmt.Errorf("assembling the certificate %s: %w", serial, err)
	}
	if der == nil {
		return missing("certificate")
	}
	above, known := d.chains()[c.Authority]
	if !known {
		return ca.NotHereYet(c.Authority)
	}
	q.header("Content-Type", "application/pem-certificate-chain")
	q.w.WriteHeader(http.StatusOK)
	_, _ = q.w.Write(append(pki.EncodeCertificate(der), above.pem...))
	return nil
}

// revoke ends a certificate (RFC 8555, Section 7.6): for an account of its app, for one whose app has all of its names by now, or for whoever holds
// its key: then the key is in question, whatever reason was given.
func (d *door) revoke(q *request) error {
	var req struct {
		Certificate string `json:"certificate"`
		Reason      int    `json:"reason"`
	}
	if err := q.decode(&req); err != nil {
		return err
	}
	reason := pki.Reason(req.Reason)
	if !slices.Contains(pki.LeafReasons(), reason) || reason == pki.CertificateHold {
		return web.Refuse(ca.KindBadReason, "The reason %d does not fit such a certificate: use one of %s.", req.Reason, reasons())
	}
	der, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(req.Certificate, "="))
	if err != nil {
		return web.Refuse(ca.KindMalformed, "\"certificate\" is not base64url without padding: send the DER of the leaf so.")
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return web.Refuse(ca.KindMalformed, "\"certificate\" cannot be read (%v): send the DER of the leaf alone.", err)
	}
	serial, ours := pki.SerialFromInt(leaf.SerialNumber)
	if !ours {
		return missing("certificate")
	}
	if q.account.ID == "" {
		err := d.CA.RevokeByKey(q.r.Context(), ca.Nobody(d.Frame.Address(q.r), web.RequestID(q.r.Context())), serial, q.key.Public())
		var refusal *ca.Error
		if errors.As(err, &refusal) && refusal.Kind == ca.KindBadKey { // good, but not the one that counts here
			return web.Refuse(ca.KindForbidden, "%s", refusal.Detail)
		}
		return err
	}
	return d.CA.RevokePresented(q.r.Context(), d.principal(q), serial, sha256.Sum256(der), reason)
}

func reasons() string {
	var texts []string
	for _, r := range pki.LeafReasons() {
		if r == pki.CertificateHold { // an operator's
			continue
		}
		texts = append(texts, fmt.Sprintf("%d (%s)", int(r), r))
	}
	return strings.Join(texts, ", ")
}
