package issuer_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// responderOf is a responder of an authority, and its certificate.
func responderOf(t testing.TB, by *issuer.Issuer, kind pki.KeyType) (*issuer.Responder, *x509.Certificate) {
	t.Helper()
	key := keyOf(t, kind, 50)
	draft, err := by.PrepareResponder(issuer.ResponderRequest{
		Serial: pki.NewSerial(), PublicKey: key.Public(), NotBefore: start.Add(-5 * time.Minute), NotAfter: start.Add(7 * 24 * time.Hour),
	})
	require.NoError(t, err)
	der, err := by.Sign(draft)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	responder, err := by.NewResponder(key, der)
	require.NoError(t, err)
	return responder, certificate
}

// ask is the request of x/crypto for a certificate.
func ask(t testing.TB, leaf, by *x509.Certificate, hash crypto.Hash) *issuer.OCSPRequest {
	t.Helper()
	der, err := ocsp.CreateRequest(leaf, by, &ocsp.RequestOptions{Hash: hash})
	require.NoError(t, err)
	parsed, err := issuer.ParseOCSPRequest(der)
	require.NoError(t, err)
	return parsed
}

// A responder's certificate is what RFC 6960, Section 4.2.2.2, wants, and nothing
// that anybody else could use.
func TestResponderCertificate(t *testing.T) {
	root, below := issuing(t, keyOf(t, pki.RSA2048, 1), keyOf(t, pki.ECDSAP256, 2))
	for _, by := range []*issuer.Issuer{root, below, direct(t, keyOf(t, pki.Ed25519, 1))} {
		for _, kind := range []pki.KeyType{pki.ECDSAP256, pki.RSA2048} {
			_, certificate := responderOf(t, by, kind)
			require.NoError(t, by.Verify(certificate.Raw))
			require.NoError(t, issuer.CheckStored(certificate.Raw, issuer.OCSPProfile))
			require.Equal(t, []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, certificate.ExtKeyUsage)
			require.Equal(t, x509.KeyUsageDigitalSignature, certificate.KeyUsage)
			require.Equal(t, "CN=OCSP responder of "+by.Name(), certificate.Subject.String())
			require.Empty(t, certificate.DNSNames)
			require.Empty(t, certificate.OCSPServer, "it is not to be checked itself")
			require.Empty(t, certificate.CRLDistributionPoints)
			require.Contains(t, certificate.Extensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}})
			for _, profile := range []string{"server", "client", "internal"} {
				require.Error(t, issuer.CheckStored(certificate.Raw, profile))
			}
		}
	}
}

// No request and no configuration leads to the usage OCSPSigning.
func TestNobodyGetsAResponderCertificate(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	asked := request(t, "www.example.com")
	asked.Profile = issuer.OCSPProfile
	_, err := by.Prepare(asked)
	require.ErrorContains(t, err, "does not issue")
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning, x509.ExtKeyUsageServerAuth} {
		profile := issuer.DefaultProfiles()[0]
		profile.Name, profile.EKU = issuer.OCSPProfile, usage
		require.Error(t, profile.Validate())
		profile.Name, profile.EKU = "internal", x509.ExtKeyUsageOCSPSigning
		require.Error(t, profile.Validate())
	}
}

func TestResponderIsRefused(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	by := direct(t, key)
	sound := func() issuer.ResponderRequest {
		return issuer.ResponderRequest{Serial: pki.NewSerial(), PublicKey: keyOf(t, pki.ECDSAP256, 50).Public(), NotBefore: start, NotAfter: start.Add(24 * time.Hour)}
	}
	weak, err := x509.ParsePKIXPublicKey(mustWeakKey(t))
	require.NoError(t, err)
	for name, change := range map[string]func(*issuer.ResponderRequest){
		"no serial":           func(r *issuer.ResponderRequest) { r.Serial = pki.Serial{} },
		"the authority's key": func(r *issuer.ResponderRequest) { r.PublicKey = key.Public() },
		"no key":              func(r *issuer.ResponderRequest) { r.PublicKey = nil },
		"a weak key":          func(r *issuer.ResponderRequest) { r.PublicKey = weak },
		"32 days":             func(r *issuer.ResponderRequest) { r.NotAfter = r.NotBefore.Add(32 * 24 * time.Hour) },
		"ends before":         func(r *issuer.ResponderRequest) { r.NotAfter = r.NotBefore.Add(-time.Second) },
		"before its issuer":   func(r *issuer.ResponderRequest) { r.NotBefore = by.Certificate().NotBefore.Add(-time.Second) },
	} {
		asked := sound()
		change(&asked)
		draft, err := by.PrepareResponder(asked)
		require.Error(t, err, name)
		require.Nil(t, draft, name)
	}
	responderKey := keyOf(t, pki.ECDSAP256, 50)
	draft, err := by.PrepareResponder(sound())
	require.NoError(t, err)
	der, err := by.Sign(draft)
	require.NoError(t, err)
	_, err = by.NewResponder(keyOf(t, pki.ECDSAP256, 51), der)
	require.ErrorContains(t, err, "not that of its certificate")
	_, err = direct(t, keyOf(t, pki.ECDSAP256, 3)).NewResponder(responderKey, der)
	require.Error(t, err, "of another authority")
	_, err = by.NewResponder(responderKey, issue(t, by, request(t, "www.example.com")).Raw)
	require.Error(t, err, "a server's certificate")
	_, err = by.NewResponder(otherDigest{responderKey}, der)
	require.ErrorContains(t, err, "does not fit", "a key that does not work")
}

func mustWeakKey(t *testing.T) []byte {
	der, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, Parameters: asn1.NullRawValue},
		asn1.BitString{Bytes: func() []byte {
			key, err := asn1.Marshal(struct{ N, E *big.Int }{new(big.Int).SetBit(big.NewInt(1), 1023, 1), big.NewInt(3)})
			require.NoError(t, err)
			return key
		}(), BitLength: 8 * 141},
	})
	require.NoError(t, err)
	return der
}

// What a responder says is what x/crypto/ocsp reads: for every kind of key, hash,
// status and reason.
func TestOCSPResponse(t *testing.T) {
	for _, kind := range []pki.KeyType{pki.ECDSAP256, pki.ECDSAP384, pki.RSA2048, pki.Ed25519} {
		by := direct(t, keyOf(t, kind, 1))
		responder, certificate := responderOf(t, by, pki.ECDSAP256)
		leaf := issue(t, by, request(t, "www.example.com"))
		for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
			asked := ask(t, leaf, by.Certificate(), hash)
			require.True(t, by.Names(asked.CertIDs[0]))
			answer := issuer.OCSPAnswer{ID: asked.CertIDs[0], ThisUpdate: start.Add(-time.Minute), NextUpdate: start.Add(time.Hour)}
			answers := []issuer.OCSPAnswer{answer}
			answer.Status = issuer.OCSPUnknown
			answers = append(answers, answer)
			for _, reason := range pki.LeafReasons() {
				answer.Status, answer.RevokedAt, answer.Reason = issuer.OCSPRevoked, start.Add(-time.Hour), reason
				answers = append(answers, answer)
			}
			for _, answer := range answers {
				der, err := responder.Sign(issuer.OCSPResponse{Answers: []issuer.OCSPAnswer{answer}, ProducedAt: start})
				require.NoError(t, err)
				read, err := ocsp.ParseResponseForCert(der, leaf, by.Certificate())
				require.NoError(t, err)
				require.EqualValues(t, answer.Status, read.Status)
				require.Equal(t, hash, read.IssuerHash)
				require.Zero(t, read.SerialNumber.Cmp(leaf.SerialNumber))
				require.Equal(t, start, read.ProducedAt)
				require.Equal(t, answer.ThisUpdate, read.ThisUpdate)
				require.Equal(t, answer.NextUpdate, read.NextUpdate)
				require.Equal(t, certificate.Raw, read.Certificate.Raw)
				require.Len(t, read.ResponderKeyHash, 20)
				if answer.Status == issuer.OCSPRevoked {
					require.Equal(t, answer.RevokedAt, read.RevokedAt)
					require.Equal(t, int(answer.Reason), read.RevocationReason)
				}
			}
		}
	}
}

// basicResponse reads what x/crypto/ocsp does not: several answers, and extensions.
type basicResponse struct {
	Data struct {
		Responder  asn1.RawValue
		ProducedAt time.Time `asn1:"generalized"`
		Responses  []struct {
			ID         asn1.RawValue
			Status     asn1.RawValue
			ThisUpdate time.Time `asn1:"generalized"`
			NextUpdate time.Time `asn1:"generalized,explicit,tag:0"`
		}
		Extensions []pkix.Extension `asn1:"explicit,tag:1,optional"`
	}
	Algorithm    pkix.AlgorithmIdentifier
	Signature    asn1.BitString
	Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

func readBasic(t *testing.T, der []byte) (basic basicResponse) {
	t.Helper()
	var whole struct {
		Status asn1.Enumerated
		Bytes  struct {
			Type asn1.ObjectIdentifier
			Data []byte
		} `asn1:"explicit,tag:0,optional"`
	}
	rest, err := asn1.Unmarshal(der, &whole)
	require.NoError(t, err)
	require.Empty(t, rest)
	rest, err = asn1.Unmarshal(whole.Bytes.Data, &basic)
	require.NoError(t, err)
	require.Empty(t, rest)
	return basic
}

// The parts of a request, as openssl and others write them.
type (
	requestBytes struct {
		TBS       tbsBytes
		Signature asn1.RawValue `asn1:"optional,explicit,tag:0"`
	}
	tbsBytes struct {
		Version    int           `asn1:"optional,explicit,tag:0,default:0"`
		Requestor  asn1.RawValue `asn1:"optional,explicit,tag:1"`
		List       []oneBytes
		Extensions []pkix.Extension `asn1:"optional,explicit,tag:2"`
	}
	oneBytes struct {
		ID         idBytes
		Extensions []pkix.Extension `asn1:"optional,explicit,tag:0"`
	}
	idBytes struct {
		Hash      pkix.AlgorithmIdentifier
		Name, Key []byte
		Serial    *big.Int
	}
)

func soundRequest(t testing.TB, by *issuer.Issuer, leaves ...*x509.Certificate) requestBytes {
	t.Helper()
	var r requestBytes
	for _, leaf := range leaves {
		der, err := ocsp.CreateRequest(leaf, by.Certificate(), &ocsp.RequestOptions{Hash: crypto.SHA256})
		require.NoError(t, err)
		var one requestBytes
		_, err = asn1.Unmarshal(der, &one)
		require.NoError(t, err)
		r.TBS.List = append(r.TBS.List, one.TBS.List...)
	}
	return r
}

func nonce(t testing.TB, size int) pkix.Extension {
	t.Helper()
	value, err := asn1.Marshal(make([]byte, size))
	require.NoError(t, err)
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, Value: value}
}

// Requests with several certificates, nonces and other extensions; and those that
// are malformed.
func TestParseOCSPRequest(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	leaf := issue(t, by, request(t, "www.example.com"))
	unknown := func(critical bool) pkix.Extension {
		return pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: critical, Value: []byte{5, 0}}
	}
	for name, test := range map[string]struct {
		change func(*requestBytes)
		ok     bool
		nonce  int
	}{
		"plain":            {func(*requestBytes) {}, true, 0},
		"two certificates": {func(r *requestBytes) { r.TBS.List = append(r.TBS.List, r.TBS.List[0]) }, true, 0},
		"16 certificates":  {func(r *requestBytes) { r.TBS.List = times(r.TBS.List[0], 16) }, true, 0},
		"17 certificates":  {func(r *requestBytes) { r.TBS.List = times(r.TBS.List[0], 17) }, false, 0},
		"no certificate":   {func(r *requestBytes) { r.TBS.List = nil }, false, 0},
		"nonce of 1":       {func(r *requestBytes) { r.TBS.Extensions = []pkix.Extension{nonce(t, 1)} }, true, 1},
		"nonce of 32":      {func(r *requestBytes) { r.TBS.Extensions = []pkix.Extension{nonce(t, 32)} }, true, 32},
		"nonce of 128":     {func(r *requestBytes) { r.TBS.Extensions = []pkix.Extension{nonce(t, 128)} }, true, 128},
		"nonce of 129":     {func(r *requestBytes) { r.TBS.Extensions = []pkix.Extension{nonce(t, 129)} }, false, 0},
		"empty nonce":      {func(r *requestBytes) { r.TBS.Extensions = []pkix.Extension{nonce(t, 0)} }, false, 0},
		"two nonces":       {func(r *requestBytes) { r.TBS.Extensions = []pkix.Extension{nonce(t, 8), nonce(t, 8)} }, false, 0},
		"a bare nonce": {func(r *requestBytes) {
			r.TBS.Extensions = []pkix.Extension{{Id: nonce(t, 1).Id, Value: []byte("abcdefgh")}}
		}, false, 0},
		"unknown extension":        {func(r *requestBytes) { r.TBS.Extensions = []pkix.Extension{unknown(false)} }, true, 0},
		"unknown critical":         {func(r *requestBytes) { r.TBS.Extensions = []pkix.Extension{unknown(true)} }, false, 0},
		"unknown extension of one": {func(r *requestBytes) { r.TBS.List[0].Extensions = []pkix.Extension{unknown(false)} }, true, 0},
		"unknown critical of one":  {func(r *requestBytes) { r.TBS.List[0].Extensions = []pkix.Extension{unknown(true)} }, false, 0},
		"requestor": {func(r *requestBytes) {
			r.TBS.Requestor = asn1.RawValue{Class: 2, Tag: 1, IsCompound: true, Bytes: []byte{0x82, 1, 'a'}}
		}, true, 0},
		"signed": {func(r *requestBytes) {
			r.Signature = asn1.RawValue{Class: 2, Tag: 0, IsCompound: true, Bytes: []byte{0x30, 0}}
		}, true, 0},
		"version 2":                {func(r *requestBytes) { r.TBS.Version = 1 }, false, 0},
		"hash without parameters":  {func(r *requestBytes) { r.TBS.List[0].ID.Hash.Parameters = asn1.RawValue{} }, true, 0},
		"hash with odd parameters": {func(r *requestBytes) { r.TBS.List[0].ID.Hash.Parameters = asn1.RawValue{Tag: 4, Bytes: []byte("x")} }, false, 0},
		"an unknown hash":          {func(r *requestBytes) { r.TBS.List[0].ID.Hash.Algorithm = asn1.ObjectIdentifier{1, 2, 3} }, true, 0},
		"a negative serial, a huge one": {func(r *requestBytes) {
			r.TBS.List = append(r.TBS.List, r.TBS.List[0])
			r.TBS.List[0].ID.Serial = big.NewInt(-1)
			r.TBS.List[1].ID.Serial = new(big.Int).Lsh(big.NewInt(1), 2000)
		}, true, 0},
	} {
		r := soundRequest(t, by, leaf)
		test.change(&r)
		der, err := asn1.Marshal(r)
		require.NoError(t, err, name)
		parsed, err := issuer.ParseOCSPRequest(der)
		if !test.ok {
			require.Error(t, err, name)
			continue
		}
		require.NoError(t, err, name)
		require.Len(t, parsed.CertIDs, len(r.TBS.List), name)
		require.Len(t, parsed.Nonce, test.nonce, name)
		_, err = issuer.ParseOCSPRequest(append(der, 0))
		require.Error(t, err, "%s, and something behind it", name)
		_, err = issuer.ParseOCSPRequest(der[:len(der)-1])
		require.Error(t, err, "%s, cut", name)
	}
}

func times[T any](one T, n int) (all []T) {
	for range n {
		all = append(all, one)
	}
	return all
}

// Who asks for several gets all answers in order, each with the very CertID of the
// question, and the nonce back.
func TestSeveralAnswers(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	responder, certificate := responderOf(t, by, pki.ECDSAP256)
	r := soundRequest(t, by, issue(t, by, request(t, "a.example.com")), issue(t, by, request(t, "b.example.com")))
	r.TBS.List[1].ID.Hash.Parameters = asn1.RawValue{}
	r.TBS.Extensions = []pkix.Extension{nonce(t, 32)}
	der, err := asn1.Marshal(r)
	require.NoError(t, err)
	asked, err := issuer.ParseOCSPRequest(der)
	require.NoError(t, err)
	var answers []issuer.OCSPAnswer
	for i, id := range asked.CertIDs {
		answers = append(answers, issuer.OCSPAnswer{ID: id, Status: issuer.OCSPStatus(i), RevokedAt: start, ThisUpdate: start, NextUpdate: start.Add(time.Hour)})
	}
	signed, err := responder.Sign(issuer.OCSPResponse{Answers: answers, ProducedAt: start, Nonce: asked.Nonce})
	require.NoError(t, err)
	basic := readBasic(t, signed)
	require.Len(t, basic.Data.Responses, 2)
	for i, one := range basic.Data.Responses {
		require.Equal(t, asked.CertIDs[i].Raw, one.ID.FullBytes)
		require.Equal(t, i, one.Status.Tag)
	}
	require.Equal(t, r.TBS.Extensions, basic.Data.Extensions)
	require.Equal(t, certificate.Raw, basic.Certificates[0].FullBytes)
}

// Nothing is said about the certificates of others, nor beyond the responder's life.
func TestResponderSignsNoNonsense(t *testing.T) {
	by, other := direct(t, keyOf(t, pki.ECDSAP256, 1)), direct(t, keyOf(t, pki.ECDSAP256, 2))
	responder, certificate := responderOf(t, by, pki.ECDSAP256)
	leaf := issue(t, by, request(t, "www.example.com"))
	id := ask(t, leaf, by.Certificate(), crypto.SHA1).CertIDs[0]
	foreign := ask(t, leaf, other.Certificate(), crypto.SHA1).CertIDs[0]
	require.False(t, by.Names(foreign))
	require.False(t, by.Names(issuer.CertID{}))
	sound := issuer.OCSPAnswer{ID: id, ThisUpdate: start, NextUpdate: certificate.NotAfter}
	for name, change := range map[string]func(*issuer.OCSPAnswer){
		"foreign":      func(a *issuer.OCSPAnswer) { a.ID = foreign },
		"too long":     func(a *issuer.OCSPAnswer) { a.NextUpdate = a.NextUpdate.Add(time.Second) },
		"no time":      func(a *issuer.OCSPAnswer) { a.NextUpdate = a.ThisUpdate },
		"other status": func(a *issuer.OCSPAnswer) { a.Status = 3 },
	} {
		answer := sound
		change(&answer)
		_, err := responder.Sign(issuer.OCSPResponse{Answers: []issuer.OCSPAnswer{sound, answer}, ProducedAt: start})
		require.Error(t, err, name)
	}
	_, err := responder.Sign(issuer.OCSPResponse{ProducedAt: start})
	require.Error(t, err)
	_, err = responder.Sign(issuer.OCSPResponse{Answers: []issuer.OCSPAnswer{sound}, ProducedAt: start})
	require.NoError(t, err)
}

func TestOCSPErrors(t *testing.T) {
	for code, want := range map[issuer.OCSPError]ocsp.ResponseStatus{
		issuer.OCSPMalformed: ocsp.Malformed, issuer.OCSPTryLater: ocsp.TryLater, issuer.OCSPUnauthorized: ocsp.Unauthorized,
	} {
		_, err := ocsp.ParseResponse(code.Encode(), nil)
		var refused ocsp.ResponseError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, want, refused.Status)
	}
}

// What parses has the bounds that it should have; what x/crypto/ocsp reads in it is
// the same; and it can be answered, to be read by x/crypto/ocsp again.
func FuzzParseOCSPRequest(f *testing.F) {
	by := direct(f, keyOf(f, pki.ECDSAP256, 1))
	responder, _ := responderOf(f, by, pki.ECDSAP256)
	leaf := issue(f, by, request(f, "www.example.com"))
	for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA512} {
		der, err := ocsp.CreateRequest(leaf, by.Certificate(), &ocsp.RequestOptions{Hash: hash})
		require.NoError(f, err)
		f.Add(der)
	}
	rich := soundRequest(f, by, leaf, leaf)
	rich.TBS.Extensions = []pkix.Extension{nonce(f, 32)}
	rich.TBS.List[0].Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}}
	rich.TBS.List[1].ID.Serial, _ = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 160))
	der, err := asn1.Marshal(rich)
	require.NoError(f, err)
	f.Add(der)
	f.Fuzz(func(t *testing.T, der []byte) {
		parsed, err := issuer.ParseOCSPRequest(der)
		if err != nil {
			return
		}
		require.NotEmpty(t, parsed.CertIDs)
		require.LessOrEqual(t, len(parsed.CertIDs), 16)
		require.LessOrEqual(t, len(parsed.Nonce), 128)
		require.True(t, parsed.Nonce == nil || len(parsed.Nonce) > 0)
		if read, err := ocsp.ParseRequest(der); err == nil && parsed.CertIDs[0].Hash != 0 {
			first := parsed.CertIDs[0]
			require.Equal(t, read.HashAlgorithm, first.Hash)
			require.True(t, bytes.Equal(read.IssuerNameHash, first.NameHash))
			require.True(t, bytes.Equal(read.IssuerKeyHash, first.KeyHash))
			if first.Serial[0]&0x80 == 0 {
				require.Zero(t, read.SerialNumber.Cmp(new(big.Int).SetBytes(first.Serial)))
			}
		}
		var answers []issuer.OCSPAnswer
		for _, id := range parsed.CertIDs {
			require.True(t, bytes.Contains(der, id.Raw))
			if by.Names(id) {
				answers = append(answers, issuer.OCSPAnswer{ID: id, Status: issuer.OCSPUnknown, ThisUpdate: start, NextUpdate: start.Add(time.Hour)})
			}
		}
		if len(answers) != 1 {
			return
		}
		signed, err := responder.Sign(issuer.OCSPResponse{Answers: answers, ProducedAt: start, Nonce: parsed.Nonce})
		require.NoError(t, err)
		_, err = ocsp.ParseResponse(signed, by.Certificate())
		require.NoError(t, err)
	})
}
