// Package config reads imca.yaml, the configuration of a production server: one strict struct, whose zero value works.
//
// It holds to this: what is not a setting is refused, every fault is reported at once with its path and its mend, and
// docs/configuration.md is printed from this file, so that it cannot say anything else.
//
// It checks what can be known from the text alone. What needs the vocabulary of X.509, files or a network is checked by
// cmd/imca, which adds its findings to the same list.
package config

// Config is imca.yaml. What is left out gets the default; a setting that is not listed here is refused.
type Config struct {
	// Database is where the records are: `postgres://USER@HOST/NAME`, or `sqlite:FILE` for a single server.
	Database string `yaml:"database"`

	// DatabasePassword is where the password of the database is: `file:PATH` or `env:NAME`. Without it the password, if
	// there is one, is in `database`, and the configuration file must then be readable by its owner alone.
	DatabasePassword string `yaml:"database_password,omitempty"`

	// PublicURL is where everybody reaches the plain HTTP listener: the beginning of the addresses of CRL, OCSP and CA
	// certificate that are written into each certificate. Without it certificates carry no such addresses. It cannot be
	// changed in certificates that are out already, so choose a name that lasts.
	PublicURL string `yaml:"public_url,omitempty"`

	Listen Listen `yaml:"listen"`
	TLS    TLS    `yaml:"tls,omitempty"`
	CA     CA     `yaml:"ca"`

	Profiles Profiles `yaml:"profiles"`
	Policy   Policy   `yaml:"policy,omitempty"`
	Domains  Domains  `yaml:"domains"`
	ACME     ACME     `yaml:"acme"`
	CRL      CRL      `yaml:"crl"`

	// ClientName is the subject of the platform's client certificate. The configurations that developers get admit this
	// name and no other, so it stays the same for as long as one of them is in use.
	ClientName string `yaml:"client_name"`

	OIDC OIDC `yaml:"oidc,omitempty"`

	Machines Machines `yaml:"machines,omitempty"`

	Limits Limits `yaml:"limits"`

	// TrustedProxies are the addresses (`10.1.2.3`) and ranges (`10.0.0.0/8`) of proxies whose X-Forwarded-For is believed.
	// Without them the header is ignored.
	TrustedProxies []string `yaml:"trusted_proxies,omitempty"`

	// LogLevel is the least important thing that is logged: `debug`, `info`, `warn` or `error`.
	LogLevel string `yaml:"log_level"`
}

// Listen says where the server can be reached. Each is `ADDRESS:PORT`; without an address it is every address of the machine.
type Listen struct {
	// HTTPS is the REST interface.
	HTTPS string `yaml:"https"`

	// HTTP is the plain listener for what is public anyway: CA certificates, their revocation lists, health. It gives
	// nothing else, whoever asks. `off` for none.
	HTTP string `yaml:"http"`

	// Ops is the plain listener of /metrics and health, for the operators' own network. `off` for none.
	Ops string `yaml:"ops"`
}

// TLS is the certificate of the server's own HTTPS. Without files imca issues and renews it by itself.
type TLS struct {
	// Names are the host names and addresses that the server issues its own certificate for. The host of `public_url`
	// when empty, or else `localhost` and `127.0.0.1`.
	Names []string `yaml:"names,omitempty"`

	// Certificate is the PEM file of a certificate from elsewhere, its chain behind it. It is read again when it changes.
	Certificate string `yaml:"certificate,omitempty"`

	// Key is the PEM file of its private key, readable by its owner alone.
	Key string `yaml:"key,omitempty"`
}

// CA is the certificate authority that `imca init` makes, and where its keys are. Hierarchy, name, organization and key type
// are used by `imca init` alone: afterwards the CA is as it was made.
type CA struct {
	// Hierarchy is the shape: `direct` (one root signs all), `issuing` (the root signs for the platform, an issuing CA below it
	// for the developers' servers) or `separate` (two roots).
	Hierarchy string `yaml:"hierarchy"`

	// Name is the name of the root: its subject's common name, and the name of its file.
	Name string `yaml:"name"`

	// Organization is the organization in the subject of every CA certificate.
	Organization string `yaml:"organization,omitempty"`

	// KeyType is the type of the CA's keys: `ecdsa-p256`, `ecdsa-p384`, `rsa-2048`, `rsa-3072` or `rsa-4096`.
	KeyType string `yaml:"key_type"`

	// Keys is the folder of the key files.
	Keys string `yaml:"keys"`

	// Passphrase is where the passphrase of the key files is: `file:PATH` or `env:NAME`.
	Passphrase string `yaml:"passphrase"`
}

// Profiles are the two kinds of certificate.
type Profiles struct {
	// Server is for the developers' servers.
	Server Profile `yaml:"server"`

	// Client is for the platform, which shows it when it calls a developer's server.
	Client Profile `yaml:"client"`
}

// Profile is what a certificate of one kind may be.
type Profile struct {
	// DefaultDays is how long a certificate lasts unless the request says otherwise, in days of 24 hours.
	DefaultDays int `yaml:"default_days"`

	// MaxDays is the longest that a request may ask for.
	MaxDays int `yaml:"max_days"`

	// MaxNames is how many names one certificate may carry.
	MaxNames int `yaml:"max_names"`

	// KeyTypes are the key types that it takes; the first is made when a request names none. Every type that a profile may
	// take: `ecdsa-p256`, `ecdsa-p384`, `rsa-2048`, `rsa-3072`, `rsa-4096`, `ed25519`.
	KeyTypes []string `yaml:"key_types,flow"`

	// Wildcards allows `*.example.com`.
	Wildcards *bool `yaml:"wildcards"`

	// IPNames allows addresses instead of host names.
	IPNames *bool `yaml:"ip_names"`

	// Organization is put into the subject of every certificate.
	Organization string `yaml:"organization,omitempty"`

	// OrganizationalUnit is put into the subject of every certificate.
	OrganizationalUnit string `yaml:"organizational_unit,omitempty"`

	// Country is put into the subject of every certificate: two letters.
	Country string `yaml:"country,omitempty"`
}

// Policy is the operator's word on names, for all apps. What each app may have on top of it is set with `imca app`.
type Policy struct {
	// DenyNames are names that no app may have, with everything below them: the platform's own.
	DenyNames []string `yaml:"deny_names,omitempty"`

	// AllowInternal are suffixes such as `corp.internal`, which are no public names and are certified all the same.
	AllowInternal []string `yaml:"allow_internal,omitempty"`

	// AllowAddresses are ranges such as `10.0.0.0/8`, which are no public addresses and are certified all the same.
	AllowAddresses []string `yaml:"allow_addresses,omitempty"`
}

// Domains says how apps come to names, and how their servers are asked for proof (docs/domains.md).
type Domains struct {
	// Policy is the policy of apps that are made without one: `prove` (the app shows that it controls a name), `approve` (an
	// operator decides), `list` (only names of the app's allow-list) or `open` (any name).
	Policy string `yaml:"policy"`

	// ParentCovers lets a proof by DNS for a name cover every name below it, but for those that another app holds.
	ParentCovers bool `yaml:"parent_covers"`

	// CAAIdentity is the domain name by which CAA and standing DNS records call this CA. The host of `public_url` when empty.
	CAAIdentity string `yaml:"caa_identity,omitempty"`

	// ProofDays is how long a proof is good. It is renewed by itself before, if it is still in place.
	ProofDays int `yaml:"proof_days"`

	// SuspendDays is how long the renewal of a proof may fail before the name is suspended.
	SuspendDays int `yaml:"suspend_days"`

	// Brands are words such as `tencent`: a name that looks like one of them needs an operator's approval besides its proof.
	Brands []string `yaml:"brands,omitempty,flow"`

	// Allow are addresses (`10.1.2.3`) and ranges (`10.0.0.0/8`) where proofs are looked for, endpoints checked and webhooks called although they are not public.
	// Without them no private, loopback or otherwise special address is ever connected to.
	Allow []string `yaml:"allow,omitempty,flow"`

	// Resolver is the DNS server to ask, `ADDRESS` or `ADDRESS:PORT`. Those of /etc/resolv.conf when empty. Choose one that
	// checks DNSSEC.
	Resolver string `yaml:"resolver,omitempty"`

	// TimeoutSeconds is how long one look at a proof may take.
	TimeoutSeconds int `yaml:"timeout_seconds"`

	// CertificatesPerWeek is how many certificates one app may have in a week; 0 for no bound.
	CertificatesPerWeek *int `yaml:"certificates_per_week"`

	// CertificatesPerNameWeek is how many certificates one app may have in a week for the same name; 0 for no bound.
	CertificatesPerNameWeek *int `yaml:"certificates_per_name_week"`

	// OpenClaims is how many names one app may ask for that are not proven yet.
	OpenClaims int `yaml:"open_claims"`

	// ProofsPerHour is how often one app may have proofs looked at in an hour.
	ProofsPerHour int `yaml:"proofs_per_hour"`
	// ChecksPerHour is how often one app may have endpoints checked in an hour.
	ChecksPerHour int `yaml:"checks_per_hour"`
}

// ACME says how ACME clients register and order (docs/acme.md). By what name CAA records call the CA, which the directory tells clients too, is set
// with `domains.caa_identity`.
type ACME struct {
	// URL is how clients reach the server, `https://HOST` or `https://HOST:PORT`. Where each says that it went to when empty, which is right unless a
	// proxy in between changes the header Host.
	URL string `yaml:"url,omitempty"`

	// OpenApp is the app that accounts without a credential act for. Without it every account needs one (external account binding, `imca app eab`).
	OpenApp string `yaml:"open_app,omitempty"`

	// Terms is the address of the terms of service. With it, who makes an account must agree to them.
	Terms string `yaml:"terms_of_service,omitempty"`

	// Website is the address of a page about the service, which the directory tells clients.
	Website string `yaml:"website,omitempty"`

	// OpenOrders is how many orders one account may have that are neither finished nor failed; 0 for no bound.
	OpenOrders *int `yaml:"open_orders"`

	// AccountsPerAddressHour is how many accounts one address may make in an hour; an IPv6 /64 counts as one; 0 for no bound.
	AccountsPerAddressHour *int `yaml:"accounts_per_address_hour"`

	// AccountsPerAppHour is how many accounts may be made for one app in an hour; 0 for no bound.
	AccountsPerAppHour *int `yaml:"accounts_per_app_hour"`

	// FailuresPerNameHour is how often one account may fail to prove the same name in an hour; 0 for no bound.
	FailuresPerNameHour *int `yaml:"failures_per_name_hour"`
}

// OIDC is an identity provider (OpenID Connect) whose tokens operators may send instead of the service's own. Without `issuer`
// there is none.
type OIDC struct {
	// Issuer is the provider's URL, exactly as its tokens say it.
	Issuer string `yaml:"issuer,omitempty"`

	// Audience is what tokens for this service have in `aud`; for ID tokens it is the client ID.
	Audience string `yaml:"audience,omitempty"`

	// ClientSecret is where the secret of the client is, `env:NAME` or `file:PATH`, whose ID the audience then is: with it people sign in to the web
	// pages at the provider, which has to know `https://HOST/signin/provider/back` as an address to come back to.
	ClientSecret string `yaml:"client_secret,omitempty"`

	// RoleClaim is the claim that roles come from; a dot leads into an object, as in `realm_access.roles`. `roles` when empty.
	RoleClaim string `yaml:"role_claim,omitempty"`

	// Admins are the values of the claim that make an administrator.
	Admins []string `yaml:"admins,omitempty,flow"`

	// Operators are the values of the claim that make an operator.
	Operators []string `yaml:"operators,omitempty,flow"`

	// Auditors are the values of the claim that make an auditor.
	Auditors []string `yaml:"auditors,omitempty,flow"`

	// CA is the PEM file of the CA that the provider's certificate is under, if the system does not know it.
	CA string `yaml:"ca,omitempty"`

	// Allow are addresses and ranges that the provider may be at although they are not public.
	Allow []string `yaml:"allow,omitempty,flow"`
}

// Machines are the operators' machines that show a client certificate (mutual TLS) instead of a token. Without `ca` there are none.
type Machines struct {
	// CA is the PEM file of the CA that certifies the machines. It is another one than this server's own, whose certificates say nothing
	// about operators.
	CA string `yaml:"ca,omitempty"`

	// Admins are the common names of the certificates whose machines act as administrators.
	Admins []string `yaml:"admins,omitempty,flow"`

	// Operators are the common names of those that act as operators.
	Operators []string `yaml:"operators,omitempty,flow"`

	// Auditors are the common names of those that act as auditors.
	Auditors []string `yaml:"auditors,omitempty,flow"`
}

// Limits are the bounds that keep one client from taking everything. Each server of several counts for itself.
type Limits struct {
	// TokenPerSecond is how many requests a second one token may make in the long run.
	TokenPerSecond float64 `yaml:"token_per_second"`

	// TokenBurst is how many it may make at once.
	TokenBurst int `yaml:"token_burst"`

	// AddressPerSecond is how many requests a second one address may make in the long run; an IPv6 /64 counts as one.
	AddressPerSecond float64 `yaml:"address_per_second"`

	// AddressBurst is how many it may make at once.
	AddressBurst int `yaml:"address_burst"`

	// ShutdownSeconds is how long requests under way may take when the server is told to end.
	ShutdownSeconds int `yaml:"shutdown_seconds"`
}

// CRL says when revocation lists are published. A revocation is on the list within two seconds, whatever stands here.
type CRL struct {
	// IntervalMinutes is after how many minutes the next list comes when nothing is revoked.
	IntervalMinutes int `yaml:"interval_minutes"`

	// LifetimeHours is for how many hours a list is good. Servers that check a list that has lapsed refuse everyone, so there
	// must be a weekend, 72 hours, between the time when the next one should have come and the end of the last.
	LifetimeHours int `yaml:"lifetime_hours"`
}

// Off turns a listener off.
const Off = "off"

// Default is the configuration that an empty file gives.
func Default() Config {
	var c Config
	c.fill()
	return c
}

// fill puts the default into every setting that was left out.
func (c *Config) fill() {
	setting(&c.Database, "sqlite:imca.db")
	setting(&c.Listen.HTTPS, ":8443")
	setting(&c.Listen.HTTP, ":8080")
	setting(&c.Listen.Ops, "127.0.0.1:9090")
	setting(&c.CA.Hierarchy, "direct")
	setting(&c.CA.Name, "TencentQQAuthCA")
	setting(&c.CA.KeyType, "ecdsa-p256")
	setting(&c.CA.Keys, "keys")
	setting(&c.CA.Passphrase, "env:IMCA_PASSPHRASE")
	c.Profiles.Server.fill(90, 397, 100, true)
	c.Profiles.Client.fill(7, 90, 10, false)
	setting(&c.CRL.IntervalMinutes, 60)
	setting(&c.CRL.LifetimeHours, 7*24)
	setting(&c.ClientName, "callback.platform.internal")
	setting(&c.Domains.Policy, "prove")
	setting(&c.Domains.ProofDays, 90)
	setting(&c.Domains.SuspendDays, 14)
	setting(&c.Domains.TimeoutSeconds, 20)
	setting(&c.Domains.OpenClaims, 100)
	setting(&c.Domains.ProofsPerHour, 300)
	setting(&c.Domains.ChecksPerHour, 60)
	number(&c.Domains.CertificatesPerWeek, 1000)
	number(&c.Domains.CertificatesPerNameWeek, 50)
	number(&c.ACME.OpenOrders, 300)
	number(&c.ACME.AccountsPerAddressHour, 100)
	number(&c.ACME.AccountsPerAppHour, 300)
	number(&c.ACME.FailuresPerNameHour, 20)
	setting(&c.Limits.TokenPerSecond, 100)
	setting(&c.Limits.TokenBurst, 200)
	setting(&c.Limits.AddressPerSecond, 500)
	setting(&c.Limits.AddressBurst, 1000)
	setting(&c.Limits.ShutdownSeconds, 30)
	setting(&c.LogLevel, "info")
}

func (p *Profile) fill(days, most, count int, names bool) {
	setting(&p.MaxDays, most)
	setting(&p.DefaultDays, max(1, min(days, p.MaxDays)))
	setting(&p.MaxNames, count)
	if p.KeyTypes == nil {
		p.KeyTypes = []string{"ecdsa-p256", "ecdsa-p384", "rsa-2048", "rsa-3072", "rsa-4096"}
	}
	if p.Wildcards == nil {
		p.Wildcards = &names
	}
	if p.IPNames == nil {
		p.IPNames = &names
	}
}

// number is setting for a number that may be 0.
func number(field **int, value int) {
	if *field == nil {
		*field = &value
	}
}

func setting[T comparable](field *T, value T) {
	var none T
	if *field == none {
		*field = value
	}
}
