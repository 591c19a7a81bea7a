package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/inspect"
	"github.com/imca-project/imca/internal/pki"
)

// exitUntold is the code of 'imca inspect' where nothing could be told, as of 'imca check'.
const exitUntold = 13

// inspectOptions are the flags of 'imca inspect'.
type inspectOptions struct {
	apache, nginx    bool
	name, user       string
	caFile, caName   string
	serverCA, client string
	depth            int
	filesOnly        bool
}

func newInspect(p *program) *cobra.Command {
	var o inspectOptions
	r := &remote{p: p, data: defaultData}
	cmd := &cobra.Command{
		Use: "inspect [--apache|--nginx] [PATH]", Short: "Read a web server's configuration on its own machine, and say what is wrong with it", Args: words(0, 1, "one configuration is read"),
		Long: `Read the configuration of Apache or nginx on the machine where it runs, with every file that it names: does it demand the platform's
certificate, and of nobody else; do key, certificate and chain belong together; who may read them; is the CA the right one; are revocation
lists fresh and looked at; is what is on the disk also what is served? Each finding has its file and line, the reason, and the lines that mend
it. Nothing is changed. 'imca check' tests the same server from outside.

PATH is the folder of the configuration, or its first file; without it the usual places are looked through. Run it as root, or as somebody who
may read the keys. The server's own program is asked for its opinion ('apache2 -t', 'nginx -T': nginx makes logs and temporary folders that are
missing when it is asked), and the addresses of the sites are called, if they are of this machine; with --files-only neither is done.

The platform's CA, which the server must have, comes from --ca-file, from the server of --url (IMCA_URL), or from the data folder of an 'imca dev'.

It ends with 0 (no fault; warnings there may be), 6 (there are faults), 13 (there is no site to inspect), and with the usual codes where
nothing was read.`,
		Example: `  sudo imca inspect --apache /etc/apache2 --ca-file TencentQQAuthCA.crt
  sudo imca inspect --nginx /etc/nginx --url http://ca.example.com --name www.example.com --json`,
		RunE: func(cmd *cobra.Command, args []string) error { return runInspect(cmd.Context(), p, r, o, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.apache, "apache", false, "it is Apache's")
	flags.BoolVar(&o.nginx, "nginx", false, "it is nginx's")
	flags.StringVar(&o.name, "name", "", "the site to inspect (default: all that are for the platform)")
	flags.StringVar(&o.user, "user", "root", "who starts the server, and so reads its files")
	flags.StringVar(&o.caFile, "ca-file", "", "the file with the platform's CA")
	flags.StringVar(&o.caName, "ca-name", clientRoots, "what the server of --url has the platform's CA under: an authority's name, or all that the platform may stand under")
	flags.StringVar(&r.url, "url", "", "the server to fetch the platform's CA from (IMCA_URL)")
	flags.StringVar(&r.ca, "ca", "", "the file with the CA certificate by which that server is known (IMCA_CA; default: the system's)")
	flags.StringVar(&o.serverCA, "server-ca", "", "the file with the CA of the server's own certificate, beside the public ones")
	flags.StringVar(&o.client, "client-name", "callback.platform.internal", "the common name of the platform's certificate")
	flags.IntVar(&o.depth, "depth", 1, "how many certificates lead from the platform's to its root, with that")
	flags.BoolVar(&o.filesOnly, "files-only", false, "read files alone: ask no program, call no address")
	cmd.MarkFlagsMutuallyExclusive("apache", "nginx")
	cmd.MarkFlagsMutuallyExclusive("ca-file", "url")
	return cmd
}

func runInspect(ctx context.Context, p *program, r *remote, o inspectOptions, args []string) error {
	product, path, err := o.where(args)
	if err != nil {
		return usageError{err}
	}
	cfg := inspect.Config{Server: product, Path: path, Name: o.name, Platform: o.client, Depth: o.depth, User: o.user}
	if err := o.authorities(ctx, r, &cfg); err != nil {
		return err
	}
	if !o.filesOnly {
		cfg.Dial, cfg.Run = dialHere, ask
	}
	report, err := inspect.Inspect(ctx, cfg)
	if err != nil {
		return usageError{err}
	}
	if p.json {
		err = p.encode(report)
	} else {
		_, err = fmt.Fprint(p.out, inspect.Render(report, inspect.Style{Color: p.colour}))
	}
	switch {
	case err != nil:
		return err
	case report.Summary == inspect.Faulty:
		return codedError{exitFindings, errors.New("")} // the report has said it all
	case report.Summary == inspect.Undecided:
		return codedError{exitUntold, errors.New("")}
	}
	return nil
}

// where is the configuration to read: as it is given, or in the usual places.
func (o *inspectOptions) where(args []string) (inspect.Product, string, error) {
	places := []struct {
		product inspect.Product
		asked   bool
		folders []string
	}{
		{inspect.Apache, o.apache, []string{"/etc/apache2", "/etc/httpd", "/usr/local/apache2"}},
		{inspect.Nginx, o.nginx, []string{"/etc/nginx", "/usr/local/nginx", "/usr/local/etc/nginx"}},
	}
	var product inspect.Product
	var path string
	for _, place := range places {
		folders := place.folders
		if len(args) > 0 {
			folders = args
		}
		for _, folder := range folders {
			if (o.apache || o.nginx) && !place.asked {
				break
			}
			if len(args) > 0 && place.asked {
				return place.product, args[0], nil // what is wrong with it, is said when it is read
			}
			if _, err := inspect.Find(place.product, folder); err == nil {
				if product != "" {
					return "", "", fmt.Errorf("there are configurations of both %s and %s: say --apache or --nginx", product, place.product)
				}
				product, path = place.product, folder
				break
			}
		}
	}
	if product == "" {
		return "", "", errors.New("no configuration of Apache or nginx is there: say which server and where, imca inspect --apache /etc/apache2")
	}
	return product, path, nil
}

// authorities finds the platform's CA, and what servers' certificates may lead to.
func (o *inspectOptions) authorities(ctx context.Context, r *remote, cfg *inspect.Config) error {
	var err error
	if cfg.Roots, err = x509.SystemCertPool(); err != nil {
		cfg.Roots = x509.NewCertPool() // a machine without public roots can still know ours
	}
	r.url = cmp.Or(r.url, os.Getenv("IMCA_URL"))
	if o.caFile == "" && r.url != "" {
		if err := o.fetch(ctx, r, cfg); err != nil {
			return err
		}
	} else if o.caFile == "" {
		o.fromData()
	}
	for flag, path := range map[string]string{"--ca-file": o.caFile, "--server-ca": o.serverCA} {
		if path == "" {
			continue
		}
		_, certificates, err := readPool(path)
		if err != nil {
			return usageError{fmt.Errorf("%s: %w", flag, err)}
		}
		if flag == "--ca-file" {
			cfg.ClientCAs = certificates
		}
		for _, c := range certificates {
			cfg.Roots.AddCert(c)
		}
	}
	return nil
}

// fetch asks the server of the CA.
func (o *inspectOptions) fetch(ctx context.Context, r *remote, cfg *inspect.Config) error {
	if err := r.resolve(); err != nil {
		return err
	}
	for _, name := range []string{o.caName, allRoots} {
		body, known, err := r.download(ctx, name, false)
		if err != nil {
			return fmt.Errorf("fetching %s: %w; or give the file of the platform's CA with --ca-file", remoteName(name), err)
		}
		certificates, err := pki.ParseCertificates(body)
		if err != nil {
			return codedError{exitRefused, fmt.Errorf("%s did not send a CA certificate: %w", r.url, err)}
		}
		if name == o.caName {
			cfg.ClientCAs = certificates
			if !known {
				r.p.note("Nothing vouches for the CA that %s sent: 'imca ca fetch --pin' fetches it safely, for --ca-file.", r.url)
			}
		}
		for _, c := range certificates {
			cfg.Roots.AddCert(c)
		}
	}
	return nil
}

// fromData takes the CA from the data folder of an 'imca dev', where there is one.
func (o *inspectOptions) fromData() {
	d := dataFolder(defaultData)
	for _, known := range []struct {
		setting *string
		file    string
	}{
		{&o.caFile, clientCAs}, {&o.caFile, ca.DefaultName + ".crt"}, {&o.serverCA, serverCAs}, {&o.serverCA, ca.DefaultName + "-Server.crt"},
	} {
		if _, err := os.Stat(d.path(known.file)); *known.setting == "" && !errors.Is(err, fs.ErrNotExist) {
			*known.setting = d.path(known.file)
		}
	}
}

// dialHere connects to an address of this machine, and to no other.
func dialHere(ctx context.Context, network, address string) (net.Conn, error) {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", address, err)
	}
	here, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("asking for the addresses of this machine: %w", err)
	}
	mine := target.Addr().IsLoopback()
	for _, a := range here {
		prefix, err := netip.ParsePrefix(a.String())
		mine = mine || err == nil && prefix.Addr().Unmap() == target.Addr().Unmap()
	}
	if !mine {
		return nil, fmt.Errorf("%s is no address of this machine", target.Addr())
	}
	addr := target.Addr().Unmap()
	guard, err := egress.New(egress.Config{Allow: []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}, Ports: []uint16{target.Port()}})
	if err != nil {
		return nil, err
	}
	return guard.DialContext(ctx, network, net.JoinHostPort(addr.String(), strconv.Itoa(int(target.Port()))))
}

// ask runs a server's own program, also where it is not on the path of those who are not root.
func ask(ctx context.Context, c inspect.Command) (string, error) {
	const limit = 30 * time.Second
	program, err := exec.LookPath(c.Program)
	if err != nil {
		if program, err = exec.LookPath(filepath.Join("/usr/sbin", c.Program)); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, c.Args...)
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), c.Env...)
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	return string(output), err
}
