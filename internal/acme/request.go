package acme

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/acme/jws"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/web"
)

// request is a signed request whose signature, URL and nonce were found good, and the means to answer it.
type request struct {
	w       http.ResponseWriter
	r       *http.Request
	now     time.Time
	payload []byte

	// key is the key that the request shows. account is the one that it names; it has no ID where it names none.
	key     *jws.Key
	account Account
}

// maxBody is the most octets of a signed request: a CSR with a hundred names fits twice.
const maxBody = 128 << 10

// public is what every answer of the door has: a fresh nonce, the way back to the directory, and errors in ACME's own form.
func (d *door) public(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Replay-Nonce", d.freshNonce(d.Frame.Now()))
		w.Header().Add("Link", link(d.url(r, pathDirectory), "index"))
		if err := h(w, r); err != nil {
			d.problem(w, r, err)
		}
	}
}

// byAccount takes requests that an account has signed.
func (d *door) byAccount(h func(*request) error) http.HandlerFunc {
	return d.byEither(func(q *request) error {
		if q.account.ID == "" {
			return web.Refuse(ca.KindMalformed, "This request is made by an account: name it by \"kid\", and show no \"jwk\".")
		}
		return h(q)
	})
}

// byKey takes requests that show their key.
func (d *door) byKey(h func(*request) error) http.HandlerFunc {
	return d.byEither(func(q *request) error {
		if q.key == nil {
			return web.Refuse(ca.KindMalformed, "This request shows its key by \"jwk\", and has no \"kid\".")
		}
		return h(q)
	})
}

// byEither takes any signed request (RFC 8555, Section 6).
func (d *door) byEither(h func(*request) error) http.HandlerFunc {
	return d.public(func(w http.ResponseWriter, r *http.Request) error {
		q := &request{w: w, r: r, now: d.now()}
		if err := d.read(q); err != nil {
			return err
		}
		return h(q)
	})
}

func (d *door) read(q *request) error {
	if mediaType, _, err := mime.ParseMediaType(q.r.Header.Get("Content-Type")); err != nil || mediaType != jws.Type {
		return web.Refuse(web.KindMediaType, "The body must be a signed request: send it with the header 'Content-Type: %s'.", jws.Type)
	}
	body, err := web.ReadBody(q.r)
	if err != nil {
		return err
	}
	if len(body) > maxBody {
		return web.Refuse(web.KindTooLarge, "A signed request has at most %d KiB: ask for fewer names at once.", maxBody>>10)
	}
	m, err := jws.Parse(body)
	if err != nil {
		return err
	}
	if want := d.url(q.r, q.r.URL.Path); m.URL != want { // RFC 8555, Section 6.4.
		return web.Refuse(ca.KindForbidden, "The header \"url\" says %s, but the request came to %s: sign the URL that it is sent to.", m.URL, want)
	}
	// Whoever holds none of our nonces is told so before anything is looked up for them.
	if _, _, err := d.readNonce(m.Nonce, q.now); err != nil {
		return err
	}
	key := m.Key
	if key == nil {
		if key, err = d.findAccount(q, m.KeyID); err != nil {
			return err
		}
	}
	if q.payload, err = m.Verify(key); err != nil {
		return err
	}
	q.key = m.Key
	return d.spendNonce(q.r.Context(), m.Nonce, q.now)
}

// findAccount finds the account of a request, and its key.
func (d *door) findAccount(q *request, kid string) (*jws.Key, error) {
	id, ours := strings.CutPrefix(kid, d.url(q.r, pathAccount)+"/")
	if !ours {
		return nil, web.Refuse(web.KindNoAccount, "The account %q is none of this server's: take its URL from the header Location of the answer that made it.", kid)
	}
	var err error
	q.account, err = d.Store.Account(q.r.Context(), id)
	switch {
	case errors.Is(err, ca.ErrNotFound):
		return nil, web.Refuse(web.KindNoAccount, "There is no account %s: register again.", kid)
	case err != nil:
		return nil, fmt.Errorf("reading the account %s: %w", id, err)
	}
	if err := q.account.ended(); err != nil {
		return nil, err
	}
	return q.account.publicKey()
}

// ended refuses what comes from an account that is no more (RFC 8555, Section 7.3.6).
func (a *Account) ended() error {
	switch {
	case a.Status != StatusValid:
		return web.Refuse(web.KindAccountEnded, "This account was deactivated: register another one, with another key.")
	case a.BindingRevoked:
		return web.Refuse(web.KindAccountEnded, "The credential that bound this account to the app %s was revoked: ask an operator for a new one, and register with it once more.", a.App)
	}
	return nil
}

func (a *Account) publicKey() (*jws.Key, error) {
	key, err := jws.ParseKey(a.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the key of the account %s: %v", a.ID, err)
	}
	return key, nil
}

// principal is the account as internal/ca knows it: a developer of its app.
func (d *door) principal(q *request) ca.Principal {
	return ca.Principal{
		Name: "ACME account " + q.account.ID, Role: ca.RoleDeveloper, App: q.account.App, Token: "acme-" + q.account.ID,
		Address: d.Frame.Address(q.r), RequestID: web.RequestID(q.r.Context()),
	}
}

// decode reads the payload, a JSON object. What a client sends beyond what the server knows is left aside.
func (q *request) decode(into any) error {
	if err := json.Unmarshal(q.payload, into); err != nil {
		return web.Refuse(ca.KindMalformed, "The payload is not the JSON object that belongs here (%v): compare it with RFC 8555, Section 7.", err)
	}
	return nil
}

// isRead tells whether the request only asks (RFC 8555, Section 6.3: POST-as-GET has an empty payload).
func (q *request) isRead() bool { return len(q.payload) == 0 }

// onlyRead refuses a payload where none belongs.
func (q *request) onlyRead() error {
	if !q.isRead() {
		return web.Refuse(ca.KindMalformed, "Nothing can be changed here: send an empty payload, to read it.")
	}
	return nil
}

func (q *request) answer(status int, v any) error { return answer(q.w, status, v) }

func (q *request) header(name, value string) { q.w.Header().Set(name, value) }

func answer(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
	return nil
}

func link(url, relation string) string { return "<" + url + `>;rel="` + relation + `"` }

// missing is the answer about what does not exist, or belongs to another account.
func missing(what string) error {
	return web.Refuse(ca.KindNotFound, "This account has no such %s: take its URL from the answer that named it.", what)
}
