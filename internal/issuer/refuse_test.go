package issuer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

func TestPrepareRefuses(t *testing.T) {
	caKey := keyOf(t, pki.ECDSAP256, 1)
	root := direct(t, caKey)
	rootKey := keyOf(t, pki.ECDSAP256, 2)
	_, below := issuing(t, rootKey, caKey)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		change     func(*issuer.Request)
		field, why string
		by         *issuer.Issuer
	}{
		"unknown profile": {func(r *issuer.Request) { r.Profile = "both" }, "Profile", `does not issue the profile "both"`, root},
		"client below an authority for servers": {func(r *issuer.Request) { r.Profile = "client" }, "Profile",
			`TencentQQAuthCA-Issuing does not issue the profile "client"`, below},
		"no names":           {func(r *issuer.Request) { r.Names = nil }, "Names", "give the name", root},
		"an empty name":      {func(r *issuer.Request) { r.Names = append(r.Names, pki.Name{}) }, "Names[1]", "leave it out", root},
		"a name twice":       {func(r *issuer.Request) { r.Names = append(r.Names, r.Names[0]) }, "Names[1]", "leave one out", root},
		"101 names":          {func(r *issuer.Request) { r.Names = manyNames(t, 101) }, "Names", "at most 100", root},
		"client wildcard":    {func(r *issuer.Request) { r.Profile, r.Names = "client", names(t, "a.example", "*.example.com") }, "Names[1]", "wildcards", root},
		"client address":     {func(r *issuer.Request) { r.Profile, r.Names = "client", names(t, "192.0.2.1") }, "Names[0]", "IP addresses", root},
		"other common name":  {func(r *issuer.Request) { r.CommonName = "callback.platform.internal" }, "CommonName", "none of the names", root},
		"long common name":   {longCommonName(t), "CommonName", "at most 64", root},
		"no key":             {func(r *issuer.Request) { r.PublicKey = nil }, "PublicKey", "make one of", root},
		"P-224":              {func(r *issuer.Request) { r.PublicKey = p224.Public() }, "PublicKey", "P-224", root},
		"the issuer's key":   {func(r *issuer.Request) { r.PublicKey = caKey.Public() }, "PublicKey", "key of the authority", root},
		"the root's key":     {func(r *issuer.Request) { r.PublicKey = rootKey.Public() }, "PublicKey", `key of the authority "TencentQQAuthCA"`, below},
		"ends before begin":  {func(r *issuer.Request) { r.NotAfter = r.NotBefore.Add(-time.Second) }, "NotAfter", "before it begins", root},
		"a second too long":  {func(r *issuer.Request) { r.NotAfter = r.NotBefore.Add(397 * day) }, "NotAfter", "at most 397 days", root},
		"beyond the issuer":  {func(r *issuer.Request) { r.NotBefore, r.NotAfter = start.Add(20*year), start.Add(20*year+time.Second) }, "NotAfter", "outlast", root},
		"before the issuer":  {func(r *issuer.Request) { r.NotBefore = start.Add(-time.Hour - time.Second) }, "NotAfter", "begin before", root},
		"client of 91 days":  {func(r *issuer.Request) { r.Profile = "client"; r.NotAfter = r.NotBefore.Add(90 * day) }, "NotAfter", "at most 90 days", root},
		"beyond all measure": {func(r *issuer.Request) { r.NotAfter = time.Unix(1<<60, 0) }, "NotAfter", "at most 397 days", root},
	} {
		asked := request(t, "www.example.com")
		c.change(&asked)
		draft, err := c.by.Prepare(asked)
		require.Nil(t, draft, name)
		var refused *issuer.RefusedError
		require.ErrorAs(t, err, &refused, name)
		require.Equal(t, c.field, refused.Field, name)
		require.Contains(t, err.Error(), c.why, name)
	}
}

func manyNames(t *testing.T, n int) []pki.Name {
	var texts []string
	for i := range n {
		texts = append(texts, "a"+strconv.Itoa(i)+".example.com")
	}
	return names(t, texts...)
}

func longCommonName(t *testing.T) func(*issuer.Request) {
	long := strings.Repeat("a", 60) + ".example.com"
	return func(r *issuer.Request) { r.Names, r.CommonName = names(t, long), long }
}

// A name that the profile does not allow is found in whatever place it stands.
func TestTheBadNameIsFoundEverywhere(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	for bad := range 10 {
		asked := request(t, "x.example")
		asked.Profile, asked.Names = "client", manyNames(t, 10)
		asked.NotAfter = asked.NotBefore.Add(time.Hour)
		_, err := by.Prepare(asked)
		require.NoError(t, err)
		asked.Names[bad] = names(t, "*.example.com")[0]
		_, err = by.Prepare(asked)
		var refused *issuer.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, "Names["+strconv.Itoa(bad)+"]", refused.Field)
	}
}

// The limits themselves are allowed: the longest validity has both of its ends, and
// a leaf may begin and end with its issuer.
func TestTheLimitsAreInclusive(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	asked := request(t, "www.example.com")
	asked.NotAfter = asked.NotBefore.Add(397*24*time.Hour - time.Second)
	require.Equal(t, asked.NotAfter, issue(t, by, asked).NotAfter)

	asked.NotBefore, asked.NotAfter = start.Add(20*year-time.Hour), start.Add(20*year)
	require.Equal(t, by.Certificate().NotAfter, issue(t, by, asked).NotAfter)

	asked.NotBefore, asked.NotAfter = start.Add(-time.Hour), start.Add(-time.Hour)
	leaf := issue(t, by, asked)
	require.Equal(t, by.Certificate().NotBefore, leaf.NotBefore)
	require.Equal(t, leaf.NotBefore, leaf.NotAfter, "valid for one second")

	asked.Names = manyNames(t, 100)
	require.Len(t, issue(t, by, asked).DNSNames, 100)

	asked.NotBefore, asked.NotAfter = start.Add(999*time.Millisecond), start.Add(time.Hour+time.Millisecond)
	leaf = issue(t, by, asked)
	require.Equal(t, start, leaf.NotBefore, "fractions are cut off")
	require.Equal(t, start.Add(time.Hour), leaf.NotAfter)
}

func TestPrepareWantsASerial(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	for _, bad := range []pki.Serial{{}, {0, 1}, {0x80}, {0xff, 1}} {
		asked := request(t, "www.example.com")
		asked.Serial = bad
		_, err := by.Prepare(asked)
		require.ErrorContains(t, err, "serial number")
		var refused *issuer.RefusedError
		require.NotErrorAs(t, err, &refused, "not a fault of whom asks")
	}
}

func TestARestingAuthorityDoesNotSign(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	resting, err := issuer.New(issuer.Config{Name: "x", Certificate: newRoot(t, key), Profiles: issuer.DefaultProfiles()})
	require.NoError(t, err)
	require.False(t, resting.CanSign())
	_, err = resting.Prepare(request(t, "www.example.com"))
	require.ErrorContains(t, err, "not on this server")
	leaf := issue(t, direct(t, key), request(t, "www.example.com"))
	require.NoError(t, resting.Verify(leaf.Raw), "it still verifies")
	_, err = resting.NewIntermediate(issuer.IntermediateRequest{
		Serial: pki.NewSerial(), CommonName: "y", PublicKey: keyOf(t, pki.ECDSAP256, 2).Public(), EKU: x509.ExtKeyUsageServerAuth,
		NotBefore: start, NotAfter: start.Add(year),
	})
	require.ErrorContains(t, err, "not on this server")
}

func TestNewRefuses(t *testing.T) {
	key, other := keyOf(t, pki.ECDSAP256, 1), keyOf(t, pki.ECDSAP256, 2)
	good := newRoot(t, key)
	above, below := issuing(t, key, other)
	foreign := func(change func(*x509.Certificate)) *x509.Certificate {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Old"}, BasicConstraintsValid: true, IsCA: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, NotBefore: start, NotAfter: start.Add(year),
		}
		change(template)
		return created(t, template, template, key.Public(), key)
	}
	twice := append(issuer.DefaultProfiles(), issuer.DefaultProfiles()[0])
	mixed := issuer.DefaultProfiles()[:1]
	mixed[0].EKU = x509.ExtKeyUsageClientAuth
	for name, c := range map[string]struct {
		config issuer.Config
		why    string
	}{
		"nothing":        {issuer.Config{}, "give both"},
		"no name":        {issuer.Config{Certificate: good}, "give both"},
		"another key":    {issuer.Config{Certificate: good, Key: other}, "belong together"},
		"not a CA":       {issuer.Config{Certificate: foreign(func(c *x509.Certificate) { c.IsCA = false })}, "not a CA's"},
		"no constraints": {issuer.Config{Certificate: foreign(func(c *x509.Certificate) { c.BasicConstraintsValid = false })}, "not a CA's"},
		"no keyCertSign": {issuer.Config{Certificate: foreign(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign })}, "keyCertSign"},
		"no cRLSign":     {issuer.Config{Certificate: foreign(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })}, "cRLSign"},
		"no subject":     {issuer.Config{Certificate: foreign(func(c *x509.Certificate) { c.Subject = pkix.Name{} })}, "no subject"},
		"constraints":    {issuer.Config{Certificate: foreign(func(c *x509.Certificate) { c.PermittedDNSDomains = []string{"x"} })}, "name constraints"},
		"no life":        {issuer.Config{Certificate: foreign(func(c *x509.Certificate) { c.NotAfter = c.NotBefore })}, "before it begins"},
		"unknown critical": {issuer.Config{Certificate: foreign(func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true}}
		})}, "1.2.3"},
		"chain left out":  {issuer.Config{Certificate: below.Certificate()}, "chain from there"},
		"another's chain": {issuer.Config{Certificate: below.Certificate(), Chain: []*x509.Certificate{newRoot(t, other)}}, "did not sign"},
		"wrong order":     {issuer.Config{Certificate: good, Chain: []*x509.Certificate{below.Certificate()}}, "give the chain in order"},
		"no root in chain": {issuer.Config{Certificate: below.Certificate(), Chain: []*x509.Certificate{above.Certificate(), below.Certificate()}},
			"give the chain in order"},
		"profile below": {issuer.Config{Certificate: below.Certificate(), Chain: below.Chain(), Profiles: issuer.DefaultProfiles()},
			"does not allow clientAuth"},
		"profile twice":     {issuer.Config{Certificate: good, Profiles: twice}, "there twice"},
		"profile mixed up":  {issuer.Config{Certificate: good, Profiles: mixed}, "serverAuth and stays so"},
		"profile of nobody": {issuer.Config{Certificate: good, Profiles: []issuer.Profile{{}}}, "its name"},
		"https":             {issuer.Config{Certificate: good, BaseURL: "https://ca.example.com"}, "give one with http://"},
		"no URL":            {issuer.Config{Certificate: good, BaseURL: "ca.example.com"}, "http://ca.example.com"},
		"query":             {issuer.Config{Certificate: good, BaseURL: "http://ca.example.com/?x"}, "http://ca.example.com"},
	} {
		if name != "nothing" && name != "no name" {
			c.config.Name = "x"
		}
		_, err := issuer.New(c.config)
		require.ErrorContains(t, err, c.why, name)
	}
}

// A chain longer than its root allows is no chain.
func TestPathLengthOfTheChain(t *testing.T) {
	rootKey, middleKey, key := keyOf(t, pki.ECDSAP256, 1), keyOf(t, pki.ECDSAP256, 2), keyOf(t, pki.ECDSAP256, 3)
	authority := func(name string, length int) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true, IsCA: true,
			MaxPathLen: length, MaxPathLenZero: length == 0, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
			NotBefore: start, NotAfter: start.Add(year),
		}
	}
	for length, why := range map[int]string{-1: "", 2: "", 1: "allows 1 authorities"} {
		root := created(t, authority("root", length), authority("root", length), rootKey.Public(), rootKey)
		middle := created(t, authority("middle", -1), root, middleKey.Public(), rootKey)
		lower := created(t, authority("lower", 0), middle, key.Public(), middleKey)
		_, err := issuer.New(issuer.Config{Name: "x", Certificate: lower, Chain: []*x509.Certificate{middle, root}})
		if why == "" {
			require.NoError(t, err, length)
		} else {
			require.ErrorContains(t, err, why)
		}
		_, err = issuer.New(issuer.Config{Name: "x", Certificate: lower, Chain: []*x509.Certificate{middle}})
		require.ErrorContains(t, err, "up to and with the root")
	}
}

func TestCheckRoot(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	root := newRoot(t, key)
	notes, err := issuer.CheckRoot(root, key, start)
	require.NoError(t, err)
	require.Empty(t, notes)
	_, err = issuer.CheckRoot(root, keyOf(t, pki.ECDSAP256, 2), start)
	require.ErrorContains(t, err, "belong together")
	_, err = issuer.CheckRoot(root, nil, start)
	require.ErrorContains(t, err, "key")
	_, err = issuer.CheckRoot(root, key, root.NotAfter.Add(time.Second))
	require.ErrorContains(t, err, "expired on")
	_, err = issuer.CheckRoot(root, key, root.NotBefore.Add(-time.Second))
	require.ErrorContains(t, err, "not valid before")
	notes, err = issuer.CheckRoot(root, key, root.NotAfter)
	require.NoError(t, err, "its last second belongs to it")
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "successor")

	forged, err := x509.ParseCertificate(slices.Concat(root.Raw[:len(root.Raw)-1], []byte{root.Raw[len(root.Raw)-1] ^ 1}))
	require.NoError(t, err)
	_, err = issuer.CheckRoot(forged, key, start)
	require.ErrorContains(t, err, "signature over itself is wrong")

	_, below := issuing(t, key, keyOf(t, pki.ECDSAP256, 2))
	_, err = issuer.CheckRoot(below.Certificate(), keyOf(t, pki.ECDSAP256, 2), start)
	require.ErrorContains(t, err, `was issued by "CN=TencentQQAuthCA"`)
}

// SHA-1 over a root's own certificate is a note: nobody verifies that signature.
func TestSHA1RootIsANote(t *testing.T) {
	key := keyOf(t, pki.RSA2048, 1)
	root := foreignRoot(t, key, x509.Certificate{SerialNumber: big.NewInt(1), SignatureAlgorithm: x509.SHA1WithRSA})
	notes, err := issuer.CheckRoot(root, key, start)
	require.NoError(t, err)
	require.Len(t, notes, 1)
	require.Contains(t, notes[0], "SHA1-RSA")
	by, err := issuer.New(issuer.Config{Name: "old", Certificate: root, Key: key, Profiles: issuer.DefaultProfiles()})
	require.NoError(t, err)
	leaf := issue(t, by, request(t, "www.example.com"))
	require.Equal(t, x509.SHA256WithRSA, leaf.SignatureAlgorithm)
	verifyForItsPurpose(t, by, leaf, "server")
}

func TestNewAuthoritiesRefuse(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(*issuer.RootRequest)
		why    string
	}{
		"no key":         {func(r *issuer.RootRequest) { r.Key = nil }, "no key"},
		"P-224":          {func(r *issuer.RootRequest) { r.Key = p224 }, "signs nothing here"},
		"no serial":      {func(r *issuer.RootRequest) { r.Serial = pki.Serial{} }, "serial number"},
		"no name":        {func(r *issuer.RootRequest) { r.CommonName = "" }, "common name is empty"},
		"long name":      {func(r *issuer.RootRequest) { r.CommonName = strings.Repeat("a", 65) }, "at most 64"},
		"line end":       {func(r *issuer.RootRequest) { r.CommonName = "a\nb" }, "control characters"},
		"spaces":         {func(r *issuer.RootRequest) { r.Organization = " a" }, "spaces"},
		"no UTF-8":       {func(r *issuer.RootRequest) { r.Organization = "\xff" }, "UTF-8"},
		"no life":        {func(r *issuer.RootRequest) { r.NotAfter = r.NotBefore }, "later end"},
		"faulty machine": {func(r *issuer.RootRequest) { r.Key = wrongSigner{key, keyOf(t, pki.ECDSAP256, 2)} }, "proving the signature"},
	} {
		asked := issuer.RootRequest{Serial: pki.NewSerial(), CommonName: "x", Key: key, NotBefore: start, NotAfter: start.Add(year)}
		c.change(&asked)
		_, err := issuer.NewRoot(asked)
		require.ErrorContains(t, err, c.why, name)
	}

	root := direct(t, key)
	_, below := issuing(t, key, keyOf(t, pki.ECDSAP256, 2))
	for name, c := range map[string]struct {
		by     *issuer.Issuer
		change func(*issuer.IntermediateRequest)
		why    string
	}{
		"no usage":         {root, func(r *issuer.IntermediateRequest) { r.EKU = x509.ExtKeyUsageAny }, "give serverAuth or clientAuth"},
		"parent's key":     {root, func(r *issuer.IntermediateRequest) { r.PublicKey = key.Public() }, "make a key for it"},
		"parent's name":    {root, func(r *issuer.IntermediateRequest) { r.CommonName = "TencentQQAuthCA" }, "another common name"},
		"no key":           {root, func(r *issuer.IntermediateRequest) { r.PublicKey = nil }, "not served"},
		"outlives parent":  {root, func(r *issuer.IntermediateRequest) { r.NotAfter = start.Add(20*year + time.Second) }, "outlast"},
		"predates parent":  {root, func(r *issuer.IntermediateRequest) { r.NotBefore = start.Add(-year) }, "begin before"},
		"below issuing CA": {below, func(*issuer.IntermediateRequest) {}, "allows no authority below it"},
		"other usage":      {below, func(r *issuer.IntermediateRequest) { r.EKU = x509.ExtKeyUsageClientAuth }, "does not allow clientAuth"},
	} {
		asked := issuer.IntermediateRequest{
			Serial: pki.NewSerial(), CommonName: "y", PublicKey: keyOf(t, pki.ECDSAP256, 3).Public(), EKU: x509.ExtKeyUsageServerAuth,
			NotBefore: start, NotAfter: start.Add(year),
		}
		c.change(&asked)
		_, err := c.by.NewIntermediate(asked)
		require.ErrorContains(t, err, c.why, name)
	}
}
