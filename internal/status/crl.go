package status

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

const (
	crlType = "application/pkix-crl" // RFC 2585, Section 4.

	// keepStatus is the longest that a list or an OCSP response may be used without asking again. Either may be good for days; what is
	// asked for again is whether something was revoked since, and the answer to that is mostly 304.
	keepStatus = time.Minute

	// partTime is how long a reader may take for one part of a list, a quarter of a megabyte: the list of a million certificates is taken
	// by slow lines too, while who does not read at all is left.
	partTime = 30 * time.Second
)

// crl serves the revocation list of an authority. It is the same on every server, and what it was made from need not be there.
func (d *door) crl(w http.ResponseWriter, r *http.Request) error {
	file := chi.URLParam(r, "file")
	name, isList := strings.CutSuffix(file, ".crl")
	if !isList || !d.known(name) {
		return web.Refuse(ca.KindNotFound, "There is no such list: fetch /crl/NAME.crl with the name of an authority, as it stands in the certificate.")
	}
	crl := d.ca.CRL(name)
	if crl == nil {
		refusal := web.Refuse(ca.KindUnavailable, "%s has no revocation list yet: ask again in a few seconds. One whose key is not on this server gets its list by 'imca crl import'.", name)
		refusal.RetryAfter = 5 * time.Second
		return refusal
	}
	h := w.Header()
	kept := version{tag: `"` + strconv.FormatInt(crl.Number, 10) + `"`, at: crl.PublishedAt, until: d.ca.NextCRL(crl)}
	if kept.answered(w, r, d.now()) {
		return nil
	}
	h.Set("Content-Type", crlType)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file}))
	h.Set("Content-Length", strconv.FormatInt(crl.Size(), 10))
	if r.Method == http.MethodHead {
		return nil
	}
	_, _ = crl.WriteTo(&patient{w, http.NewResponseController(w)}) // whoever went away does not want the rest
	return nil
}

// patient gives the reader time for each part anew.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (p *patient) Write(part []byte) (int, error) {
	// A connection that has no deadlines needs none.
	_ = p.control.SetWriteDeadline(time.Now().Add(partTime))
	return p.ResponseWriter.Write(part)
}

// version is what a client may have already.
type version struct {
	tag   string
	at    time.Time // when it was made
	until time.Time // when the next one comes at the latest
}

// answered sets the headers of a version, and answers with 304 if it is what the client has (RFC 9110, Section 13.2.2: the entity tag counts
// before the time).
func (v version) answered(w http.ResponseWriter, r *http.Request, now time.Time) bool {
	keep := min(keepStatus, max(0, v.until.Sub(now))).Truncate(time.Second)
	h := w.Header()
	h.Set("Cache-Control", "public, no-transform, max-age="+strconv.Itoa(int(keep.Seconds())))
	h.Set("Expires", now.Add(keep).UTC().Format(http.TimeFormat))
	h.Set("Last-Modified", v.at.UTC().Format(http.TimeFormat))
	h.Set("ETag", v.tag)
	same := false
	if tags := r.Header.Values("If-None-Match"); len(tags) > 0 {
		same = matches(tags, v.tag)
	} else if since, err := http.ParseTime(r.Header.Get("If-Modified-Since")); err == nil {
		same = !v.at.Truncate(time.Second).After(since)
	}
	if same {
		w.WriteHeader(http.StatusNotModified)
	}
	return same
}
