package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client speaks to a server of this API. URL is required, and Token for all but the public routes. Its methods are safe for concurrent use.
//
// A refusal of the server comes back as a *Problem, to be found by errors.As. Every other error, a *url.Error where no answer came, means that
// it is not known whether the request was carried out: one that creates is then repeated safely with the same IdempotencyKey.
type Client struct {
	URL   string       // of the server, such as "https://ca.example.com:8443"
	Token string       // "imca_…"
	HTTP  *http.Client // with the CA that the server's certificate is under; nil means http.DefaultClient
}

// maxAnswer bounds what the client reads: the largest page is some 2 MB.
const maxAnswer = 64 << 20

// Issue issues a certificate.
func (c *Client) Issue(ctx context.Context, req IssueRequest) (*Certificate, error) {
	var cert Certificate
	err := c.create(ctx, "/v1/certificates", req.IdempotencyKey, req, &cert)
	return &cert, err
}

// IssueAs issues a certificate, and returns it as Zip or PKCS12.
func (c *Client) IssueAs(ctx context.Context, mediaType string, req IssueRequest) ([]byte, error) {
	return c.createAs(ctx, "/v1/certificates", req.IdempotencyKey, mediaType, req)
}

// Renew issues a successor of a certificate.
func (c *Client) Renew(ctx context.Context, serial string, req RenewRequest) (*Certificate, error) {
	var cert Certificate
	err := c.create(ctx, certificatePath(serial)+"/renew", req.IdempotencyKey, req, &cert)
	return &cert, err
}

// RenewAs issues a successor of a certificate, and returns it as Zip or PKCS12.
func (c *Client) RenewAs(ctx context.Context, serial, mediaType string, req RenewRequest) ([]byte, error) {
	return c.createAs(ctx, certificatePath(serial)+"/renew", req.IdempotencyKey, mediaType, req)
}

// Certificate reads a certificate.
func (c *Client) Certificate(ctx context.Context, serial string) (*Certificate, error) {
	var cert Certificate
	err := c.read(ctx, certificatePath(serial), nil, &cert)
	return &cert, err
}

// CertificateAs reads a certificate as PEM, Chain or DER.
func (c *Client) CertificateAs(ctx context.Context, serial, mediaType string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, certificatePath(serial), http.Header{"Accept": {mediaType}}, nil)
}

// Revoke revokes a certificate, for a reason of RFC 5280, Section 5.3.1.
func (c *Client) Revoke(ctx context.Context, serial, reason string) (*Certificate, error) {
	var cert Certificate
	err := c.create(ctx, certificatePath(serial)+"/revoke", "", RevokeRequest{Reason: reason}, &cert)
	return &cert, err
}

// RevokeByKey revokes a certificate for keyCompromise by a proof that the caller holds its key (see pki.ParseProof). It needs no token.
func (c *Client) RevokeByKey(ctx context.Context, serial, proof string) error {
	_, err := c.do(ctx, http.MethodPost, certificatePath(serial)+"/revoke", nil, RevokeRequest{Proof: proof})
	return err
}

// Release takes a certificate off hold.
func (c *Client) Release(ctx context.Context, serial string) (*Certificate, error) {
	var cert Certificate
	err := c.send(ctx, http.MethodPost, certificatePath(serial)+"/release", nil, nil, &cert)
	return &cert, err
}

// RevokeFound does one step of revoking what a search finds, or of counting it: it is repeated with Next as Cursor until that is empty.
func (c *Client) RevokeFound(ctx context.Context, req RevocationRequest) (*Revocations, error) {
	var step Revocations
	err := c.send(ctx, http.MethodPost, "/v1/revocations", nil, req, &step)
	return &step, err
}

// PlanReplacements does one step of a ReplacementRequest: it is repeated with Next as Cursor until that is empty.
func (c *Client) PlanReplacements(ctx context.Context, req ReplacementRequest) (*Replacements, error) {
	var step Replacements
	err := c.send(ctx, http.MethodPost, "/v1/replacements", nil, req, &step)
	return &step, err
}

// Replacements is a page of the certificates that are to be replaced, the most urgent first.
func (c *Client) Replacements(ctx context.Context, f Filter) (*Page[Replacement], error) {
	return list[Replacement](ctx, c, "/v1/replacements", f)
}

// Filter selects and pages a list, by the names of the parameters in openapi.yaml, such as "suffix", "limit" and "cursor". Empty values select
// nothing.
type Filter map[string]string

// Certificates is a page of the certificates that the filter selects.
func (c *Client) Certificates(ctx context.Context, f Filter) (*Page[CertificateSummary], error) {
	return list[CertificateSummary](ctx, c, "/v1/certificates", f)
}

// AddDomain asks for a name. It may be repeated: the answer is then the domain as it is.
func (c *Client) AddDomain(ctx context.Context, req DomainRequest) (*Domain, error) {
	var d Domain
	err := c.create(ctx, "/v1/domains", "", req, &d)
	return &d, err
}

// Domains is a page of the domains that the filter selects.
func (c *Client) Domains(ctx context.Context, f Filter) (*Page[Domain], error) {
	return list[Domain](ctx, c, "/v1/domains", f)
}

// Domain reads a domain; app says whose, where several apps want the name, and may be empty.
func (c *Client) Domain(ctx context.Context, name, app string) (*Domain, error) {
	var d Domain
	err := c.read(ctx, domainPath(name), ofApp(app), &d)
	return &d, err
}

// RemoveDomain gives a domain up.
func (c *Client) RemoveDomain(ctx context.Context, name, app string) error {
	path := domainPath(name)
	if query := ofApp(app); query != nil {
		path += "?" + query.Encode()
	}
	_, err := c.do(ctx, http.MethodDelete, path, nil, nil)
	return err
}

// VerifyDomain has the proof of a domain looked for.
func (c *Client) VerifyDomain(ctx context.Context, name string, req VerifyRequest) (*Domain, error) {
	return c.decideDomain(ctx, name, "verify", req)
}

// ApproveDomain says yes to a domain.
func (c *Client) ApproveDomain(ctx context.Context, name string, req ApproveRequest) (*Domain, error) {
	return c.decideDomain(ctx, name, "approve", req)
}

// RejectDomain says no to a domain.
func (c *Client) RejectDomain(ctx context.Context, name string, req RejectRequest) (*Domain, error) {
	return c.decideDomain(ctx, name, "reject", req)
}

// TransferDomain gives a domain to another app.
func (c *Client) TransferDomain(ctx context.Context, name string, req TransferRequest) (*Domain, error) {
	return c.decideDomain(ctx, name, "transfer", req)
}

// ResolveDomain ends a conflict over a domain in favour of an app.
func (c *Client) ResolveDomain(ctx context.Context, name string, req TransferRequest) (*Domain, error) {
	return c.decideDomain(ctx, name, "resolve", req)
}

func (c *Client) decideDomain(ctx context.Context, name, verb string, req any) (*Domain, error) {
	var d Domain
	err := c.create(ctx, domainPath(name)+"/"+verb, "", req, &d)
	return &d, err
}

// RevokeOthers revokes the certificates for a domain that other apps have than the one that has the domain, at most 1000 at a time.
func (c *Client) RevokeOthers(ctx context.Context, name string) ([]CertificateSummary, error) {
	var page Page[CertificateSummary]
	err := c.send(ctx, http.MethodPost, domainPath(name)+"/revoke-others", nil, nil, &page)
	return page.Items, err
}

// CreateApp makes an app.
func (c *Client) CreateApp(ctx context.Context, req AppRequest) (*App, error) {
	var app App
	err := c.create(ctx, "/v1/apps", req.IdempotencyKey, req, &app)
	return &app, err
}

// Apps is a page of the apps.
func (c *Client) Apps(ctx context.Context, f Filter) (*Page[App], error) {
	return list[App](ctx, c, "/v1/apps", f)
}

// App reads an app.
func (c *Client) App(ctx context.Context, id string) (*App, error) {
	var app App
	err := c.read(ctx, appPath(id), nil, &app)
	return &app, err
}

// ChangeApp changes an app.
func (c *Client) ChangeApp(ctx context.Context, id string, change AppChange) (*App, error) {
	var app App
	err := c.send(ctx, http.MethodPatch, appPath(id), nil, change, &app)
	return &app, err
}

// CreateAppToken makes a developer's token.
func (c *Client) CreateAppToken(ctx context.Context, app string, req AppTokenRequest) (*Token, error) {
	var token Token
	err := c.create(ctx, appPath(app)+"/tokens", req.IdempotencyKey, req, &token)
	return &token, err
}

// CreateEAB makes a credential that binds ACME accounts to an app.
func (c *Client) CreateEAB(ctx context.Context, app string, req EABRequest) (*EAB, error) {
	var credential EAB
	err := c.create(ctx, appPath(app)+"/eab", "", req, &credential)
	return &credential, err
}

// AppTokens is a page of an app's tokens.
func (c *Client) AppTokens(ctx context.Context, app string, f Filter) (*Page[Token], error) {
	return list[Token](ctx, c, appPath(app)+"/tokens", f)
}

// CreateToken makes a token that acts for no single app.
func (c *Client) CreateToken(ctx context.Context, req TokenRequest) (*Token, error) {
	var token Token
	err := c.create(ctx, "/v1/tokens", req.IdempotencyKey, req, &token)
	return &token, err
}

// Tokens is a page of the tokens that act for no single app.
func (c *Client) Tokens(ctx context.Context, f Filter) (*Page[Token], error) {
	return list[Token](ctx, c, "/v1/tokens", f)
}

// RotateToken makes a successor of a token, by its ID.
func (c *Client) RotateToken(ctx context.Context, id string, req RotateRequest) (*Token, error) {
	var token Token
	err := c.create(ctx, "/v1/tokens/"+url.PathEscape(id)+"/rotate", "", req, &token)
	return &token, err
}

// RevokeToken ends a token, by its ID.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	_, err := c.do(ctx, http.MethodDelete, "/v1/tokens/"+url.PathEscape(id), nil, nil)
	return err
}

// Events is a page of the audit log.
func (c *Client) Events(ctx context.Context, f Filter) (*Page[Event], error) {
	return list[Event](ctx, c, "/v1/events", f)
}

// Profiles are all profiles.
func (c *Client) Profiles(ctx context.Context) ([]Profile, error) {
	page, err := list[Profile](ctx, c, "/v1/profiles", nil)
	return page.Items, err
}

// Authorities are all authorities.
func (c *Client) Authorities(ctx context.Context) ([]Authority, error) {
	page, err := list[Authority](ctx, c, "/v1/authorities", nil)
	return page.Items, err
}

// Whoami tells whose token the client has.
func (c *Client) Whoami(ctx context.Context) (*Principal, error) {
	var p Principal
	err := c.read(ctx, "/v1/whoami", nil, &p)
	return &p, err
}

// CAFile fetches a file from under /ca/, such as "bundle.pem" or "TencentQQAuthCA.crt". Nothing vouches for it but the connection: compare
// its fingerprint with one from elsewhere.
func (c *Client) CAFile(ctx context.Context, name string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, "/ca/"+url.PathEscape(name), nil, nil)
}

func certificatePath(serial string) string { return "/v1/certificates/" + url.PathEscape(serial) }

func domainPath(name string) string { return "/v1/domains/" + url.PathEscape(name) }

func ofApp(app string) url.Values {
	if app == "" {
		return nil
	}
	return url.Values{"app": {app}}
}

func appPath(id string) string { return "/v1/apps/" + url.PathEscape(id) }

func list[T any](ctx context.Context, c *Client, path string, f Filter) (*Page[T], error) {
	query := make(url.Values)
	for name, value := range f {
		if value != "" {
			query.Set(name, value)
		}
	}
	var page Page[T]
	err := c.read(ctx, path, query, &page)
	return &page, err
}

func (c *Client) read(ctx context.Context, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.send(ctx, http.MethodGet, path, nil, nil, into)
}

func (c *Client) create(ctx context.Context, path, key string, req, into any) error {
	return c.send(ctx, http.MethodPost, path, keyHeader(key), req, into)
}

func (c *Client) createAs(ctx context.Context, path, key, mediaType string, req any) ([]byte, error) {
	header := keyHeader(key)
	header.Set("Accept", mediaType)
	return c.do(ctx, http.MethodPost, path, header, req)
}

func keyHeader(key string) http.Header {
	header := make(http.Header)
	if key != "" {
		header.Set("Idempotency-Key", key)
	}
	return header
}

func (c *Client) send(ctx context.Context, method, path string, header http.Header, req, into any) error {
	body, err := c.do(ctx, method, path, header, req)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("reading the answer to %s %s: %w: is %s an imca server, of this version?", method, path, err, c.URL)
	}
	return nil
}

// do sends a request and returns the body of its answer, if that is no problem.
func (c *Client) do(ctx context.Context, method, path string, header http.Header, req any) ([]byte, error) {
	var body io.Reader
	if req != nil {
		text, err := json.Marshal(req)
		if err != nil {
			return nil, fmt.Errorf("encoding the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+path, body)
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", c.URL, err)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if body != nil {
		r.Header.Set("Content-Type", JSON)
	}
	if c.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.Token)
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err // a *url.Error, which tells what was asked of whom
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", c.URL, err)
	}
	if answer.StatusCode/100 == 2 {
		return content, nil
	}
	return nil, readRefusal(answer, content, c.URL)
}

// readRefusal is the problem in an answer; or an error, where something that is not imca answered.
func readRefusal(answer *http.Response, content []byte, server string) error {
	var p Problem
	if json.Unmarshal(content, &p) != nil || p.Type == "" || p.Detail == "" {
		return fmt.Errorf("%s answered %s, and not as imca does: check the URL, and any proxy before it", server, answer.Status)
	}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	return &p
}
