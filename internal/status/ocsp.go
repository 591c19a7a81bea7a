package status

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/imca-project/imca/internal/web"
)

const ocspType = "application/ocsp-response" // RFC 6960, Appendix C.2.

// postOCSP answers a request in the body (RFC 6960, Appendix A.1). Its media type is not asked for: what is no request is malformed.
func (d *door) postOCSP(w http.ResponseWriter, r *http.Request) error {
	request, err := web.ReadBody(r)
	if err != nil {
		return err
	}
	return d.ocsp(w, r, chi.URLParam(r, "authority"), request)
}

// getOCSP answers a request in the path, in base64: escaped, as the RFC has it, or with its slashes as they are.
func (d *door) getOCSP(w http.ResponseWriter, r *http.Request) error {
	authority, text, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/ocsp/"), "/")
	request, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil {
		request = nil // which is malformed, and answered so
	}
	return d.ocsp(w, r, authority, request)
}

func (d *door) ocsp(w http.ResponseWriter, r *http.Request, authority string, request []byte) error {
	answer, err := d.ca.OCSP(r.Context(), authority, request)
	if err != nil {
		return err
	}
	h := w.Header()
	if r.Method != http.MethodPost && !answer.NextUpdate.IsZero() {
		// RFC 9919, Section 6, has the headers; the times are shorter than nextUpdate would allow, because nobody else's copy must go on
		// saying good for hours after a revocation.
		hash := sha256.Sum256(answer.DER)
		kept := version{tag: `"` + hex.EncodeToString(hash[:]) + `"`, at: answer.ProducedAt, until: answer.NextUpdate}
		if kept.answered(w, r, d.now()) {
			return nil
		}
	}
	h.Set("Content-Type", ocspType)
	h.Set("Content-Length", strconv.Itoa(len(answer.DER)))
	_, _ = w.Write(answer.DER)
	return nil
}
