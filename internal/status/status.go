// Package status is the public door: what everybody may fetch, by plain HTTP too, without a token. It serves the CA certificates, the
// revocation lists and OCSP.
//
// Everything here is signed or is checked by its fingerprint, so a network that alters it is found out; and it is the same for everybody,
// so it may be kept, for as long as its headers say. CA certificates and lists ask no database, and are served when that is away; an OCSP
// response tells what the database says at that moment.
//
// It decides nothing: what is on a list and what a response says is made in package ca.
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
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// Config is what the door is made of; CA and Frame are required.
type Config struct {
	CA    *ca.CA
	Frame *web.Frame

	// Now tells the time, for how long things may be kept; nil means time.Now.
	Now func() time.Time
}

// door serves what changes.
type door struct {
	ca    *ca.CA
	files ca.PerRoster[map[string]file]
	now   func() time.Time
}

// known tells whether there is an authority of that name.
func (d *door) known(authority string) bool {
	for _, i := range d.ca.Issuers() {
		if i.Name() == authority {
			return true
		}
	}
	return false
}

// New returns the door:
//
//	GET /ca/{authority}.crt   the certificate of an authority, PEM
//	GET /ca/{authority}.der   the same, DER: where certificates point to by their authority information access
//	GET /crl/{authority}.crl  the revocation list of an authority, DER
//	GET, POST /ocsp/{authority}
//	                          OCSP (RFC 6960), the request in the path or in the body
//	GET /ca/bundle.pem        every root that is to be trusted: several while a root is replaced, or where platform and developers have separate ones
//	GET /ca/clients.pem       those of them that the platform's certificates stand under: what developers' servers let in, now and after a roll-over
func New(cfg Config) http.Handler {
	d := &door{ca: cfg.CA, now: cfg.Now}
	if d.now == nil {
		d.now = time.Now
	}
	r := cfg.Frame.Router()
	r.Get("/ca/{file}", cfg.Frame.Public(func(w http.ResponseWriter, r *http.Request) error {
		files := d.files.Of(d.ca, func() map[string]file { return certificateFiles(d.ca) })
		f, found := files[chi.URLParam(r, "file")]
		if !found {
			return web.Refuse(ca.KindNotFound, "There is no such file: fetch one of %s.", strings.Join(slices.Sorted(maps.Keys(files)), ", "))
		}
		f.serve(w, r)
		return nil
	}))
	r.Get("/crl/{file}", cfg.Frame.Public(d.crl))
	r.Get("/ocsp/{authority}/*", cfg.Frame.Public(d.getOCSP))
	r.Post("/ocsp/{authority}", cfg.Frame.Public(d.postOCSP))
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
	var trusted, clients []*x509.Certificate
	for _, i := range c.Issuers() {
		add(newFile(i.Name()+".crt", pemType, pki.EncodeCertificate(i.Certificate().Raw)))
		add(newFile(i.Name()+".der", derType, i.Certificate().Raw))
		if !i.Retired() {
			trusted = append(trusted, i.Root())
		}
	}
	for _, i := range c.TrustedFor(ca.UsageClientAuth) {
		clients = append(clients, i.Root())
	}
	add(newFile("bundle.pem", pemType, each(trusted)))
	add(newFile("clients.pem", pemType, each(clients)))
	return files
}

// each is certificates in PEM, each once.
func each(certificates []*x509.Certificate) (text []byte) {
	for n, c := range certificates {
		if !slices.ContainsFunc(certificates[:n], c.Equal) {
			text = append(text, pki.EncodeCertificate(c.Raw)...)
		}
	}
	return text
}

// serve answers GET and HEAD, conditional ones too (RFC 9110, Section 13.1.2). Ranges are left out: the files are smaller than their headers are worth.
func (f file) serve(w http.ResponseWriter, r *http.Request) {
	tag := `"` + f.hash + `"`
	h := w.Header()
	h.Set("Cache-Control", keep)
	h.Set("ETag", tag)
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.mediaType)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": f.name}))
	h.Set("Content-Length", strconv.Itoa(len(f.content)))
	h.Set("Repr-Digest", "sha-256=:"+f.hash+":") // RFC 9530, Section 3.
	_, _ = w.Write(f.content)
}

// matches tells whether one of the entity tags of If-None-Match is the one, by weak comparison (RFC 9110, Section 13.1.2).
func matches(values []string, tag string) bool {
	return slices.ContainsFunc(strings.Split(strings.Join(values, ","), ","), func(known string) bool {
		known = strings.TrimPrefix(strings.TrimSpace(known), "W/")
		return known == tag || known == "*"
	})
}
