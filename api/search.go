package api

import (
	"errors"
	"net/http"
	"strings"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

func certificateFilters() []string {
	return []string{
		"domain", "suffix", "app", "status", "profile", "authority", "serial", "fingerprint_sha256", "spki_sha256",
		"expires_after", "expires_before", "issued_after", "issued_before", "limit", "cursor",
	}
}

func (d *door) listCertificates(c *call) error {
	if _, one := c.query.values["serial"]; one {
		return d.findCertificate(c)
	}
	q := &c.query
	filter := ca.CertificateQuery{
		Domain:        parse(q, "domain", pki.ParseName),
		Suffix:        parse(q, "suffix", parseSuffix),
		App:           q.text("app"),
		Status:        oneOf(q, "status", ca.Statuses()),
		Profile:       q.text("profile"),
		Authority:     q.text("authority"),
		Fingerprint:   parse(q, "fingerprint_sha256", parseHash),
		SPKIHash:      parse(q, "spki_sha256", parseHash),
		ExpiresAfter:  q.time("expires_after"),
		ExpiresBefore: q.time("expires_before"),
		IssuedAfter:   q.time("issued_after"),
		IssuedBefore:  q.time("issued_before"),
		Limit:         q.limit(),
		Beyond:        parse(q, "cursor", ca.ParseCursor),
	}
	if err := q.err(); err != nil {
		return err
	}
	found, err := d.ca.ListCertificates(c.r.Context(), c.principal, filter)
	if err != nil {
		return err
	}
	page := Page[CertificateSummary]{Items: []CertificateSummary{}, Next: found.Next.String()}
	now := d.frame.Now()
	for _, cert := range found.Items {
		page.Items = append(page.Items, summary(cert, now))
	}
	return c.answer(http.StatusOK, page)
}

// findCertificate answers a search by serial: a list of one, or of none.
func (d *door) findCertificate(c *call) error {
	serial := parse(&c.query, "serial", pki.ParseSerial)
	if len(c.query.values) > 1 {
		c.query.faults.add(ca.KindInvalid, "serial", "A serial finds one certificate: leave the other parameters out.")
	}
	if err := c.query.err(); err != nil {
		return err
	}
	page := Page[CertificateSummary]{Items: []CertificateSummary{}}
	cert, err := d.ca.Certificate(c.r.Context(), c.principal, serial)
	var refusal *ca.Error
	switch {
	case errors.As(err, &refusal) && refusal.Kind == ca.KindNotFound:
	case err != nil:
		return err
	default:
		page.Items = append(page.Items, summary(cert, d.frame.Now()))
	}
	return c.answer(http.StatusOK, page)
}

// parseSuffix reads the end of a host name, in the form in which names are stored.
func parseSuffix(s string) (string, error) {
	n, err := pki.ParseName(strings.TrimPrefix(s, "."))
	switch {
	case err != nil:
		return "", err
	case n.IsIP() || n.IsWildcard():
		return "", web.Refuse(ca.KindInvalid, "A suffix is the end of a host name, such as example.com: look for addresses and wildcards with domain.")
	}
	return n.String(), nil
}

func parseHash(s string) (*[32]byte, error) {
	hash, err := ca.ParseFingerprint(s)
	if err != nil {
		return nil, web.Refuse(ca.KindInvalid, "This is no SHA-256: give 64 hexadecimal digits, colons between them allowed.")
	}
	return &hash, nil
}
