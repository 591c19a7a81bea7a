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

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/doorcheck"
	"github.com/imca-project/imca/internal/egress"
)

// checkLocally tests a server from this machine, with the certificates that are here.
func checkLocally(ctx context.Context, p *program, o checkOptions, target string) error {
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
	if err != nil {
		return err
	}
	return judged(report)
}

// judged is the end of a command that has printed a report.
func judged(report *doorcheck.Report) error {
	if code := report.ExitCode(); code != exitDone {
		return codedError{code, errors.New("")} // the report has said it all
	}
	return nil
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
