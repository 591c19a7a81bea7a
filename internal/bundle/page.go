package bundle

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"embed"
	"fmt"
	"io/fs"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/imca-project/imca/internal/acmelines"
	"github.com/imca-project/imca/internal/pki"
)

// In templates, each folder is a server, and each file in it one of its configuration: STEM in its path stands for the name of the
// certificate's files.
//
//go:embed templates
var templateFiles embed.FS

var templates = parseTemplates()

const (
	ending = ".tmpl" // so that no tool takes a template for what it makes
	readme = "README.txt"
)

func parseTemplates() *template.Template {
	all := template.New("").Funcs(template.FuncMap{"nginxName": nginxName, "quoteMeta": regexp.QuoteMeta})
	err := fs.WalkDir(templateFiles, "templates", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := templateFiles.ReadFile(name)
		if err != nil {
			return err
		}
		_, err = all.New(strings.TrimSuffix(strings.TrimPrefix(name, "templates/"), ending)).Parse(string(text))
		return err
	})
	return template.Must(all, err)
}

// Servers lists the servers for which there is a configuration, each by the name of its folder in the bundle.
func Servers() []string {
	var servers []string
	for _, t := range templates.Templates() {
		if server, _, inFolder := strings.Cut(t.Name(), "/"); inFolder && !slices.Contains(servers, server) {
			servers = append(servers, server)
		}
	}
	slices.Sort(servers)
	return servers
}

// page is what templates may say. Its texts have been checked: they are harmless in every language that a template is written in.
type page struct {
	Stem  string
	Names []pki.Name

	ClientCA, Root string // without the ending of their files
	OwnRoot        bool   // whether Root has a file of its own
	HasChain       bool
	HasKey         bool
	FurtherCAs     []string // files with one of the further roots of ClientCA each
	Issuers        string   // regular expression of the common names of those who certify the platform; empty where that cannot be said

	ClientName  string
	VerifyDepth int
	CRLURLs     []string
	Listen      netip.AddrPort // its address may be the zero Addr; its port is set
	Expires     string
	servers     []string
	Renewal     Renewal
}

func newPage(in Input, h handover, servers []string) page {
	p := page{
		Stem:        h.stem,
		Names:       h.names,
		ClientCA:    in.ClientCA.Name,
		Root:        in.ClientCA.Name,
		OwnRoot:     h.ownRoot,
		HasChain:    len(h.chain) > 0,
		HasKey:      h.key != nil,
		ClientName:  in.ClientName.String(),
		VerifyDepth: cmp.Or(in.VerifyDepth, 1),
		CRLURLs:     in.CRLURLs,
		Listen:      netip.AddrPortFrom(in.Listen.Addr().Unmap().WithZone(""), cmp.Or(in.Listen.Port(), 443)),
		Expires:     h.leaf.NotAfter.UTC().Format("2006-01-02 15:04 UTC"),
		Renewal:     in.Renewal,
		Issuers:     commonNames(h.issuers),
		servers:     servers,
	}
	for i := range h.clientCAs[1:] {
		p.FurtherCAs = append(p.FurtherCAs, numbered(p.ClientCA, i+2))
	}
	if h.ownRoot {
		p.Root = in.Root.Name
	}
	return p
}

// configuration is the files in the folder of a server.
func (p page) configuration(server string) ([]File, error) {
	var files []File
	for _, t := range templates.Templates() {
		if !strings.HasPrefix(t.Name(), server+"/") {
			continue
		}
		content, err := p.render(t.Name())
		if err != nil {
			return nil, err
		}
		files = append(files, File{strings.ReplaceAll(t.Name(), "STEM", p.Stem), 0o644, content})
	}
	if files == nil {
		return nil, fmt.Errorf("there is no configuration for the server %q: choose from %s", server, strings.Join(Servers(), ", "))
	}
	slices.SortFunc(files, func(a, b File) int { return cmp.Compare(a.Name, b.Name) })
	return files, nil
}

func (p page) render(name string) ([]byte, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, p); err != nil {
		return nil, fmt.Errorf("writing %s: %w", name, err)
	}
	return b.Bytes(), nil
}

// For tells whether there is a configuration for the server.
func (p page) For(server string) bool { return slices.Contains(p.servers, server) }

// Folders names those of the servers.
func (p page) Folders() string { return strings.Join(p.servers, " or ") }

// StorePassword opens the stores for Tomcat: Java's own, which keeps nothing secret.
func (p page) StorePassword() string { return storePassword }

// Hosts are the names as an URL has them, a wildcard as it is.
func (p page) Hosts() []string {
	var hosts []string
	for _, name := range p.Names {
		if name.IsWildcard() {
			hosts = append(hosts, name.String())
		} else {
			hosts = append(hosts, host(name))
		}
	}
	return hosts
}

// Host is the first name as a URL has it. For a wildcard it is one that it stands for.
func (p page) Host() string { return host(p.Names[0]) }

// URL is where the platform may call.
func (p page) URL() string {
	if p.Listen.Port() == 443 {
		return "https://" + p.Host() + "/"
	}
	return "https://" + p.Host() + ":" + p.Port() + "/"
}

// Port is where the server listens.
func (p page) Port() string { return strconv.Itoa(int(p.Listen.Port())) }

// Socket is the address and port where the server listens; all says what stands for every address.
func (p page) Socket(all string) string {
	if p.Listen.Addr().IsValid() {
		return p.Listen.String()
	}
	return all + ":" + p.Port()
}

// ForAddress tells whether the server is called by an address.
func (p page) ForAddress() bool { return slices.ContainsFunc(p.Names, pki.Name.IsIP) }

// ForIPv6 tells whether the server is called by an IPv6 address.
func (p page) ForIPv6() bool { return slices.ContainsFunc(p.Names, isIPv6) }

// ServerName is a name that Apache takes for one: no wildcard, no IPv6 address. It is empty if there is none.
func (p page) ServerName() string {
	i := slices.IndexFunc(p.Names, func(n pki.Name) bool { return !n.IsWildcard() && !isIPv6(n) })
	if i < 0 {
		i = slices.IndexFunc(p.Names, pki.Name.IsWildcard)
	}
	if i < 0 {
		return ""
	}
	return host(p.Names[i])
}

// ServerAliases are the names beside ServerName. Apache compares an IPv6 address without brackets.
func (p page) ServerAliases() []string {
	var aliases []string
	for _, name := range p.Names {
		if text := name.String(); text != p.ServerName() {
			aliases = append(aliases, text)
		}
	}
	return aliases
}

// Renews lists the ACME clients for which there are lines; it is empty where there are none.
func (p page) Renews() string {
	if !p.Renewal.offered(p.Names) {
		return ""
	}
	return strings.Join(acmelines.Clients(), ", ")
}

// FetchCRL is a line for a shell that leaves the revocation lists in PEM, the only form that servers read, or what was there before.
func (p page) FetchCRL() string {
	var fetch []string
	for _, url := range p.CRLURLs {
		fetch = append(fetch, "curl -fsS '"+url+"' | openssl crl -inform DER")
	}
	return fmt.Sprintf("(%s) > ./%s.new && mv ./%[2]s.new ./%[2]s.crl", strings.Join(fetch, " && "), p.ClientCA)
}

// commonNames is a regular expression of the names of authorities; empty, if one has none that is harmless everywhere.
func commonNames(authorities []*x509.Certificate) string {
	var names []string
	for _, authority := range authorities {
		name := authority.Subject.CommonName
		if !plainCommonName.MatchString(name) {
			return ""
		}
		names = append(names, strings.ReplaceAll(regexp.QuoteMeta(name), " ", `\x20`))
	}
	return strings.Join(names, "|")
}

func host(name pki.Name) string {
	switch {
	case isIPv6(name):
		return "[" + name.String() + "]"
	case name.IsWildcard():
		return "www." + name.Base().String()
	}
	return name.String()
}

func isIPv6(name pki.Name) bool { return name.Addr().Is6() }

// nginxName writes a name for server_name. nginx looks names up in a hash whose buckets hold 46 characters by default, and does not start
// with a longer one; regular expressions are kept elsewhere.
func nginxName(name pki.Name) string {
	const fits = 40
	switch {
	case len(name.String()) <= fits:
		if isIPv6(name) {
			return host(name)
		}
		return name.String()
	case name.IsWildcard():
		return `"~^[^.]+\.` + regexp.QuoteMeta(name.Base().String()) + `$"`
	}
	return `"~^` + regexp.QuoteMeta(name.String()) + `$"`
}
