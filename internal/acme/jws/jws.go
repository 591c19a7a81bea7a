// Package jws reads the signed requests of ACME (RFC 8555, Section 6.2): what their headers claim, and then, with a key, what was signed.
//
// It takes the flattened JSON serialization with one signature over protected headers, by ES256, ES384, RS256 or EdDSA, and nothing else: no
// "none", no MAC where a signature belongs, no header outside of the signature, no private key. What a request claims is known before its key
// is (Parse), what it says only after (Message.Verify). An external account binding (Section 7.3.4) is the one message with a MAC.
//
// It knows no accounts, nonces or URLs, and does not say whether a key is strong: that is its caller's to judge.
package jws

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Type is the media type of a signed request (RFC 8555, Section 6.2).
const Type = "application/jose+json"

// Fault is what is wrong with a message.
type Fault int

// The faults, as far as their answers differ.
const (
	Malformed    Fault = iota // it is no such message
	BadAlgorithm              // it is signed in a way that is not taken (Algorithms tells which are)
	BadKey                    // its key cannot be used
	BadSignature              // the key did not sign it
)

// Error says what is wrong with a message and how to mend it.
type Error struct {
	Fault  Fault
	Detail string
}

func (e *Error) Error() string { return e.Detail }

func fault(f Fault, format string, args ...any) *Error {
	return &Error{f, fmt.Sprintf(format, args...)}
}

// Algorithms are the signatures that are taken, by their names in JWA.
func Algorithms() []string { return []string{"ES256", "ES384", "RS256", "EdDSA"} }

var (
	signatures = []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.RS256, jose.EdDSA}
	macs       = []jose.SignatureAlgorithm{jose.HS256, jose.HS384, jose.HS512}
)

// Message is a signed request as it claims to be. Of its fields exactly one of Key and KeyID is set.
type Message struct {
	KeyID string // the URL of the account that signed it
	Key   *Key   // or the public key itself
	Nonce string // empty where there is none
	URL   string

	parsed *jose.JSONWebSignature
}

// Parse reads a message that is signed by a key pair. Its errors are *Error.
func Parse(body []byte) (*Message, error) {
	m, header, err := parse(body, signatures)
	if err != nil {
		return nil, err
	}
	switch {
	case header.JSONWebKey != nil && header.KeyID != "":
		return nil, fault(Malformed, "The request has both \"jwk\" and \"kid\": a new account and a revocation by certificate key have the former, everything else the latter (RFC 8555, Section 6.2).")
	case header.JSONWebKey != nil:
		m.Key, err = newKey(header.JSONWebKey)
	case header.KeyID == "":
		err = fault(Malformed, "The request has neither \"jwk\" nor \"kid\": name the account, or show the key.")
	}
	if err != nil {
		return nil, err
	}
	return m, nil
}

// ParseBinding reads an external account binding: a message whose MAC is made with a credential that KeyID names. Its errors are *Error.
func ParseBinding(body []byte) (*Message, error) {
	m, header, err := parse(body, macs)
	switch {
	case err != nil:
		return nil, err
	case header.JSONWebKey != nil || header.KeyID == "":
		return nil, fault(Malformed, "The external account binding names its credential by \"kid\", and has no \"jwk\".")
	case header.Nonce != "":
		return nil, fault(Malformed, "The external account binding has a nonce: only the request around it has one (RFC 8555, Section 7.3.4).")
	}
	return m, nil
}

func parse(body []byte, algorithms []jose.SignatureAlgorithm) (*Message, *jose.Header, error) {
	var outer struct {
		Protected  string          `json:"protected"`
		Header     json.RawMessage `json:"header"`
		Signatures json.RawMessage `json:"signatures"`
	}
	if err := json.Unmarshal(body, &outer); err != nil {
		return nil, nil, fault(Malformed, "The request is not a JSON object with \"protected\", \"payload\" and \"signature\": send a flattened JWS (RFC 8555, Section 6.2).")
	}
	if outer.Header != nil || outer.Signatures != nil {
		return nil, nil, fault(Malformed, "The request has \"header\" or \"signatures\": send a flattened JWS with one signature, all of its headers protected.")
	}
	parsed, err := jose.ParseSignedJSON(string(body), algorithms)
	var unexpected *jose.ErrUnexpectedSignatureAlgorithm
	switch {
	case errors.As(err, &unexpected):
		return nil, nil, fault(BadAlgorithm, "The algorithm %q is not taken here: use one of %v.", unexpected.Got, algorithms)
	case err != nil:
		return nil, nil, fault(Malformed, "The request cannot be read as a JWS (%v): compare it with RFC 8555, Section 6.2.", err)
	case len(parsed.Signatures) != 1:
		return nil, nil, fault(Malformed, "The request has %d signatures: send one.", len(parsed.Signatures))
	}
	header := &parsed.Signatures[0].Protected
	for _, name := range []jose.HeaderKey{"crit", "b64"} {
		if _, has := header.ExtraHeaders[name]; has {
			return nil, nil, fault(Malformed, "The header %q is not understood here: leave it out.", name)
		}
	}
	url, _ := header.ExtraHeaders["url"].(string)
	if url == "" {
		return nil, nil, fault(Malformed, "The request has no header \"url\": say there where it goes (RFC 8555, Section 6.4).")
	}
	return &Message{KeyID: header.KeyID, Nonce: header.Nonce, URL: url, parsed: parsed}, header, nil
}

// Verify returns what was signed, if it was by this key.
func (m *Message) Verify(k *Key) ([]byte, error) {
	payload, err := m.parsed.Verify(k.jwk)
	if err != nil {
		return nil, fault(BadSignature, "The signature is not of this key, or the request was changed on its way: sign it with the key of the account.")
	}
	return payload, nil
}

// VerifyMAC returns what the MAC was made over, if it was with this secret.
func (m *Message) VerifyMAC(secret []byte) ([]byte, error) {
	payload, err := m.parsed.Verify(secret)
	if err != nil {
		return nil, fault(BadSignature, "The external account binding was not made with the key of its credential: copy the key once more, as it was given.")
	}
	return payload, nil
}

// Key is a public key as a JWK (RFC 7517).
type Key struct{ jwk *jose.JSONWebKey }

// ParseKey reads a JWK. Its errors are *Error.
func ParseKey(text []byte) (*Key, error) {
	jwk := new(jose.JSONWebKey)
	if err := jwk.UnmarshalJSON(text); err != nil {
		return nil, fault(BadKey, "The key cannot be read as a JWK (%v): send a public EC, RSA or Ed25519 key.", err)
	}
	return newKey(jwk)
}

func newKey(jwk *jose.JSONWebKey) (*Key, error) {
	if !jwk.Valid() || !jwk.IsPublic() {
		return nil, fault(BadKey, "The key is not a public EC, RSA or Ed25519 key: send one of these, and never the private half.")
	}
	return &Key{&jose.JSONWebKey{Key: jwk.Key}}, nil // what else a JWK may carry, such as "alg" or "x5c", says nothing here
}

// Public is the key itself.
func (k *Key) Public() crypto.PublicKey { return k.jwk.Key }

// Thumbprint is the key's SHA-256 thumbprint (RFC 7638), the same for every way to write the key.
func (k *Key) Thumbprint() ([32]byte, error) {
	digest, err := k.jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return [32]byte{}, fmt.Errorf("taking the thumbprint of a key: %w", err)
	}
	return [32]byte(digest), nil
}

// MarshalJSON writes the key as ParseKey reads it.
func (k *Key) MarshalJSON() ([]byte, error) { return k.jwk.MarshalJSON() }
