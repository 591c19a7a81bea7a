package inspect

import (
	"net"
	"slices"
	"strings"
)

// Product is the kind of server.
type Product string

// The servers that are understood.
const (
	Apache Product = "apache"
	Nginx  Product = "nginx"
)

// setting is what a directive of either server decides.
type setting string

const (
	certificate setting = "certificate"
	key         setting = "key"
	clientCA    setting = "client CA"
	verify      setting = "verify"
	depth       setting = "depth"
	crl         setting = "revocation list"
	crlCheck    setting = "revocation check" // Apache alone
	protocols   setting = "protocols"
	ciphers     setting = "ciphers"
)

// directives are the names of the settings in each server's notation.
var directives = map[Product]map[setting]string{
	Apache: {
		certificate: "SSLCertificateFile", key: "SSLCertificateKeyFile", clientCA: "SSLCACertificateFile", verify: "SSLVerifyClient", depth: "SSLVerifyDepth",
		crl: "SSLCARevocationFile", crlCheck: "SSLCARevocationCheck", protocols: "SSLProtocol", ciphers: "SSLCipherSuite",
	},
	Nginx: {
		certificate: "ssl_certificate", key: "ssl_certificate_key", clientCA: "ssl_client_certificate", verify: "ssl_verify_client", depth: "ssl_verify_depth",
		crl: "ssl_crl", protocols: "ssl_protocols", ciphers: "ssl_ciphers",
	},
}

// site is a virtual host or a server block, with what it inherits.
type site struct {
	product   Product
	block     *directive // nil: Apache's main server
	engine    *directive // what switches TLS on
	tls       bool
	names     []string
	addresses []address
	settings  map[setting][]*directive
	// misplaced are questions for a certificate where the server can ask no more, or may not.
	misplaced []*directive
	// checked is what in the site looks at the caller's certificate: pins at who it is, proof at whether it was verified.
	pins, proof []*directive
	extraCA     []*directive // further files of CAs that count for callers
	chain       *directive   // Apache's SSLCertificateChainFile
	caPath      *directive   // a folder of CAs, or of lists, which is not looked into
	crlPath     *directive
	listed      *directive // Apache's SSLCADNRequestFile: the CAs that it lists to callers are not those that count
	reading     *reading
}

// address is where a site is reached: an empty host stands for all of the machine's.
type address struct{ host, port string }

func (a address) String() string {
	if a.host == "" {
		return "*:" + a.port
	}
	return net.JoinHostPort(a.host, a.port)
}

// meets tells whether callers of one address may come to the other.
func (a address) meets(b address) bool {
	return a.port == b.port && (a.host == b.host || a.host == "" || b.host == "")
}

// of is the directive of a setting that counts; nil if there is none.
func (s *site) of(what setting) *directive {
	if ds := s.settings[what]; len(ds) > 0 {
		return ds[len(ds)-1]
	}
	return nil
}

// value is the argument of a setting, in lower case; "" if it is not set.
func (s *site) value(what setting) string { return strings.ToLower(s.of(what).arg(0)) }

func (s *site) at() Position {
	if s.block != nil {
		return s.block.at()
	}
	return s.engine.at()
}

// String is the site as people know it.
func (s *site) String() string {
	if len(s.names) > 0 {
		return s.names[0]
	}
	if len(s.addresses) > 0 {
		return s.addresses[0].String()
	}
	return "the main server"
}

// own tells whether a directive stands in the site itself: what is inherited counts for others too, and is left as it is.
func (s *site) own(d *directive) bool { return d != nil && (s.block == nil || d.up == s.block) }

// set are the edits after which a setting has this value in this site.
func (s *site) set(what setting, value string) []Mend {
	line := directives[s.product][what] + " " + value
	if s.product == Nginx {
		line += ";"
	}
	if d := s.of(what); s.own(d) {
		return []Mend{d.replaced(line)}
	}
	return s.add(line)
}

// add is the edit that puts lines into the site.
func (s *site) add(lines ...string) []Mend {
	if s.block != nil {
		return []Mend{s.block.within(lines...)}
	}
	return []Mend{s.engine.after(lines...)}
}

// verifies tells whether the site asks its callers for a certificate, anywhere.
func (s *site) verifies() bool {
	return s.mode() != asksNobody || len(s.misplaced) > 0
}

// forPlatform tells whether the site means to know its callers. A CA that it inherits is no word of its own.
func (s *site) forPlatform() bool { return s.verifies() || s.own(s.of(clientCA)) || s.own(s.caPath) }

// mentions tells whether a directive's arguments hold one of the texts.
func mentions(d *directive, texts ...string) bool {
	joined := strings.ToLower(strings.Join(d.args, " "))
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(joined, text) })
}
