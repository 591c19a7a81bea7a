package inspect

import (
	"slices"
	"strings"
)

// apacheSites puts Apache's directives together into sites. A virtual host inherits what it does not set from the main server.
func apacheSites(top []*directive, r *reading) []*site {
	main := &site{product: Apache, reading: r, settings: map[setting][]*directive{}}
	main.take(top)
	var listens []address
	for _, d := range all(top, "listen") {
		listens = append(listens, apacheAddress(d.arg(0)))
	}
	var sites []*site
	for _, d := range all(top, "virtualhost") {
		s := &site{product: Apache, block: d, reading: r, settings: map[setting][]*directive{}}
		for _, text := range d.args {
			a := apacheAddress(text)
			for _, l := range listens {
				if a.host == "" && l.port == a.port {
					a.host = l.host
				}
			}
			s.addresses = append(s.addresses, a)
		}
		s.take(d.block)
		s.inherit(main)
		sites = append(sites, s)
	}
	if main.tls {
		main.addresses = listens
		sites = append(sites, main)
	}
	return sites
}

// take reads the directives of one level.
func (s *site) take(ds []*directive) {
	for what, name := range directives[Apache] {
		s.settings[what] = all(ds, strings.ToLower(name))
	}
	if d := last(ds, "sslengine"); d != nil {
		s.engine, s.tls = d, strings.EqualFold(d.arg(0), "on")
	}
	for _, d := range ds {
		switch d.name {
		case "servername":
			s.names = append([]string{apacheName(d.arg(0))}, s.names...)
		case "serveralias":
			for _, name := range d.args {
				s.names = append(s.names, apacheName(name))
			}
		case "sslcertificatechainfile":
			s.chain = d
		case "sslcacertificatepath":
			s.caPath = d
		case "sslcadnrequestfile", "sslcadnrequestpath":
			s.listed = d
		case "sslcarevocationpath":
			s.crlPath = d
		}
	}
	s.look(ds, false)
}

// look finds what tells callers apart, within a section too. Virtual hosts look for themselves.
func (s *site) look(ds []*directive, within bool) {
	for _, d := range ds {
		switch d.name {
		case "virtualhost":
			continue
		case "sslverifyclient":
			if within && modes[Apache][strings.ToLower(d.arg(0))] != asksNobody {
				s.misplaced = append(s.misplaced, d)
			}
		case "require", "sslrequire", "rewritecond", "if", "elseif", "setenvif":
			if mentions(d, "ssl_client_s_dn", "ssl_client_san", "ssl_client_m_serial", "ssl_client_cert", "peerextlist") {
				s.pins = append(s.pins, d)
			}
			if mentions(d, "ssl_client_verify", "ssl-verify-client") {
				s.proof = append(s.proof, d)
			}
		}
		s.look(d.block, true)
	}
}

// inherit takes from the main server what the site does not say itself.
func (s *site) inherit(main *site) {
	for what, ds := range main.settings {
		if len(s.settings[what]) == 0 {
			s.settings[what] = ds
		}
	}
	if s.engine == nil {
		s.engine, s.tls = main.engine, main.tls
	}
	for _, inherited := range []struct{ mine, others **directive }{{&s.chain, &main.chain}, {&s.caPath, &main.caPath}, {&s.crlPath, &main.crlPath}, {&s.listed, &main.listed}} {
		if *inherited.mine == nil {
			*inherited.mine = *inherited.others
		}
	}
	if len(s.names) == 0 {
		s.names = slices.Clone(main.names)
	}
	s.pins = append(s.pins, main.pins...)
	s.proof = append(s.proof, main.proof...)
}

// apacheAddress reads what Listen and <VirtualHost> take: a port, an address, or both.
func apacheAddress(text string) address {
	host, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		host, port = text[:i], text[i+1:]
	} else if strings.Trim(text, "0123456789") == "" {
		host, port = "", text
	}
	return address{wildcard(host), port}
}

// wildcard is the host of an address, "" for all of them.
func wildcard(host string) string {
	host = strings.Trim(host, "[]")
	switch host {
	case "*", "_default_", "0.0.0.0", "::":
		return ""
	}
	return host
}

// apacheName is a ServerName without its scheme and port.
func apacheName(text string) string {
	if _, after, ok := strings.Cut(text, "://"); ok {
		text = after
	}
	if i := strings.LastIndexByte(text, ':'); i >= 0 && strings.Count(text, ":") == 1 {
		text = text[:i]
	}
	return strings.ToLower(strings.Trim(text, "[]"))
}
