package inspect

import (
	"slices"
	"strings"
)

// nginxSites puts nginx's directives together into sites. A server inherits from http { } what it does not set.
func nginxSites(top []*directive, r *reading) []*site {
	var sites []*site
	for _, http := range all(top, "http") {
		for _, server := range all(http.block, "server") {
			sites = append(sites, nginxSite(server, http, r))
		}
	}
	return sites
}

func nginxSite(server, http *directive, r *reading) *site {
	s := &site{product: Nginx, block: server, reading: r, settings: map[setting][]*directive{}}
	for what, name := range directives[Nginx] {
		if s.settings[what] = all(server.block, name); len(s.settings[what]) == 0 {
			s.settings[what] = all(http.block, name)
		}
	}
	for _, d := range server.block {
		switch d.name {
		case "listen":
			s.addresses = append(s.addresses, nginxAddress(d.arg(0)))
			if slices.Contains(d.args, "ssl") || slices.Contains(d.args, "quic") {
				s.engine, s.tls = d, true
			}
		case "ssl":
			s.engine, s.tls = d, d.arg(0) == "on"
		case "server_name":
			for _, name := range d.args {
				s.names = append(s.names, strings.ToLower(strings.Trim(name, "[]")))
			}
		}
	}
	for _, block := range [][]*directive{http.block, server.block} {
		if d := last(block, "ssl_trusted_certificate"); d != nil {
			s.extraCA = []*directive{d}
		}
	}
	walk(server.block, func(d *directive) {
		if d.name == "ssl_verify_client" && d.up != server {
			s.misplaced = append(s.misplaced, d)
		}
	})
	tested := func(d *directive) {
		if d.name != "if" && d.name != "map" && d.name != "geo" {
			return
		}
		if mentions(d, "$ssl_client_s_dn", "$ssl_client_serial", "$ssl_client_fingerprint", "$ssl_client_cert", "$ssl_client_raw_cert", "$ssl_client_escaped_cert") {
			s.pins = append(s.pins, d)
		}
		if mentions(d, "$ssl_client_verify") {
			s.proof = append(s.proof, d)
		}
	}
	walk(server.block, tested)
	for _, d := range http.block {
		if d.name == "map" {
			tested(d)
		}
	}
	return s
}

// nginxAddress reads what listen takes: an address, a port, or both. A Unix socket is a host without a port.
func nginxAddress(text string) address {
	if strings.HasPrefix(text, "unix:") {
		return address{host: text}
	}
	a := apacheAddress(text)
	if a.port == "" {
		a.port = "80"
	}
	return a
}
