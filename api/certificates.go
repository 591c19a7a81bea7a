package api

import (
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/handover"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

func (d *door) issueCertificate(c *call) error {
	var req IssueRequest
	form, key, err := c.issuance(func() error { return c.body(&req) })
	if err != nil {
		return err
	}
	if err := d.checkForm(form, req.Profile, req.CSR, req.PKCS12Password); err != nil {
		return err
	}
	domains := req.Domains
	if req.Domain != "" {
		if len(domains) > 0 {
			return &ca.Error{Kind: ca.KindInvalid, Field: "/domain", Detail: `Give "domain" for one name or "domains" for several, not both.`}
		}
		domains = []string{req.Domain}
	}
	issued, err := d.ca.Issue(c.r.Context(), c.principal, ca.IssueRequest{
		App: req.App, Profile: req.Profile, Domains: domains, KeyType: req.KeyType, CSR: []byte(req.CSR), ValidityDays: req.ValidityDays, IdempotencyKey: key,
	})
	if err != nil {
		if req.Domain != "" {
			return relocate(err, map[string]string{"/domains": "/domain", "/domains/0": "/domain"})
		}
		return err
	}
	return d.deliver(c, issued, form, req.PKCS12Password)
}

func (d *door) renewCertificate(c *call) error {
	serial, err := c.serial()
	if err != nil {
		return err
	}
	var req RenewRequest
	form, key, err := c.issuance(func() error { return c.optionalBody(&req) })
	if err != nil {
		return err
	}
	profile := ""
	if form == Zip {
		old, err := d.ca.Certificate(c.r.Context(), c.principal, serial)
		if err != nil {
			return err
		}
		profile = old.Profile
	}
	if err := d.checkForm(form, profile, req.CSR, req.PKCS12Password); err != nil {
		return err
	}
	issued, err := d.ca.Renew(c.r.Context(), c.principal, serial, ca.RenewRequest{
		KeyType: req.KeyType, CSR: []byte(req.CSR), ValidityDays: req.ValidityDays, IdempotencyKey: key,
	})
	if err != nil {
		// What the old certificate brings along is not in the body.
		return relocate(err, map[string]string{"/domains": "", "/app": "", "/profile": ""})
	}
	return d.deliver(c, issued, form, req.PKCS12Password)
}

// issuance reads what both ways to a certificate have in common: the form of the answer, the idempotency key, and the body.
func (c *call) issuance(body func() error) (form, key string, err error) {
	if form, err = negotiate(c.r, JSON, Zip, PKCS12); err != nil {
		return "", "", err
	}
	if key, err = c.idempotencyKey(); err != nil {
		return "", "", err
	}
	return form, key, body()
}

// relocate moves the places that a refusal points at to where the request has them. A place moves with all below it; "" is none.
func relocate(err error, places map[string]string) error {
	var refusal *ca.Error
	if !errors.As(err, &refusal) {
		return err
	}
	move := func(field string) string {
		for from, to := range places {
			if field == from {
				return to
			}
			if to == "" && strings.HasPrefix(field, from+"/") {
				return ""
			}
		}
		return field
	}
	moved := *refusal
	moved.Field = move(refusal.Field)
	moved.Faults = nil
	for _, f := range refusal.Faults {
		moved.Faults = append(moved.Faults, ca.Fault{Field: move(f.Field), Detail: f.Detail})
	}
	return &moved
}

func (d *door) readCertificate(c *call) error {
	serial, err := c.serial()
	if err != nil {
		return err
	}
	form, err := negotiate(c.r, JSON, PEM, Chain, DER)
	if err != nil {
		return err
	}
	cert, err := d.ca.Certificate(c.r.Context(), c.principal, serial)
	if err != nil {
		return err
	}
	now := d.frame.Now()
	by, err := d.desk.Authority(cert)
	if err != nil {
		return err
	}
	if form == JSON {
		answer, err := full(cert, by, now)
		if err != nil {
			return err
		}
		return c.answer(http.StatusOK, answer)
	}
	der, err := cert.DER()
	if err != nil {
		return err
	}
	if der == nil {
		return web.Refuse(ca.KindConflict, "The certificate %s has no signature (status %s), so there is nothing to hand out: ask for it as JSON, or issue another.", serial, cert.Status(now))
	}
	name := handover.FileName(cert)
	switch form {
	case PEM:
		return c.file(http.StatusOK, PEM, name+".crt", pki.EncodeCertificate(der))
	case Chain:
		return c.file(http.StatusOK, Chain, name+".crt", append(pki.EncodeCertificate(der), by.Chain...))
	default:
		return c.file(http.StatusOK, DER, name+".der", der)
	}
}

// summary is a certificate in a list, its state judged at now.
func summary(cert *ca.Certificate, now time.Time) CertificateSummary {
	s := CertificateSummary{
		Serial: cert.Serial.String(), Status: string(cert.Status(now)), Profile: cert.Profile, App: cert.App,
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, KeyType: string(cert.KeyType), Issuer: cert.Authority,
		CreatedAt: cert.CreatedAt, RequestedBy: cert.RequestedBy,
	}
	for _, n := range cert.Names {
		s.Domains = append(s.Domains, n.String())
	}
	if len(cert.Signature) > 0 {
		s.FingerprintSHA256 = hex.EncodeToString(cert.Fingerprint[:])
	}
	if cert.Revocation != nil {
		s.RevokedAt, s.RevocationReason = &cert.Revocation.At, cert.Revocation.Reason.String()
	}
	if !cert.Replaces.IsZero() {
		s.Replaces = cert.Replaces.String()
	}
	return s
}

func (s CertificateSummary) path() string { return "/v1/certificates/" + s.Serial }

// full is a certificate with its PEM.
func full(cert *ca.Certificate, by handover.Authority, now time.Time) (Certificate, error) {
	answer := Certificate{CertificateSummary: summary(cert, now), Chain: string(by.Chain), CACertificate: string(by.Root)}
	der, err := cert.DER()
	if err != nil {
		return Certificate{}, err
	}
	if der != nil {
		answer.Certificate = string(pki.EncodeCertificate(der))
	}
	return answer, nil
}
