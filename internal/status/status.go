// Package status is the public door: what everybody may fetch, by plain HTTP too, without a token. It serves the CA certificates.
//
// Everything here is signed or is checked by its fingerprint, so a network that alters it is found out; and it is the same for everybody,
// so it may be kept: each file has an ETag, a Cache-Control and a digest. What is served is made when the door is, and asks no database.
package status

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// Config is what the door is made of; both are required.
type Config struct {
	CA    *ca.CA
	Frame *web.Frame
}

// New returns the door:
//
//	GET /ca/{authority}.crt   the certificate of an authority, PEM
//	GET /ca/{authority}.der   the same, DER: where certificates point to by their authority information access
//	GET /ca/bundle.pem        every root that is to be trusted: several while a root is replaced, or where platform and developers have separate ones
func New(cfg Config) http.Handler {
	files := certificateFiles(cfg.CA)
	r := cfg.Frame.Router()
	r.Get("/ca/{file}", cfg.Frame.Public(func(w http.ResponseWriter, r *http.Request) error {
		f, found := files[chi.URLParam(r, "file")]
		if !found {
			return web.Refuse(ca.KindNotFound, "There is no such file: fetch one of %s.", strings.Join(slices.Sorted(maps.Keys(files)), ", "))
		}
		f.serve(w, r)
		return nil
	}))
	return r
}

// Media types. The registered application/pem-certificate-chain promises an order that a bundle of roots has not, and
// application/x-x509-ca-cert makes browsers offer to trust the CA for every site: nobody here should.
const (
	pemType = "application/x-pem-file"
	derType = "application/pkix-cert" // RFC 5280, Section 4.2.2.1.
)

// keep is how long a copy may be used before asking again: an hour is nothing in the life of a root, and spares most requests.
const keep = "public, max-age=3600"

// file is something to serve.
type file struct {
	name, mediaType string
	content         []byte
	hash            string // SHA-256, base64
}

func newFile(name, mediaType string, content []byte) file {
	hash := sha256.Sum256(content)
	return file{name: name, mediaType: mediaType, content: content, hash: base64.StdEncoding.EncodeToString(hash[:])}
}

// certificateFiles are the files of the authorities, by their names.
func certificateFiles(c *ca.CA) map[string]file {
	files := make(map[string]file)
	add := func(f file) { files[f.name] = f }
	var (
		bundle []byte
		roots  []*x509.Certificate
	)
	for _, i := range c.Issuers() {
		add(newFile(i.Name()+".crt", pemType, pki.EncodeCertificate(i.Certificate().Raw)))
		add(newFile(i.Name()+".der", derType, i.Certificate().Raw))
		if root := i.Root(); !slices.ContainsFunc(roots, root.Equal) {
			roots = append(roots, root)
			bundle = append(bundle, pki.EncodeCertificate(root.Raw)...)
		}
	}
	add(newFile("bundle.pem", pemType, bundle))
	return files
}

// serve answers GET and HEAD, conditional ones too (RFC 9110, Section 13.1.2). Ranges are left out: the files are smaller than their headers are worth.
func (f file) serve(w http.ResponseWriter, r *http.Request) {
	tag := `"` + f.hash + `"`
	h := w.Header()
	h.Set("Cache-Control", keep)
	h.Set("ETag", tag)
	if slices.ContainsFunc(strings.Split(strings.Join(r.Header.Values("If-None-Match"), ","), ","), func(known string) bool {
		known = strings.TrimPrefix(strings.TrimSpace(known), "W/")
		return known == tag || known == "*"
	}) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.mediaType)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.name}))
	h.Set("Content-Length", strconv.Itoa(len(f.content)))
	h.Set("Repr-Digest", "sha-256=:"+f.hash+":") // RFC 9530, Section 3.
	_, _ = w.Write(f.content)
}
