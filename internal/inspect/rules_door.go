package inspect

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
)

// modes are the words by which each server asks for a certificate, and what it does with callers that show none, or a stranger's.
var modes = map[Product]map[string]mode{
	Apache: {"": asksNobody, "none": asksNobody, "off": asksNobody, "optional": lets, "optional_no_ca": letsAny, "require": demands, "on": demands},
	Nginx:  {"": asksNobody, "off": asksNobody, "optional": lets, "optional_no_ca": letsAny, "on": demands},
}

type mode int

const (
	unknownMode mode = iota // the server refuses the word
	asksNobody
	lets    // who shows nothing gets in
	letsAny // who shows a stranger's certificate gets in, too
	demands
)

func (s *site) mode() mode { return modes[s.product][s.value(verify)] }

// demand is the word by which a server demands a certificate.
func (s *site) demand() string {
	if s.product == Nginx {
		return "on"
	}
	return "require"
}

// doorRules are the failures of who gets in.
var doorRules = []rule{
	{
		code: "comment_behind", title: "A comment stands behind a directive", severity: Fault,
		when: func(s *sight) []match {
			if s.product != Apache || s.block == nil {
				return nil
			}
			var matches []match
			walk(s.block.block, func(d *directive) {
				if i := slices.IndexFunc(d.args, func(arg string) bool { return strings.HasPrefix(arg, "#") }); i >= 0 && strings.HasPrefix(d.name, "ssl") {
					text := d.String()
					matches = append(matches, found(d).mend(d.replaced(strings.TrimSpace(text[:strings.IndexByte(text, '#')]))))
				}
			})
			return matches
		},
		why:    "Apache takes the comment for arguments, and refuses the directive: in its notation a comment needs a line of its own.",
		advice: "Remove the comment, or put it on the line before.",
	},
	{
		code: "plain_http", title: "The site has a certificate and does not speak TLS", severity: Fault,
		when: func(s *sight) []match {
			if s.tls {
				return nil
			}
			if s.product == Apache {
				if s.engine != nil && s.own(s.engine) {
					return []match{found(s.engine).mend(s.engine.replaced("SSLEngine on"))}
				}
				return []match{found(s.of(certificate)).mend(s.add("SSLEngine on")...)}
			}
			m := found(s.of(certificate))
			if listen := last(s.block.block, "listen"); listen != nil {
				m = found(listen).mend(listen.replaced(strings.TrimSuffix(listen.String(), ";") + " ssl;"))
			}
			return []match{m}
		},
		why:    "It answers in plain HTTP: the platform's handshake fails, and whoever calls without TLS is asked for nothing.",
		advice: "Switch TLS on in this site.",
	},
	{
		code: "verify_unknown", title: "The server does not know this way to ask for a certificate", severity: Fault,
		when: func(s *sight) []match {
			return one(s.mode() == unknownMode, func() match { return found(s.of(verify)).mend(s.set(verify, s.demand())...) })
		},
		why:    "Apache says none, optional, optional_no_ca or require (off and on mean the first and the last); nginx says off, optional, optional_no_ca or on. With another word the server does not start.",
		advice: "Use the server's own word.",
	},
	{
		code: "asked_too_late", title: "The certificate is asked for in the middle of a connection", severity: Fault,
		when: func(s *sight) []match {
			if s.product != Apache || s.mode() != asksNobody {
				return nil
			}
			var matches []match
			for _, d := range s.misplaced {
				matches = append(matches, found(d, fmt.Sprintf("it stands within <%s>", d.up.name)).mend(s.set(verify, "require")...))
			}
			return matches
		},
		why: "Within <Location>, <Directory> or the like Apache asks when it has read the request. TLS 1.3 clients answer that with 403, TLS 1.2 clients that do not " +
			"renegotiate end the connection: the platform is locked out.",
		advice: "Put SSLVerifyClient require into the virtual host itself, outside of every section.",
	},
	{
		code: "wrong_context", title: "The directive stands where nginx does not take it", severity: Fault,
		when: func(s *sight) []match {
			if s.product != Nginx {
				return nil
			}
			var matches []match
			for _, d := range s.misplaced {
				mends := []Mend{d.replaced()}
				if s.mode() == asksNobody {
					mends = append(mends, s.set(verify, "on")...)
				}
				matches = append(matches, found(d, fmt.Sprintf("it stands within %s", d.up.name)).mend(mends...))
			}
			return matches
		},
		why:    "nginx takes ssl_verify_client in server and http alone, and does not start with this.",
		advice: "Put it into the server block itself; what is to be open needs a server of its own.",
	},
	{
		code: "not_asked", title: "Nobody is asked for a certificate", severity: Fault, unless: []string{"asked_too_late", "wrong_context", "plain_http"},
		when: func(s *sight) []match {
			return one(s.mode() == asksNobody, func() match {
				m := found(s.of(verify))
				if s.of(verify) == nil && s.of(clientCA) != nil {
					m = found(s.of(clientCA), "the CA is named, and nobody is asked")
				}
				if s.of(clientCA) == nil {
					m.evidence = append(m.evidence, s.fill("there is no {client CA}"))
				}
				return m.mend(s.set(verify, s.demand())...)
			})
		},
		why:    "Everybody on the network can call this site as if they were the platform.",
		advice: "Demand a certificate with {verify}, and name the platform's CA with {client CA}.",
	},
	{
		code: "any_ca", title: "A certificate of any CA gets in", severity: Fault,
		when: func(s *sight) []match {
			return one(s.mode() == letsAny && len(s.proof) == 0, func() match { return found(s.of(verify)).mend(s.set(verify, s.demand())...) })
		},
		why:    "With optional_no_ca the certificate is not verified: whoever makes one with the platform's name is taken for it.",
		advice: "Demand a verified certificate with {verify}.",
	},
	{
		code: "not_required", title: "Callers without a certificate get in", severity: Fault, unless: []string{"any_ca"},
		when: func(s *sight) []match {
			return one(s.mode() == lets && len(s.proof) == 0 && len(s.pins) == 0, func() match { return found(s.of(verify)).mend(s.set(verify, s.demand())...) })
		},
		why:    "The certificate is optional, and nothing in this site looks whether one was shown.",
		advice: "Demand a certificate with {verify}.",
	},
	{
		code: "depth_too_small", title: "The platform's chain is longer than the server allows", severity: Fault,
		when: func(s *sight) []match {
			allowed, needed := s.depths()
			if s.mode() == asksNobody || allowed >= needed {
				return nil
			}
			m := found(s.of(depth), fmt.Sprintf("%d is allowed, %d is needed", allowed, needed))
			if s.of(depth) == nil {
				m = found(s.of(verify), s.fill(fmt.Sprintf("without {depth} %d is allowed, %d is needed", allowed, needed)))
			}
			return []match{m.mend(s.set(depth, fmt.Sprint(needed))...)}
		},
		why:    "Every certificate of the platform is refused; the caller sees an internal error, Apache's log says Certificate Chain too long.",
		advice: "Set {depth} to the number of certificates above the platform's.",
	},
	{
		code: "pin_missing", title: "Not only the platform's name is let in", severity: Warning,
		unless: []string{"not_asked", "any_ca", "not_required", "asked_too_late", "wrong_context"},
		when: func(s *sight) []match {
			return one(len(s.pins) == 0 && s.mode() != asksNobody, func() match { return found(s.of(verify)).mend(s.pin()...) })
		},
		why:    "Whatever client certificate the CA has issued gets in. The platform's has a name of its own; to look at it costs nothing.",
		advice: "Let in that name alone.",
	},
	{
		code: "pin_differs", title: "The name that is let in is not the platform's, it seems", severity: Warning,
		when: func(s *sight) []match {
			another := func(d *directive) bool {
				return mentions(d, "ssl_client_s_dn") && !strings.Contains(literal(d), s.Platform)
			}
			if s.mode() == asksNobody || len(s.pins) == 0 || slices.ContainsFunc(s.pins, func(d *directive) bool { return !another(d) }) {
				return nil
			}
			m := found(s.pins[0], s.Platform+" does not occur in it")
			m.likely = true
			return []match{m}
		},
		why:    "A certificate with another name is verified, and then refused: the platform sees 403.",
		advice: "Compare with the common name of the platform's certificate; if that is another, say so with --client-name.",
	},
	{
		code: "shadowed", title: "Another site answers for this one's name", severity: Fault,
		when: func(s *sight) []match {
			if len(s.names) == 0 {
				return nil
			}
			var matches []match
			for _, other := range s.before() {
				for _, name := range s.names {
					if hostname(name) && slices.Contains(other.names, name) {
						matches = append(matches, match{at: other.at(), evidence: []string{fmt.Sprintf("%s is the name of this site and of the one at %s", name, s.site.at())}})
						break
					}
				}
			}
			return matches
		},
		why:    "Of two sites with the same name and address the first one answers: this one is never reached.",
		advice: "Take the name from the other site, or remove that.",
	},
	{
		code: "not_first", title: "Callers who give no name meet another site", severity: Note, unless: []string{"shadowed"},
		when: func(s *sight) []match {
			for _, other := range s.before() {
				if other.mode() == demands {
					continue
				}
				m := match{at: other.at(), evidence: []string{fmt.Sprintf("%s comes first at the address, and does not demand a certificate", other)}}
				if slices.ContainsFunc(s.names, func(name string) bool { return net.ParseIP(name) != nil }) {
					m = m.as(Fault)
				}
				return []match{m}
			}
			return nil
		},
		why: "Who connects to an address, or sends no server name (SNI), gets the first site of the port. That is fine as long as that site serves nothing of this " +
			"one; a site that is called by its address must be the first.",
		advice: "Put this site before the others, if it is called by its address.",
	},
	{
		code: "old_tls_only", title: "Only TLS 1.1 or older is spoken", severity: Fault,
		when: func(s *sight) []match {
			old, modern := s.versions()
			return one(s.of(protocols) != nil && len(old) > 0 && !modern, func() match { return found(s.of(protocols)).mend(s.modernTLS()...) })
		},
		why:    "No client of today speaks it: the platform is locked out.",
		advice: "Switch on TLS 1.2 and 1.3.",
	},
	{
		code: "old_tls_too", title: "TLS 1.0 or 1.1 is spoken, too", severity: Warning, unless: []string{"old_tls_only"},
		when: func(s *sight) []match {
			old, _ := s.versions()
			return one(len(old) > 0, func() match { return found(s.of(protocols)).mend(s.modernTLS()...) })
		},
		why:    "They are broken, and no client of the platform uses them.",
		advice: "Switch off what is older than TLS 1.2.",
	},
}

// literal is the text of a directive and its block without what escapes dots in patterns.
func literal(d *directive) string {
	text := strings.Join(d.args, " ")
	for _, inner := range d.block {
		text += " " + inner.name + " " + literal(inner)
	}
	return strings.NewReplacer(`\`, "", "[.]", ".").Replace(text)
}

// depths are how long a chain of callers may be, and how long the platform's is. Apache counts the root, nginx does not.
func (s *sight) depths() (allowed, needed int) {
	allowed, needed = 1, s.Depth
	if d := s.of(depth); d != nil {
		if _, err := fmt.Sscanf(d.arg(0), "%d", &allowed); err != nil {
			return 0, 0 // the server's own program says it
		}
	}
	if s.product == Nginx {
		needed--
	}
	return allowed, needed
}

// before are the sites that stand before this one and share an address with it.
func (s *sight) before() []*site {
	var earlier []*site
	for _, other := range s.sites {
		if other == s.site {
			break
		}
		if other.tls && slices.ContainsFunc(other.addresses, func(a address) bool { return slices.ContainsFunc(s.addresses, a.meets) }) {
			earlier = append(earlier, other)
		}
	}
	return earlier
}

// versions are the protocols before TLS 1.2 that are named, and whether one of today is there. What is on by default, OpenSSL switches off.
func (s *site) versions() (old []string, modern bool) {
	d := s.of(protocols)
	if d == nil {
		return nil, true
	}
	for _, arg := range d.args {
		switch name := strings.ToLower(strings.TrimPrefix(arg, "+")); name {
		case "sslv2", "sslv3", "tlsv1", "tlsv1.0", "tlsv1.1":
			old = append(old, arg)
		case "all", "tlsv1.2", "tlsv1.3":
			modern = true
		}
	}
	return old, modern
}

func (s *site) modernTLS() []Mend {
	if s.product == Nginx {
		return s.set(protocols, "TLSv1.2 TLSv1.3")
	}
	return s.set(protocols, "-all +TLSv1.2 +TLSv1.3")
}

// pin are the edits after which the platform's name alone is let in.
func (s *sight) pin() []Mend {
	if s.product == Nginx {
		return s.add(`if ($ssl_client_s_dn !~ "^CN=`+regexp.QuoteMeta(s.Platform)+`(,(?!.*CN=)|$)") {`, "    return 403;", "}")
	}
	return s.add(`<Location "/">`, fmt.Sprintf(`    Require expr "%%{SSL_CLIENT_S_DN_CN} == '%s' && -z %%{SSL_CLIENT_S_DN_CN_1}"`, s.Platform), "</Location>")
}

var hostnamePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*$`)

// hostname tells whether a name of a site is one, not a pattern.
func hostname(name string) bool { return hostnamePattern.MatchString(name) }
