package bundle_test

import (
	"bytes"
	"crypto/x509/pkix"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/pki"
)

func TestBadInput(t *testing.T) {
	h := hierarchies["issuing"](t)
	good := h.input(t, pki.ECDSAP256, "www.example.com")
	other := hierarchies["issuing"](t).input(t, pki.ECDSAP256, "www.example.com")
	certified := func(dnsNames ...string) []byte {
		template := serverTemplate(t)
		template.DNSNames = dnsNames
		return pki.EncodeCertificate(h.server.leaf(t, pki.ECDSAP256, template).Certificate[0])
	}
	platformLeaf := pki.EncodeCertificate(h.server.leaf(t, pki.ECDSAP256, clientTemplate(pkix.Name{CommonName: platform}, clientAuth)).Certificate[0])

	for title, test := range map[string]struct {
		spoil func(*bundle.Input)
		says  string
	}{
		"no certificate":             {func(in *bundle.Input) { in.Certificate = nil }, "the certificate: no certificate in PEM found"},
		"a chain for a certificate":  {func(in *bundle.Input) { in.Certificate = slices.Concat(in.Certificate, in.Chain) }, "put those above it into the chain"},
		"for clients":                {func(in *bundle.Input) { in.Certificate, in.Key = platformLeaf, nil }, "not for servers"},
		"without names":              {func(in *bundle.Input) { in.Certificate, in.Key = certified(), nil }, "the certificate has no names"},
		"hostile name":               {func(in *bundle.Input) { in.Certificate, in.Key = certified(`example.com" SSLVerifyClient none`), nil }, "the certificate's name"},
		"line end in a name":         {func(in *bundle.Input) { in.Certificate, in.Key = certified("a.example\nSSLVerifyClient none"), nil }, "the certificate's name"},
		"chain missing":              {func(in *bundle.Input) { in.Chain = nil }, "is not issued by TencentQQAuthCA: give every certificate up to, without, the root"},
		"chain of somebody else":     {func(in *bundle.Input) { in.Chain = other.Chain }, "give the chain in order"},
		"chain no PEM":               {func(in *bundle.Input) { in.Chain = []byte("x") }, "the chain: no certificate in PEM found"},
		"root of somebody else":      {func(in *bundle.Input) { in.Root = other.Root }, "is not issued by TencentQQAuthCA"},
		"no root":                    {func(in *bundle.Input) { in.Root.Certificates = nil }, "the root: no certificate in PEM found"},
		"key of somebody else":       {func(in *bundle.Input) { in.Key = other.Key }, "the key is not the certificate's"},
		"key no PEM":                 {func(in *bundle.Input) { in.Key = []byte("x") }, "the key: no private key in PEM found"},
		"issuers no PEM":             {func(in *bundle.Input) { in.ClientIssuers = []byte("x") }, "those who certify the platform: no certificate in PEM found"},
		"no authority":               {func(in *bundle.Input) { in.ClientCA.Certificates = nil }, "the authority of the callers: no certificate"},
		"an authority below another": {func(in *bundle.Input) { in.ClientCA.Certificates = in.Chain }, "servers trust no other: give the root"},
		"authority without a name":   {func(in *bundle.Input) { in.ClientCA.Name = "" }, "cannot name a file"},
		"two of one name": {func(in *bundle.Input) {
			in.ClientCA = bundle.Authority{Name: in.Root.Name, Certificates: other.Root.Certificates}
		}, "two authorities are called TencentQQAuthCA"},
		"no platform":               {func(in *bundle.Input) { in.ClientName = pki.Name{} }, "the platform's name"},
		"an address for a platform": {func(in *bundle.Input) { in.ClientName = pki.NameFromAddr(ipv4) }, "the platform's name"},
		"a wildcard for a platform": {func(in *bundle.Input) { in.ClientName = name(t, "*.example.com") }, "the platform's name"},
		"too long a platform":       {func(in *bundle.Input) { in.ClientName = name(t, longNames(1)[0]) }, "at most 64 characters"},
		"depth below":               {func(in *bundle.Input) { in.VerifyDepth = -1 }, "the depth -1"},
		"depth above":               {func(in *bundle.Input) { in.VerifyDepth = 10 }, "1 to 9"},
	} {
		t.Run(title, func(t *testing.T) {
			in := good
			test.spoil(&in)
			var b bytes.Buffer
			require.ErrorContains(t, bundle.Zip(&b, in, before), test.says)
			require.Zero(t, b.Len())
		})
	}
}

// hostile are texts that mean something to a server, a shell or a file system.
var hostile = []string{
	"\n", "\r", "\t", "\x00", " ", `"`, `'`, "`", "$", "${IMCA_DIR}", "$ssl_client_s_dn", "%{HTTP_HOST}", "%", `\`, ";", "{", "}", "#", "<", ">", "|", "&", "(", ")",
	"*", "?", "[", "/", "../", "..", "~", "é", "\u202e", "\u2028", `" SSLVerifyClient none "`, "; ssl_verify_client off;", "'; rm -rf /; '",
}

func TestHostileTexts(t *testing.T) {
	good := hierarchies["direct"](t).input(t, pki.ECDSAP256, "www.example.com")
	_, err := bundle.Files(good)
	require.NoError(t, err)
	for _, text := range hostile {
		for _, around := range []string{"", "TencentQQAuthCA"} {
			in := good
			in.ClientCA.Name = around + text
			_, err := bundle.Files(in)
			if around == "" || text != ".." {
				require.ErrorContains(t, err, "cannot name a file", "%q", in.ClientCA.Name)
			}
			in = good
			in.Root.Name = around + text
			_, err = bundle.Files(in)
			if around == "" || text != ".." {
				require.ErrorContains(t, err, "cannot name a file", "%q", in.Root.Name)
			}
		}
		if strings.Contains("%[/../?&~", text) {
			continue // these are at home in a URL, and mean nothing within the quotes in which it stands
		}
		in := good
		in.CRLURLs = []string{"http://ca.example.com/crl/a" + text}
		_, err := bundle.Files(in)
		require.ErrorContains(t, err, "without spaces, quotes and other special characters", "%q", text)
	}
	for _, url := range []string{"", "ca.crl", "file:///etc/passwd", "ftp://ca.example.com/", "http://", "http:///a", "-o/etc/passwd"} {
		in := good
		in.CRLURLs = []string{url}
		_, err := bundle.Files(in)
		require.ErrorContains(t, err, "give an http or https URL", "%q", url)
	}
}

// Whatever texts come in: there is an error, or every file has the lines that it has for plain ones, no more, no fewer, and the same
// characters that structure them.
func FuzzFiles(f *testing.F) {
	for _, text := range hostile {
		f.Add("www.example.com", "TencentQQAuthCA"+text, platform, "http://ca.example.com/crl/a.crl"+text)
		f.Add("www.example.com"+text, "TencentQQAuthCA", platform+text, "http://ca.example.com/crl/a.crl")
	}
	h := hierarchies["direct"](f)
	leaf := h.server.leaf(f, pki.ECDSAP256, serverTemplate(f, "www.example.com"))
	key := encodeKey(f, leaf.PrivateKey)
	pack := func(t testing.TB, server pki.Name, authority string, client pki.Name, url string) ([]bundle.File, error) {
		template := serverTemplate(t)
		template.DNSNames = []string{server.String()}
		certificate := h.server.sign(t, &template, leaf.Leaf.PublicKey, h.server)
		in := bundle.Input{
			Certificate: pki.EncodeCertificate(certificate.Raw), Key: key, Root: h.server.root(), ClientCA: h.client.root(),
			ClientName: client, CRLURLs: []string{url},
		}
		in.Root.Name, in.ClientCA.Name = authority, authority
		return bundle.Files(in)
	}
	f.Fuzz(func(t *testing.T, server, authority, client, url string) {
		serverName, err := pki.ParseName(server)
		if err != nil || serverName.IsIP() || serverName.IsWildcard() || len(serverName.String()) > 40 {
			return
		}
		clientName, err := pki.ParseName(client)
		if err != nil {
			return
		}
		files, err := pack(t, serverName, authority, clientName, url)
		if err != nil {
			return
		}
		plain, err := pack(t, name(t, "www.example.com"), "TencentQQAuthCA", name(t, platform), "http://ca.example.com/a.crl")
		require.NoError(t, err)
		require.Len(t, files, len(plain))
		for i, file := range files {
			require.True(t, fs.ValidPath(file.Name), "%q", file.Name)
			require.Equal(t, strings.Count(plain[i].Name, "/"), strings.Count(file.Name, "/"), "%q", file.Name)
			if !slices.Contains([]string{".crt", ".key", ".p12"}, path.Ext(file.Name)) {
				require.Equal(t, structure(plain[i].Content), structure(file.Content), "%s", file.Content)
			}
		}
	})
}

// structure is what of a text is not an ordinary character, in its order, with the first word of each line. Of a URL it leaves nothing, of
// dots and their escapes neither.
func structure(content []byte) []string {
	var lines []string
	for line := range strings.Lines(string(content)) {
		before, after, found := strings.Cut(line, "'http")
		if found {
			_, after, _ = strings.Cut(after, "'")
			line = before + after
		}
		first, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(first, "-") || strings.HasPrefix(first, "https://") || strings.HasPrefix(first, "truststoreFile=") { // names
			first = ""
		}
		lines = append(lines, first+strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(` -_.\`, r) {
				return -1
			}
			return r
		}, rest))
	}
	return lines
}
