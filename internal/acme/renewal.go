package acme

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// renewalPause is how often clients ask whether it is time (RFC 9773, Section 4.3.2), in seconds.
const renewalPause = "21600"

// renewalInfo tells when a certificate is best renewed (RFC 9773, Section 4). Everybody may ask.
func (d *door) renewalInfo(w http.ResponseWriter, r *http.Request) error {
	serial, err := d.readCertID(param(r, "certID"))
	if err != nil {
		return err
	}
	start, end, err := d.CA.RenewalWindow(r.Context(), serial)
	if err != nil {
		return err
	}
	w.Header().Set("Retry-After", renewalPause)
	return answer(w, http.StatusOK, map[string]any{"suggestedWindow": map[string]time.Time{"start": start, "end": end}})
}

// certID names a certificate as RFC 9773, Section 4.1, does: by its authority's key identifier and its serial.
func (d *door) certID(authority string, serial pki.Serial) string {
	return base64.RawURLEncoding.EncodeToString(d.chains()[authority].keyID) + "." + base64.RawURLEncoding.EncodeToString(serial[:])
}

func (d *door) readCertID(text string) (pki.Serial, error) {
	refusal := web.Refuse(ca.KindMalformed, "This names no certificate of this CA: write the base64url of its authority key identifier, a dot, and that of its serial (RFC 9773, Section 4.1).")
	left, right, found := strings.Cut(text, ".")
	keyID, err := base64.RawURLEncoding.Strict().DecodeString(left)
	if err != nil || !found {
		return pki.Serial{}, refusal
	}
	number, err := base64.RawURLEncoding.Strict().DecodeString(right)
	if err != nil || len(number) != len(pki.Serial{}) {
		return pki.Serial{}, refusal
	}
	for _, c := range d.chains() {
		if bytes.Equal(c.keyID, keyID) {
			return pki.Serial(number), nil
		}
	}
	return pki.Serial{}, refusal
}

// readReplaced reads which certificate an order replaces (RFC 9773, Section 5): one of the app that shares a name with it.
func (d *door) readReplaced(q *request, certID string, names []pki.Name) (pki.Serial, error) {
	serial, err := d.readCertID(certID)
	if err != nil {
		return pki.Serial{}, err
	}
	c, err := d.CA.Certificate(q.r.Context(), d.principal(q), serial)
	if err != nil {
		return pki.Serial{}, err
	}
	if !slices.ContainsFunc(c.Names, func(n pki.Name) bool { return slices.Contains(names, n) }) {
		return pki.Serial{}, web.Refuse(ca.KindMalformed, "The order has no name in common with the certificate that it replaces: leave \"replaces\" out.")
	}
	return serial, nil
}
