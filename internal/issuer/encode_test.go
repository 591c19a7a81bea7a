package issuer_test

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// Whatever may be asked for, the bytes to be signed are those of crypto/x509.
func TestEncodingEqualsCryptoX509(t *testing.T) {
	random := mathrand.New(mathrand.NewPCG(1, 2))
	kinds := []pki.KeyType{pki.ECDSAP256, pki.ECDSAP384, pki.RSA2048, pki.Ed25519}
	for round := range 300 {
		caKey := keyOf(t, kinds[random.IntN(len(kinds))], 1)
		key := keyOf(t, kinds[random.IntN(len(kinds))], 2)
		// From 2045 to 2055, on both sides of the change of the time's form.
		begin := time.Date(2045, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(random.Int64N(int64(10 * year)))).Truncate(time.Second)
		profile := randomProfile(random)
		base := []string{"", "http://ca.example.com", "http://ca.example.com:8080/pki/"}[random.IntN(3)]
		name := []string{"CA", "Some CA/1 %"}[random.IntN(2)]
		root, err := issuer.NewRoot(issuer.RootRequest{
			Serial: pki.NewSerial(), CommonName: randomText(random), Organization: randomText(random), Key: caKey,
			NotBefore: begin.Add(-year), NotAfter: begin.Add(30 * year),
		})
		require.NoError(t, err)
		by, err := issuer.New(issuer.Config{Name: name, Certificate: root, Key: caKey, Profiles: []issuer.Profile{profile}, BaseURL: base})
		require.NoError(t, err)
		asked := issuer.Request{
			Profile: profile.Name, Serial: pki.NewSerial(), Names: randomNames(t, random), PublicKey: key.Public(),
			NotBefore: begin, NotAfter: begin.Add(time.Duration(random.Int64N(int64(profile.MaxValidity)))).Truncate(time.Second),
		}
		draft, err := by.Prepare(asked)
		require.NoError(t, err, "round %d: %v", round, asked.Names)

		want := x509Template(t, asked, profile, root)
		if base = strings.TrimRight(base, "/"); base != "" {
			escaped := url.PathEscape(name)
			want.CRLDistributionPoints = []string{base + "/crl/" + escaped + ".crl"}
			want.OCSPServer = []string{base + "/ocsp/" + escaped}
			want.IssuingCertificateURL = []string{base + "/ca/" + escaped + ".der"}
		}
		der, err := x509.CreateCertificate(rand.Reader, want, root, key.Public(), caKey)
		require.NoError(t, err)
		tbs, _, err := pki.SplitCertificate(der)
		require.NoError(t, err)
		require.Equal(t, tbs, draft.TBS(), "round %d: %v", round, asked.Names)
	}
}

// x509Template says in crypto/x509's words what is asked for.
func x509Template(t *testing.T, asked issuer.Request, profile issuer.Profile, root *x509.Certificate) *x509.Certificate {
	spki, err := x509.MarshalPKIXPublicKey(asked.PublicKey)
	require.NoError(t, err)
	want := &x509.Certificate{
		SerialNumber: asked.Serial.Int(), NotBefore: asked.NotBefore, NotAfter: asked.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{profile.EKU},
		BasicConstraintsValid: true, SubjectKeyId: subjectKeyID(t, asked.PublicKey, spki), AuthorityKeyId: root.SubjectKeyId,
	}
	if kind, _ := pki.KeyTypeOf(asked.PublicKey); strings.HasPrefix(string(kind), "rsa") && profile.EKU == x509.ExtKeyUsageServerAuth {
		want.KeyUsage |= x509.KeyUsageKeyEncipherment
	}
	for _, name := range asked.Names {
		if name.IsIP() {
			want.IPAddresses = append(want.IPAddresses, net.IP(name.Addr().AsSlice()))
			continue
		}
		want.DNSNames = append(want.DNSNames, name.String())
		if want.Subject.CommonName == "" && len(name.String()) <= 64 {
			want.Subject.CommonName = name.String()
		}
	}
	if profile.Organization != "" {
		want.Subject.Organization = []string{profile.Organization}
	}
	if profile.OrganizationalUnit != "" {
		want.Subject.OrganizationalUnit = []string{profile.OrganizationalUnit}
	}
	if profile.Country != "" {
		want.Subject.Country = []string{profile.Country}
	}
	return want
}

// subjectKeyID is the identifier that crypto/x509 itself gives to this key, when it
// makes a CA of it; computed apart, it is a hash of the key.
func subjectKeyID(t *testing.T, public crypto.PublicKey, spki []byte) []byte {
	caKey := keyOf(t, pki.ECDSAP256, 3)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: pki.NewSerial().Int(), BasicConstraintsValid: true, IsCA: true, Subject: pkix.Name{CommonName: "x"},
	}, &x509.Certificate{}, public, caKey)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	require.Len(t, parsed.SubjectKeyId, 20)
	require.Equal(t, spki, parsed.RawSubjectPublicKeyInfo)
	return parsed.SubjectKeyId
}

func TestKeyIdentifierIsRFC7093(t *testing.T) {
	key := keyOf(t, pki.Ed25519, 1)
	root := newRoot(t, key)
	// The content of an Ed25519 key's BIT STRING is the key's 32 octets, the last
	// of the SubjectPublicKeyInfo.
	spki := root.RawSubjectPublicKeyInfo
	hash := sha256.Sum256(spki[len(spki)-32:])
	require.Equal(t, hash[:20], root.SubjectKeyId)
	require.Equal(t, root.SubjectKeyId, root.AuthorityKeyId)
}

func randomProfile(random *mathrand.Rand) issuer.Profile {
	profile := allKeys(issuer.DefaultProfiles())[random.IntN(2)]
	profile.MaxValidity, profile.MaxNames, profile.Wildcards, profile.IPNames = 3650*24*time.Hour, 20, true, true
	if random.IntN(2) == 0 {
		profile.Organization = randomText(random)
	}
	if random.IntN(2) == 0 {
		profile.OrganizationalUnit = randomText(random)
	}
	if random.IntN(2) == 0 {
		profile.Country = "CN"
	}
	return profile
}

// randomText is a text for a subject: plain letters are written as PrintableString,
// others as UTF8String.
func randomText(random *mathrand.Rand) string {
	const letters = "abcXYZ019'()+,-./:=?*&@_äß腾讯"
	var b strings.Builder
	for range 1 + random.IntN(30) {
		all := []rune(letters)
		b.WriteRune(all[random.IntN(len(all))])
	}
	return b.String()
}

func randomNames(t *testing.T, random *mathrand.Rand) []pki.Name {
	var texts []string
	for range 1 + random.IntN(15) {
		switch random.IntN(5) {
		case 0:
			texts = append(texts, fmt.Sprintf("192.0.2.%d", random.IntN(256)))
		case 1:
			texts = append(texts, fmt.Sprintf("2001:db8::%x", random.IntN(65536)))
		case 2:
			texts = append(texts, fmt.Sprintf("*.w%d.example.com", random.IntN(1000)))
		case 3:
			// Longer than the 64 characters of a common name.
			texts = append(texts, strings.Repeat(fmt.Sprintf("label-%03d.", random.IntN(1000)), 6+random.IntN(15))+"example.com")
		default:
			texts = append(texts, fmt.Sprintf("host%d.example.com", random.IntN(1000)))
		}
	}
	return names(t, texts...)
}

// The last second of UTCTime and the first of GeneralizedTime (RFC 5280,
// Section 4.1.2.5).
func TestTimesAroundTheYear2050(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	change := time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC)
	root, err := issuer.NewRoot(issuer.RootRequest{
		Serial: pki.NewSerial(), CommonName: "x", Key: key, NotBefore: change.Add(-year), NotAfter: change.Add(year),
	})
	require.NoError(t, err)
	by, err := issuer.New(issuer.Config{Name: "x", Certificate: root, Key: key, Profiles: issuer.DefaultProfiles()})
	require.NoError(t, err)
	asked := request(t, "www.example.com")
	asked.NotBefore, asked.NotAfter = change.Add(-time.Second), change
	draft, err := by.Prepare(asked)
	require.NoError(t, err)
	require.Contains(t, string(draft.TBS()), "\x17\x0d491231235959Z\x18\x0f20500101000000Z")
}
