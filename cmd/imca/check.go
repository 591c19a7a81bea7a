package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/doorcheck"
	"github.com/imca-project/imca/internal/egress"
)

// checkOptions are the flags of 'imca check'.
type checkOptions struct {
	data, cert, key    string
	clientCA, serverCA string
	resolver, address  string
	allow              []string
	verbose            bool
}

func newCheck(p *program) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use: "check URL", Short: "Test a server from outside: who gets in, and why", Args: words(1, 1, "one URL is checked"),
		Long: `Test a developer's server from outside, from this machine: does it let the platform in, and does it keep everybody else out? Each
handshake varies one thing: the client certificate, the TLS version, the name. What is wrong is told with the lines that mend it.

The platform's certificate comes from --cert and --key, or from the data folder of an 'imca dev' in the current folder. Without
one it can only be told who is kept out. The server's own certificate may be of this CA or of a public one.

It ends with 0 (healthy), 10 (the platform is locked out), 11 (strangers get in), 12 (no two-way TLS there), 13 (it could not be
told), 14 (something else is wrong), and with the usual codes where nothing was checked.`,
		Example: `  imca check https://www.example.com/callback
  imca check https://www.example.com/ --address 127.0.0.1        # a server on this machine, before its name leads there`,
		RunE: func(cmd *cobra.Command, args []string) error { return runCheck(cmd.Context(), p, o, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", defaultData, "the data folder of 'imca dev', for what is not given")
	flags.StringVar(&o.cert, "cert", "", "the file with the platform's client certificate")
	flags.StringVar(&o.key, "key", "", "the file with its key")
	flags.StringVar(&o.clientCA, "client-ca", "", "the file with the CA that the server is to admit callers by")
	flags.StringVar(&o.serverCA, "server-ca", "", "the file with the CA of the server's certificate, beside the public ones")
	flags.StringVar(&o.resolver, "resolver", "", "the DNS server to ask, ADDRESS:PORT (default: the system's)")
	flags.StringVar(&o.address, "address", "", "the address to check, instead of those that the name has")
	flags.StringSliceVar(&o.allow, "allow-egress", nil, "ranges that may be called although they are not public, such as 10.0.0.0/8")
	flags.BoolVar(&o.verbose, "verbose", false, "tell of every probe")
	cmd.MarkFlagsRequiredTogether("cert", "key")
	return cmd
}

func runCheck(ctx context.Context, p *program, o checkOptions, target string) error {
	cfg, err := o.config(target)
	if err != nil {
		return err
	}
	p.progress("Checking " + target + " …")
	report, err := doorcheck.Check(ctx, cfg, doorcheck.Target{URL: target})
	p.progress("")
	if err != nil {
		return usageError{err}
	}
	if p.json {
		err = p.encode(report)
	} else {
		_, err = fmt.Fprint(p.out, doorcheck.Render(report, doorcheck.Style{Color: p.colour, Verbose: o.verbose}))
	}
	if code := report.ExitCode(); err == nil && code != exitDone {
		return codedError{code, errors.New("")} // the report has said it all
	}
	return err
}

// config is what the check stands on. What is not given comes from the data folder, where there is one.
func (o *checkOptions) config(target string) (doorcheck.Config, error) {
	o.fromData()
	guard, resolve, err := o.way(target)
	if err != nil {
		return doorcheck.Config{}, err
	}
	cfg := doorcheck.Config{Dial: guard.DialContext, Resolve: resolve}
	if cfg.Roots, err = x509.SystemCertPool(); err != nil {
		cfg.Roots = x509.NewCertPool() // a machine without public roots can still know ours
	}
	for flag, path := range map[string]string{"--server-ca": o.serverCA, "--client-ca": o.clientCA} {
		if path == "" {
			continue
		}
		_, certificates, err := readPool(path)
		if err != nil {
			return cfg, usageError{fmt.Errorf("%s: %w", flag, err)}
		}
		for _, c := range certificates {
			cfg.Roots.AddCert(c) // one root may sign for both
		}
		if flag == "--client-ca" {
			cfg.ClientCAs = certificates
		}
	}
	if o.cert != "" {
		platform, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return cfg, usageError{fmt.Errorf("reading the platform's certificate: %w: give --cert and --key", err)}
		}
		cfg.Canaries.Platform = &platform
	}
	return cfg, nil
}

// way is the guarded way to the endpoint, at its port alone, and how its addresses are found. An address that is given is meant, also one that
// is not public.
func (o *checkOptions) way(target string) (*egress.Guard, func(context.Context, string) ([]netip.Addr, error), error) {
	var allow []netip.Prefix
	for _, text := range o.allow {
		r, err := config.ParseRange(text)
		if err != nil {
			return nil, nil, usageError{fmt.Errorf("--allow-egress: %w", err)}
		}
		allow = append(allow, r)
	}
	var fixed netip.Addr
	if o.address != "" {
		var err error
		if fixed, err = netip.ParseAddr(o.address); err != nil {
			return nil, nil, usageError{fmt.Errorf("--address %s: write an IPv4 or IPv6 address", o.address)}
		}
		allow = append(allow, netip.PrefixFrom(fixed, fixed.BitLen()))
	}
	port := uint64(443)
	if u, err := url.Parse(target); err == nil && u.Port() != "" {
		if port, err = strconv.ParseUint(u.Port(), 10, 16); err != nil {
			return nil, nil, usageError{fmt.Errorf("the port in %s is no number from 1 to 65535", target)}
		}
	}
	guard, err := egress.New(egress.Config{Allow: allow, Resolver: o.resolver, Ports: []uint16{uint16(port)}})
	if err != nil {
		return nil, nil, usageError{err}
	}
	if fixed.IsValid() {
		return guard, func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{fixed}, nil }, nil
	}
	return guard, guard.Resolve, nil
}

// fromData fills in what a data folder has.
func (o *checkOptions) fromData() {
	d := dataFolder(o.data)
	for _, s := range []struct {
		setting *string
		file    string
	}{{&o.cert, platformCert}, {&o.key, platformKey}, {&o.clientCA, ca.DefaultName + ".crt"}, {&o.serverCA, ca.DefaultName + "-Server.crt"}} {
		if _, err := os.Stat(d.path(s.file)); *s.setting == "" && !errors.Is(err, fs.ErrNotExist) {
			*s.setting = d.path(s.file)
		}
	}
}
