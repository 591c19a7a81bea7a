package api

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"

	"github.com/go-chi/chi/v5"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/web"
)

// call is one request to a private route, and the means to read and answer it.
type call struct {
	w         http.ResponseWriter
	r         *http.Request
	principal ca.Principal
	query     query
}

// path is a parameter in the path.
func (c *call) path(name string) string {
	text := chi.URLParam(c.r, name)
	// chi matches the path as it was sent; web has made sure that its escapes are sound.
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// serial is the serial in the path.
func (c *call) serial() (pki.Serial, error) {
	serial, err := pki.ParseSerial(c.path("serial"))
	if err != nil {
		return pki.Serial{}, web.Refuse(ca.KindNotFound, "%s", sentence(err))
	}
	return serial, nil
}

var (
	appIDs   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)
	tokenIDs = regexp.MustCompile(`^(tok|eab)_[A-Za-z0-9_-]{1,60}$`)
)

// appID is the app in the path. What cannot be one is not asked for: it would only make an event of whatever somebody typed.
func (c *call) appID() (string, error) {
	id := c.path("id")
	if !appIDs.MatchString(id) {
		return "", web.Refuse(ca.KindNotFound, "No app can have this ID: look it up in the list (GET /v1/apps).")
	}
	return id, nil
}

// tokenID is the token in the path. The most likely mistake here is the secret itself, which must not get into an event.
func (c *call) tokenID() (string, error) {
	id := c.path("id")
	if !tokenIDs.MatchString(id) {
		return "", web.Refuse(ca.KindNotFound, "This is no ID of a token: give the ID (tok_…) that the lists show, not the token itself.")
	}
	return id, nil
}

var idempotencyKeys = regexp.MustCompile(`^[!-~]{1,255}$`)

// idempotencyKey is the header of that name, or "".
func (c *call) idempotencyKey() (string, error) {
	keys := c.r.Header.Values("Idempotency-Key")
	if len(keys) == 0 {
		return "", nil
	}
	if len(keys) > 1 || !idempotencyKeys.MatchString(keys[0]) {
		refusal := web.Refuse(ca.KindInvalid, "The header Idempotency-Key has one value of 1 to 255 visible ASCII characters, such as a UUID.")
		refusal.Field = "Idempotency-Key"
		return "", refusal
	}
	return keys[0], nil
}

// body reads the JSON object that the request must have into a struct.
func (c *call) body(into any) error { return c.read(into, true) }

// optionalBody is body for a request that may have none.
func (c *call) optionalBody(into any) error { return c.read(into, false) }

func (c *call) read(into any, required bool) error {
	data, err := web.ReadBody(c.r)
	switch {
	case err != nil:
		return err
	case len(data) > 0:
		mediaType, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
		if err != nil || mediaType != "application/json" {
			return web.Refuse(web.KindMediaType, "The body must be JSON: send it with the header 'Content-Type: application/json' (curl: --json).")
		}
		return decode(data, into)
	case required:
		return web.Refuse(ca.KindMalformed, "The body is empty: send a JSON object, as /docs shows it.")
	}
	return nil
}

// answer writes JSON.
func (c *call) answer(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	c.w.Header().Set("Content-Type", "application/json")
	return c.write(status, append(body, '\n'))
}

// file writes what is to be saved under a name.
func (c *call) file(status int, mediaType, name string, content []byte) error {
	c.w.Header().Set("Content-Type", mediaType)
	c.w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	return c.write(status, content)
}

// write ends the call. A client that does not take the answer is no fault of ours.
func (c *call) write(status int, body []byte) error {
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body)
	return nil
}

// created announces what was made: the status for it, and its place; or that an earlier request made it.
func (c *call) created(location string, replayed bool) (status int) {
	if replayed {
		c.w.Header().Set("Idempotent-Replayed", "true")
		return http.StatusOK
	}
	c.w.Header().Set("Location", location)
	return http.StatusCreated
}
