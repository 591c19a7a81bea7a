package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// check finds what is wrong in a filled configuration, as far as the text alone can tell.
func (c *Config) check() Faults {
	var f Faults
	c.checkDatabase(&f)
	c.checkPublicURL(&f)
	c.checkListen(&f)
	c.checkCA(&f)
	c.Profiles.Server.check(&f, "profiles.server")
	c.Profiles.Client.check(&f, "profiles.client")
	if (c.TLS.Certificate == "") != (c.TLS.Key == "") {
		f.Add("tls", "certificate and key belong together: give both files, or neither to have imca issue its own.")
	}
	if c.TLS.Certificate != "" && len(c.TLS.Names) > 0 {
		f.Add("tls.names", "They are for the certificate that imca issues for itself: leave them out where tls.certificate is given.")
	}
	for _, list := range []struct {
		path   string
		ranges []string
	}{{"policy.allow_addresses", c.Policy.AllowAddresses}, {"domains.allow", c.Domains.Allow}, {"oidc.allow", c.OIDC.Allow}, {"trusted_proxies", c.TrustedProxies}} {
		for i, text := range list.ranges {
			if _, err := ParseRange(text); err != nil {
				f.Add(fmt.Sprintf("%s[%d]", list.path, i), "%v", err)
			}
		}
	}
	if levels := []string{"debug", "info", "warn", "error"}; !slices.Contains(levels, c.LogLevel) {
		f.Add("log_level", "There is no level %q: use one of %s.", c.LogLevel, strings.Join(levels, ", "))
	}
	c.Domains.check(&f)
	c.ACME.check(&f)
	c.OIDC.check(&f)
	c.Machines.check(&f)
	c.Limits.check(&f)
	return f
}

// ParseRange reads an address, or a range of them in CIDR notation.
func ParseRange(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is no address and no range: write it like 10.1.2.3, 10.0.0.0/8 or 2001:db8::/32", text)
	}
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("%q has bits set behind its prefix: write %s for the range, or the address alone", text, p.Masked())
	}
	return p, nil
}

func (c *Config) checkDatabase(f *Faults) {
	scheme, rest, _ := strings.Cut(c.Database, ":")
	switch scheme {
	case "sqlite":
		if rest == "" {
			f.Add("database", "The file is missing: write sqlite:imca.db, say.")
		}
		if c.DatabasePassword != "" {
			f.Add("database_password", "SQLite has no password: leave it out.")
		}
	case "postgres", "postgresql":
		u, err := url.Parse(c.Database)
		if err != nil {
			f.Add("database", "It is no URL: write postgres://USER@HOST/NAME, with special characters as %%XX.")
			return
		}
		if _, inline := u.User.Password(); inline && c.DatabasePassword != "" {
			f.Add("database_password", "The password is in database already: keep one of the two, best this one.")
		}
		checkReference(f, "database_password", c.DatabasePassword)
	default:
		f.Add("database", "It begins with neither \"postgres:\" nor \"sqlite:\": write postgres://USER@HOST/NAME or sqlite:FILE.")
	}
}

func checkReference(f *Faults, path, ref string) {
	if ref == "" {
		return
	}
	scheme, rest, _ := strings.Cut(ref, ":")
	if scheme != "file" && scheme != "env" || rest == "" {
		f.Add(path, "Secrets are given by reference: write file:PATH or env:NAME.")
	}
}

func (c *Config) checkPublicURL(f *Faults) {
	if c.PublicURL == "" {
		return
	}
	u, err := url.Parse(c.PublicURL)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		f.Add("public_url", "%q is no address of a web server: write http://ca.example.com, say.", c.PublicURL)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		f.Add("public_url", "It is the beginning of addresses: leave out user, \"?\" and \"#\".")
	case u.Scheme == "https":
		f.Add("public_url", "It is looked up while certificates are being checked, and must not need one itself: begin it with http://.")
	}
}

func (c *Config) checkListen(f *Faults) {
	taken := make(map[string]string)
	for _, l := range []struct{ path, address string }{
		{"listen.https", c.Listen.HTTPS}, {"listen.http", c.Listen.HTTP}, {"listen.ops", c.Listen.Ops},
	} {
		if l.address == Off {
			if l.path == "listen.https" {
				f.Add(l.path, "HTTPS is the interface of the server and cannot be off: give ADDRESS:PORT.")
			}
			continue
		}
		_, port, err := net.SplitHostPort(l.address)
		number, numeric := strconv.ParseUint(port, 10, 16)
		if err != nil || numeric != nil {
			f.Add(l.path, "%q is no address to listen on: write ADDRESS:PORT, such as :8443 or 127.0.0.1:8443.", l.address)
			continue
		}
		if other, is := taken[l.address]; is && number != 0 {
			f.Add(l.path, "%s listens on %s already: give it a port of its own.", other, l.address)
		}
		taken[l.address] = l.path
	}
}

// authorityName is what can stand in the path of a URL and be a file's name.
var authorityName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$`)

func (c *Config) checkCA(f *Faults) {
	if shapes := []string{"direct", "issuing", "separate"}; !slices.Contains(shapes, c.CA.Hierarchy) {
		f.Add("ca.hierarchy", "There is no hierarchy %q: use one of %s.", c.CA.Hierarchy, strings.Join(shapes, ", "))
	}
	if !authorityName.MatchString(c.CA.Name) {
		f.Add("ca.name", "%q cannot stand in the path of a URL: use 1 to 64 letters, digits, \"-\", \"_\" and \".\".", c.CA.Name)
	}
	checkReference(f, "ca.passphrase", c.CA.Passphrase)
}

func (p *Profile) check(f *Faults, path string) {
	bound := func(name string, value, most int) {
		if value < 1 || value > most {
			f.Add(path+"."+name, "%d is out of bounds: give 1 to %d.", value, most)
		}
	}
	bound("max_days", p.MaxDays, 3650)
	bound("default_days", p.DefaultDays, max(1, min(p.MaxDays, 3650)))
	bound("max_names", p.MaxNames, 1000)
	if len(p.KeyTypes) == 0 {
		f.Add(path+".key_types", "A profile without a key type issues nothing: name one, or leave the setting out.")
	}
}

func (o *OIDC) check(f *Faults) {
	if o.Issuer == "" {
		if o.Audience != "" || len(o.Admins)+len(o.Operators)+len(o.Auditors) > 0 {
			f.Add("oidc.issuer", "Without it nobody is signed in: give the provider's URL, or take the block out.")
		}
		return
	}
	u, err := url.Parse(o.Issuer)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		f.Add("oidc.issuer", "%q is no address of a provider: write https://login.example.com, as its tokens do.", o.Issuer)
	}
	if o.Audience == "" {
		f.Add("oidc.audience", "Without it tokens for any service would count: give what the provider puts into \"aud\" for this one.")
	}
	if len(o.Admins)+len(o.Operators)+len(o.Auditors) == 0 {
		f.Add("oidc", "Nobody gets a role: say which values of the claim make admins, operators or auditors.")
	}
}

func (m *Machines) check(f *Faults) {
	names := slices.Concat(m.Admins, m.Operators, m.Auditors)
	slices.Sort(names)
	switch {
	case m.CA == "" && len(names) > 0:
		f.Add("machines.ca", "Without it no machine is recognized: give the PEM file of the CA that certifies them, or take the block out.")
	case m.CA != "" && len(names) == 0:
		f.Add("machines", "No machine gets a role: say which common names are admins, operators or auditors.")
	case slices.Contains(names, ""):
		f.Add("machines", "An empty common name is no machine's: take it out.")
	case len(slices.Compact(slices.Clone(names))) < len(names):
		f.Add("machines", "A common name is there twice: give each machine one role.")
	}
}

func (d *Domains) check(f *Faults) {
	if policies := []string{"open", "prove", "approve", "list"}; !slices.Contains(policies, d.Policy) {
		f.Add("domains.policy", "There is no policy %q: use one of %s.", d.Policy, strings.Join(policies, ", "))
	}
	for _, b := range []struct {
		name        string
		value       int
		least, most int
	}{
		{"proof_days", d.ProofDays, 1, 397}, {"suspend_days", d.SuspendDays, 1, 397}, {"timeout_seconds", d.TimeoutSeconds, 1, 25},
		{"certificates_per_week", *d.CertificatesPerWeek, 0, 1_000_000}, {"certificates_per_name_week", *d.CertificatesPerNameWeek, 0, 1_000_000},
		{"open_claims", d.OpenClaims, 1, 10_000}, {"proofs_per_hour", d.ProofsPerHour, 1, 1_000_000},
		{"checks_per_hour", d.ChecksPerHour, 1, 1_000_000},
	} {
		if b.value < b.least || b.value > b.most {
			f.Add("domains."+b.name, "%d is out of bounds: give %d to %d.", b.value, b.least, b.most)
		}
	}
	if d.Resolver == "" {
		return
	}
	if _, err := netip.ParseAddrPort(d.Resolver); err != nil {
		if _, err := netip.ParseAddr(d.Resolver); err != nil {
			f.Add("domains.resolver", "%q is no address: write ADDRESS or ADDRESS:PORT, such as 192.0.2.53.", d.Resolver)
		}
	}
}

// appID is what an app can be called.
var appID = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)

func (a *ACME) check(f *Faults) {
	if a.URL != "" {
		u, err := url.Parse(a.URL)
		if err != nil || u.Scheme != "https" || u.Host == "" || a.URL != "https://"+u.Host {
			f.Add("acme.url", "%q is no address of a server: write https://HOST or https://HOST:PORT, without a path.", a.URL)
		}
	}
	for _, page := range []struct{ path, address string }{{"acme.terms_of_service", a.Terms}, {"acme.website", a.Website}} {
		if u, err := url.Parse(page.address); page.address != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
			f.Add(page.path, "%q is no address of a page: write https://www.example.com/terms, say.", page.address)
		}
	}
	if a.OpenApp != "" && !appID.MatchString(a.OpenApp) {
		f.Add("acme.open_app", "%q is no app's ID: look it up in the list ('imca app list').", a.OpenApp)
	}
	for _, b := range []struct {
		name  string
		value int
	}{
		{"open_orders", *a.OpenOrders}, {"accounts_per_address_hour", *a.AccountsPerAddressHour}, {"accounts_per_app_hour", *a.AccountsPerAppHour},
		{"failures_per_name_hour", *a.FailuresPerNameHour},
	} {
		if b.value < 0 || b.value > 1_000_000 {
			f.Add("acme."+b.name, "%d is out of bounds: give 0 to 1000000.", b.value)
		}
	}
}

func (l *Limits) check(f *Faults) {
	for _, limit := range []struct {
		name  string
		value float64
	}{
		{"token_per_second", l.TokenPerSecond}, {"token_burst", float64(l.TokenBurst)},
		{"address_per_second", l.AddressPerSecond}, {"address_burst", float64(l.AddressBurst)},
	} {
		if !(limit.value > 0 && limit.value <= 1e6) { // so that NaN is refused too
			f.Add("limits."+limit.name, "%v is out of bounds: give more than 0, and 1000000 at most.", limit.value)
		}
	}
	if l.ShutdownSeconds < 1 || l.ShutdownSeconds > 600 {
		f.Add("limits.shutdown_seconds", "%d is out of bounds: give 1 to 600.", l.ShutdownSeconds)
	}
}
