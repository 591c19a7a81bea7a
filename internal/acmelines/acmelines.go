// Package acmelines says what to paste to have a certificate fetched and renewed by an ACME client: whole lines for a shell of root on Debian, with
// the server's URL, the roots by which the client knows it, and the credential.
//
// It holds to one promise: nothing has to be escaped. Each text that gets into a line consists of characters that mean nothing to a shell or to
// a client's configuration, or it is refused.
//
// It is the only place where these lines stand; the tests of cmd/imca run them as they are printed, with the real clients. It sends and keeps nothing.
package acmelines

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/imca-project/imca/internal/pki"
)

// Server is how ACME clients reach the server. HTTPPort and TLSPort are where it looks for proofs by http-01 and tls-alpn-01; zero means 80 and 443.
type Server struct {
	Directory string // the URL where clients begin
	Roots     []byte // PEM: who certifies the server's HTTPS; empty where every machine trusts it anyway

	HTTPPort, TLSPort int
}

// Credential binds a client's account to an app (RFC 8555, Section 7.3.4). The zero value is for servers that need none.
type Credential struct {
	KeyID   string
	HMACKey string // base64url without padding
}

//go:embed templates
var templateFiles embed.FS

var templates = template.Must(template.New("").ParseFS(templateFiles, "templates/*"))

const ending = ".sh"

// Clients lists the clients for which there are lines.
func Clients() []string {
	var clients []string
	for _, t := range templates.Templates() {
		if path.Ext(t.Name()) == ending {
			clients = append(clients, strings.TrimSuffix(t.Name(), ending))
		}
	}
	slices.Sort(clients)
	return clients
}

// NameError is a name for which there are no lines.
type NameError struct {
	Index int // among the names
	Why   string
}

func (e *NameError) Error() string { return e.Why }

// CheckNames says whether lines can be had for names: the lines of all clients prove host names by http-01 or tls-alpn-01. The error is a *NameError.
func CheckNames(names []pki.Name) error {
	for i, n := range names {
		switch {
		case n.IsWildcard():
			return &NameError{i, fmt.Sprintf("A wildcard is proven by DNS, which takes more than lines to paste: leave %s out here, and see docs/acme.md for dns-01.", n)}
		case n.IsIP():
			return &NameError{i, fmt.Sprintf("Few clients ask for addresses: leave %s out here, and see docs/acme.md for those that do.", n)}
		}
	}
	return nil
}

// Lines are what to paste for a client: see Clients. Without names they are for www.example.com, to be replaced by hand.
func Lines(client string, s Server, c Credential, names ...pki.Name) (string, error) {
	if !slices.Contains(Clients(), client) {
		return "", fmt.Errorf("there are no lines for the client %q: choose from %s", client, strings.Join(Clients(), ", "))
	}
	if err := CheckNames(names); err != nil {
		return "", err
	}
	if !harmlessURL.MatchString(s.Directory) {
		return "", fmt.Errorf("the URL %q has characters that mean something to a shell: have clients come by another one", s.Directory)
	}
	for _, text := range []string{c.KeyID, c.HMACKey} {
		if !harmlessText.MatchString(text) {
			return "", fmt.Errorf("the credential has other characters than letters, digits, - and _")
		}
	}
	p := page{Server: s, Credential: c, Names: names}
	if s.HTTPPort == 80 && s.TLSPort == 443 {
		p.HTTPPort, p.TLSPort = 0, 0 // what clients go by anyway
	}
	if len(names) == 0 {
		example, err := pki.ParseName("www.example.com")
		if err != nil {
			return "", err
		}
		p.Names = []pki.Name{example}
	}
	roots, err := encodeRoots(s.Roots)
	if err != nil {
		return "", err
	}
	p.RootsPEM = roots
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, client+ending, p); err != nil {
		return "", fmt.Errorf("writing the lines for %s: %w", client, err)
	}
	return b.String(), nil
}

var (
	harmlessURL  = regexp.MustCompile(`^https://[A-Za-z0-9.:\[\]-]{1,300}/[A-Za-z0-9./_-]{1,300}$`)
	harmlessText = regexp.MustCompile(`^[A-Za-z0-9_-]{0,200}$`)
)

// encodeRoots writes certificates anew, without whatever else stands around them.
func encodeRoots(text []byte) (string, error) {
	if len(text) == 0 {
		return "", nil
	}
	certificates, err := pki.ParseCertificates(text)
	if err != nil {
		return "", fmt.Errorf("reading the roots: %w", err)
	}
	var b strings.Builder
	for _, c := range certificates {
		b.Write(pki.EncodeCertificate(c.Raw))
	}
	return b.String(), nil
}

// page is what templates may say.
type page struct {
	Server
	Credential
	Names    []pki.Name
	RootsPEM string
}

// Folder is where the lines put what is theirs.
func (p page) Folder() string { return "/etc/imca-acme" }

// RootsFile is the file of the roots by which the server is known.
func (p page) RootsFile() string { return p.Folder() + "/ca.crt" }

// Webroot is what the web server of the machine shows, in Debian's default.
func (p page) Webroot() string { return "/var/www/html" }

// First is the name after which clients name their files.
func (p page) First() string { return p.Names[0].String() }

// Joined are the names with something between them.
func (p page) Joined(between string) string {
	texts := make([]string, len(p.Names))
	for i, n := range p.Names {
		texts[i] = n.String()
	}
	return strings.Join(texts, between)
}

// Contact is the address that some clients want to give.
func (p page) Contact() string { return "hostmaster@" + p.First() }
