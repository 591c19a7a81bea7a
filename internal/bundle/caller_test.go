package bundle_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/pki"
)

var (
	serverAuth = x509.ExtKeyUsageServerAuth
	clientAuth = x509.ExtKeyUsageClientAuth
)

// caller is somebody at the door.
type caller struct {
	name        string
	certificate *tls.Certificate // nil: shows none
	enters      bool
}

// callers are the platform and those who are not.
func (h hierarchy) callers(t *testing.T) []caller {
	ec := pki.ECDSAP256
	show := func(name string, enters bool, signer *authority, template x509.Certificate) caller {
		certificate := signer.leaf(t, ec, template)
		return caller{name: name, certificate: &certificate, enters: enters}
	}
	platformName, developer := pkix.Name{CommonName: platform}, pkix.Name{CommonName: "shop.example.net"}
	expired := clientTemplate(platformName, clientAuth)
	expired.NotBefore, expired.NotAfter = before.Add(-48*time.Hour), before
	stranger := newAuthority(t, h.client.certificate.Subject.CommonName, nil)
	callers := []caller{
		{name: "nobody"},
		show("the platform", true, h.client, clientTemplate(platformName, clientAuth)),
		show("the platform with its organization", true, h.client, clientTemplate(
			pkix.Name{CommonName: platform, Organization: []string{"Instant, Inc. \"IM\""}, Country: []string{"CN"}}, clientAuth)),
		show("the platform, expired", false, h.client, expired),
		show("the platform of a stranger's CA", false, stranger, clientTemplate(platformName, clientAuth)),
		show("another developer", false, h.server, serverTemplate(t, "shop.example.net")),
		show("another developer under the root of callers", false, h.client, serverTemplate(t, "shop.example.net")),
		show("another developer, no usage", false, h.client, clientTemplate(developer)),
		show("another developer, clientAuth", false, h.client, clientTemplate(developer, clientAuth)),
		show("another developer, both usages", false, h.client, clientTemplate(developer, serverAuth, clientAuth)),
		show("a developer with the platform's name, serverAuth", false, h.client, clientTemplate(platformName, serverAuth)),
	}
	if h.server != h.client {
		callers = append(callers, show("the platform by who signs for servers", false, h.server, clientTemplate(platformName, clientAuth)))
	}
	return callers
}

// impostors have a certificate of the right authority, for clients, and a subject that may be taken for the platform's.
func (h hierarchy) impostors(t *testing.T) []caller {
	cn, o := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 10}
	one := func(oid asn1.ObjectIdentifier, value any) pkix.RelativeDistinguishedNameSET {
		return pkix.RelativeDistinguishedNameSET{{Type: oid, Value: value}}
	}
	var callers []caller
	for name, subject := range map[string]pkix.RDNSequence{
		"comma":            {one(cn, "x, CN="+platform)},
		"comma after":      {one(cn, platform+",CN=x")},
		"slash":            {one(cn, "x/CN="+platform)},
		"plus":             {one(cn, platform+"+O=x")},
		"line end":         {one(cn, platform+"\n")},
		"line":             {one(cn, "x\nCN="+platform)},
		"NUL":              {one(cn, platform+"\x00.example.net")},
		"space before":     {one(cn, " "+platform)},
		"space after":      {one(cn, platform+" ")},
		"quoted":           {one(cn, `"`+platform+`"`)},
		"backslash":        {one(cn, platform+`\`)},
		"upper case":       {one(cn, strings.ToUpper(platform))},
		"any character":    {one(cn, strings.ReplaceAll(platform, ".", "x"))},
		"longer":           {one(cn, platform+".example.net")},
		"below":            {one(cn, "x."+platform)},
		"organization":     {one(o, "CN="+platform)},
		"organization too": {one(o, "CN="+platform), one(cn, "x")},
		"second name":      {one(cn, "x"), one(cn, platform)},
		"first name":       {one(cn, platform), one(cn, "x")},
		"two at once":      {{{Type: cn, Value: "x"}, {Type: cn, Value: platform}}},
		"no name":          {one(o, "x")},
		"nothing":          {},
	} {
		der, err := asn1.Marshal(subject)
		require.NoError(t, err)
		template := clientTemplate(pkix.Name{}, clientAuth)
		template.RawSubject, template.DNSNames = der, []string{platform}
		certificate := h.client.leaf(t, pki.ECDSAP256, template)
		callers = append(callers, caller{name: name, certificate: &certificate})
	}
	return callers
}

// pick is those of callers who bear the names.
func pick(t testing.TB, callers []caller, names ...string) []caller {
	t.Helper()
	var picked []caller
	for _, name := range names {
		i := slices.IndexFunc(callers, func(c caller) bool { return c.name == name })
		require.NotEqual(t, -1, i, name)
		picked = append(picked, callers[i])
	}
	return picked
}
