package api

import (
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/imca-project/imca/internal/web"
)

// The media types of answers beside application/json.
const (
	JSON   = "application/json"
	Zip    = "application/zip"
	PKCS12 = "application/x-pkcs12"
	PEM    = "application/x-pem-file"            // the certificate alone
	Chain  = "application/pem-certificate-chain" // RFC 8555, Section 9.1: with its issuers
	DER    = "application/pkix-cert"             // RFC 2585, Section 4
)

// negotiate chooses the media type of the answer by the header Accept (RFC 9110, Section 12.5.1): the one that the client likes best, of
// several the first.
func negotiate(r *http.Request, offers ...string) (string, error) {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(accept) == "" {
		return offers[0], nil
	}
	best, bestQuality := "", 0.0
	for _, offer := range offers {
		if q := quality(accept, offer); q > bestQuality {
			best, bestQuality = offer, q
		}
	}
	if best == "" {
		return "", web.Refuse(web.KindNotAcceptable, "Nothing here is of a type that the header Accept wants: ask for one of %s.", strings.Join(offers, ", "))
	}
	return best, nil
}

// quality is how much a header Accept likes a media type: the weight of the most specific range that covers it.
func quality(accept, offer string) float64 {
	kind, _, _ := strings.Cut(offer, "/")
	weight, specific := 0.0, -1
	for part := range strings.SplitSeq(accept, ",") {
		mediaRange, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		level := map[string]int{"*/*": 0, kind + "/*": 1, offer: 2}
		how, covers := level[mediaRange]
		if !covers || how <= specific {
			continue
		}
		specific, weight = how, 1
		if text, given := parameters["q"]; given {
			if weight, err = strconv.ParseFloat(text, 64); err != nil || !(weight >= 0 && weight <= 1) {
				weight = 0
			}
		}
	}
	return weight
}
