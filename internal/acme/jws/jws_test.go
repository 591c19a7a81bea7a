package jws_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/acme/jws"
)

const target = "https://ca.example/acme/new-order"

// sign makes a message with these extra headers; the key is shown, unless kid is among them.
func sign(t testing.TB, alg jose.SignatureAlgorithm, key any, payload string, headers map[jose.HeaderKey]any) []byte {
	t.Helper()
	options := &jose.SignerOptions{EmbedJWK: headers["kid"] == nil, ExtraHeaders: headers}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	require.NoError(t, err)
	signed, err := signer.Sign([]byte(payload))
	require.NoError(t, err)
	return []byte(signed.FullSerialize())
}

func headers(more ...any) map[jose.HeaderKey]any {
	h := map[jose.HeaderKey]any{"url": target, "nonce": "abc"}
	for i := 0; i < len(more); i += 2 {
		h[jose.HeaderKey(more[i].(string))] = more[i+1]
	}
	return h
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

func TestEveryAlgorithm(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	for alg, key := range map[jose.SignatureAlgorithm]crypto.Signer{
		jose.ES256: ecKey(t, elliptic.P256()), jose.ES384: ecKey(t, elliptic.P384()), jose.RS256: rsaKey, jose.EdDSA: edKey,
	} {
		require.Contains(t, jws.Algorithms(), string(alg))
		m, err := jws.Parse(sign(t, alg, key, `{"a":1}`, headers()))
		require.NoError(t, err, alg)
		require.Equal(t, target, m.URL)
		require.Equal(t, "abc", m.Nonce)
		require.Empty(t, m.KeyID)
		require.Equal(t, key.Public(), m.Key.Public())
		payload, err := m.Verify(m.Key)
		require.NoError(t, err)
		require.Equal(t, `{"a":1}`, string(payload))

		text, err := json.Marshal(m.Key)
		require.NoError(t, err)
		again, err := jws.ParseKey(text)
		require.NoError(t, err)
		one, err := m.Key.Thumbprint()
		require.NoError(t, err)
		two, err := again.Thumbprint()
		require.NoError(t, err)
		require.Equal(t, one, two)
	}
}

func TestAccountsAreNamed(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	m, err := jws.Parse(sign(t, jose.ES256, key, "", headers("kid", "https://ca.example/acme/account/1")))
	require.NoError(t, err)
	require.Nil(t, m.Key)
	require.Equal(t, "https://ca.example/acme/account/1", m.KeyID)

	shown, err := jws.Parse(sign(t, jose.ES256, ecKey(t, elliptic.P256()), "", headers()))
	require.NoError(t, err)
	_, err = m.Verify(shown.Key)
	requireFault(t, err, jws.BadSignature)
}

func requireFault(t testing.TB, err error, want jws.Fault) {
	t.Helper()
	var e *jws.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, want, e.Fault, e.Detail)
	require.True(t, strings.HasSuffix(e.Detail, "."), e.Detail)
}

// rewrite changes parts of a message without signing it again.
func rewrite(t testing.TB, message []byte, change func(parts map[string]any, protected map[string]any)) []byte {
	t.Helper()
	var parts, protected map[string]any
	require.NoError(t, json.Unmarshal(message, &parts))
	text, err := base64.RawURLEncoding.DecodeString(parts["protected"].(string))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &protected))
	change(parts, protected)
	text, err = json.Marshal(protected)
	require.NoError(t, err)
	parts["protected"] = base64.RawURLEncoding.EncodeToString(text)
	message, err = json.Marshal(parts)
	require.NoError(t, err)
	return message
}

func TestRefusals(t *testing.T) {
	key := ecKey(t, elliptic.P256())
	good := sign(t, jose.ES256, key, "{}", headers())
	with := func(change func(parts, protected map[string]any)) []byte { return rewrite(t, good, change) }
	compact, err := jose.ParseSignedJSON(string(good), []jose.SignatureAlgorithm{jose.ES256})
	require.NoError(t, err)
	short, err := compact.CompactSerialize()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		body []byte
		want jws.Fault
	}{
		"nothing":            {nil, jws.Malformed},
		"no JSON":            {[]byte("hello"), jws.Malformed},
		"an array":           {[]byte("[]"), jws.Malformed},
		"an empty object":    {[]byte("{}"), jws.Malformed},
		"compact":            {[]byte(short), jws.Malformed},
		"unprotected header": {with(func(p, _ map[string]any) { p["header"] = map[string]any{"kid": "x"} }), jws.Malformed},
		"general form":       {with(func(p, _ map[string]any) { p["signatures"] = []any{} }), jws.Malformed},
		"alg none":           {with(func(_, h map[string]any) { h["alg"] = "none" }), jws.BadAlgorithm},
		"alg HS256":          {with(func(_, h map[string]any) { h["alg"] = "HS256" }), jws.BadAlgorithm},
		"alg PS256":          {with(func(_, h map[string]any) { h["alg"] = "PS256" }), jws.BadAlgorithm},
		"no url":             {with(func(_, h map[string]any) { delete(h, "url") }), jws.Malformed},
		"url of a number":    {with(func(_, h map[string]any) { h["url"] = 7 }), jws.Malformed},
		"kid and jwk":        {with(func(_, h map[string]any) { h["kid"] = "x" }), jws.Malformed},
		"neither":            {with(func(_, h map[string]any) { delete(h, "jwk") }), jws.Malformed},
		"crit":               {sign(t, jose.ES256, key, "{}", headers("crit", []string{"exp"}, "exp", 1)), jws.Malformed},
		"b64":                {with(func(_, h map[string]any) { h["b64"] = true }), jws.Malformed},
		"private key":        {with(func(_, h map[string]any) { h["jwk"].(map[string]any)["d"] = h["jwk"].(map[string]any)["x"] }), jws.Malformed},
		"symmetric key":      {with(func(_, h map[string]any) { h["jwk"] = map[string]any{"kty": "oct", "k": "AAAA"} }), jws.Malformed},
		"point off curve":    {with(func(_, h map[string]any) { h["jwk"].(map[string]any)["x"] = h["jwk"].(map[string]any)["y"] }), jws.Malformed},
		"null jwk":           {with(func(_, h map[string]any) { h["jwk"] = nil }), jws.Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jws.Parse(c.body)
			requireFault(t, err, c.want)
		})
	}
	for name, body := range map[string][]byte{
		"changed payload": with(func(p, _ map[string]any) { p["payload"] = "e30K" }),
		"changed url":     with(func(_, h map[string]any) { h["url"] = target + "s" }),
		"no signature":    with(func(p, _ map[string]any) { p["signature"] = "" }),
		"crossed alg":     with(func(_, h map[string]any) { h["alg"] = "ES384" }),
	} {
		m, err := jws.Parse(body)
		if err == nil {
			_, err = m.Verify(m.Key)
		}
		var e *jws.Error
		require.ErrorAs(t, err, &e, name)
	}
}

func TestBinding(t *testing.T) {
	secret := []byte("0123456789abcdef0123456789abcdef")
	bind := func(alg jose.SignatureAlgorithm, more ...any) []byte {
		h := headers(append([]any{"kid", "eab_1"}, more...)...)
		delete(h, "nonce")
		for i := 0; i < len(more); i += 2 {
			h[jose.HeaderKey(more[i].(string))] = more[i+1]
		}
		return sign(t, alg, secret, `{"kty":"EC"}`, h)
	}
	m, err := jws.ParseBinding(bind(jose.HS256))
	require.NoError(t, err)
	require.Equal(t, "eab_1", m.KeyID)
	payload, err := m.VerifyMAC(secret)
	require.NoError(t, err)
	require.Equal(t, `{"kty":"EC"}`, string(payload))
	_, err = m.VerifyMAC([]byte("another secret of the same length"))
	requireFault(t, err, jws.BadSignature)

	_, err = jws.ParseBinding(bind(jose.HS256, "nonce", "abc"))
	requireFault(t, err, jws.Malformed)
	_, err = jws.ParseBinding(sign(t, jose.ES256, ecKey(t, elliptic.P256()), "{}", headers("kid", "eab_1")))
	requireFault(t, err, jws.BadAlgorithm)
	_, err = jws.Parse(bind(jose.HS256))
	requireFault(t, err, jws.BadAlgorithm)
}

func TestBadKeys(t *testing.T) {
	for _, text := range []string{"", "null", "{}", `{"kty":"oct","k":"AAAA"}`, `{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}`} {
		_, err := jws.ParseKey([]byte(text))
		requireFault(t, err, jws.BadKey)
	}
}

// FuzzParse holds that no message passes but one whose very octets the key has signed, as the standard library sees it, and that nothing panics.
func FuzzParse(f *testing.F) {
	key := ecKey(f, elliptic.P256())
	f.Add(sign(f, jose.ES256, key, `{"identifiers":[{"type":"dns","value":"example.com"}]}`, headers()))
	f.Add(sign(f, jose.ES256, key, "", headers("kid", "https://ca.example/acme/account/1")))
	f.Add([]byte(`{"protected":"","payload":"","signature":""}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := jws.Parse(body)
		if err != nil {
			var e *jws.Error
			require.ErrorAs(t, err, &e)
			return
		}
		require.NotEqual(t, m.Key == nil, m.KeyID == "")
		require.NotEmpty(t, m.URL)
		if m.Key == nil {
			return
		}
		payload, err := m.Verify(m.Key)
		public, is := m.Key.Public().(*ecdsa.PublicKey)
		if err != nil || !is || public.Curve != elliptic.P256() {
			return
		}
		var parts struct{ Protected, Payload, Signature string }
		require.NoError(t, json.Unmarshal(body, &parts))
		digest := sha256.Sum256([]byte(parts.Protected + "." + parts.Payload))
		signature, err := base64.RawURLEncoding.DecodeString(parts.Signature)
		require.NoError(t, err)
		require.Len(t, signature, 64)
		require.True(t, ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])))
		decoded, err := base64.RawURLEncoding.DecodeString(parts.Payload)
		require.NoError(t, err)
		require.Equal(t, string(decoded), string(payload))
	})
}
