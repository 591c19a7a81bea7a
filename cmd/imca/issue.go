package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// orderOptions are the flags of issue and renew: how the certificate shall be made, and where its files go.
type orderOptions struct {
	keyType  string
	days     int
	csr      string
	localKey bool

	out, server string
	force       bool
}

// Values of --server beside the names of servers.
const (
	allServers = "all"
	noServer   = "none"
)

func (o *orderOptions) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.keyType, "key-type", "", "the type of the key (default: the profile's first)")
	flags.IntVar(&o.days, "days", 0, "how long it shall last (default: the profile's)")
	flags.StringVar(&o.csr, "csr", "", "a certificate signing request, PEM: the key stays where it was made")
	flags.BoolVar(&o.localKey, "local-key", false, "make the key here and send a CSR, so that it never leaves this machine")
	flags.StringVar(&o.out, "out", "", "the folder for the files (default: named like the certificate)")
	flags.StringVar(&o.server, "server", allServers, "the web server to write the configuration for: "+strings.Join(bundle.Servers(), ", ")+", all or none")
	flags.BoolVar(&o.force, "force", false, "replace a key that is there")
	cmd.MarkFlagsMutuallyExclusive("csr", "local-key")
	cmd.MarkFlagsMutuallyExclusive("csr", "key-type")
	oneOf(cmd, "key-type", pki.KeyTypes())
	oneOf(cmd, "server", append(bundle.Servers(), allServers, noServer))
}

func newIssue(p *program) *cobra.Command {
	var (
		o            orderOptions
		profile, app string
	)
	cmd := &cobra.Command{
		Use: "issue DOMAIN...", Short: "Issue a certificate for one name or more", Args: cobra.ArbitraryArgs,
		Long: `Issue a certificate and write what its server needs into a folder: www.example.com.crt, www.example.com.key (mode 0600),
TencentQQAuthCA.crt, by which the server knows the platform, and configuration for web servers. A key that is there is not
replaced unless --force says so.

The server makes the key, sends it once and does not keep it. With --local-key it is made here and never leaves this machine;
with --csr you bring your own.` + connectionHelp,
		Example: `  imca issue www.example.com
  imca issue www.example.com --out conf --server apache
  imca issue www.example.com example.com --local-key
  imca issue --csr request.pem
  imca issue callback.platform.internal --profile client --token-file imca-data/operator.token`,
	}
	o.addTo(cmd)
	cmd.Flags().StringVar(&profile, "profile", issuer.ServerProfile, "server, or client for the platform's own (operators only)")
	cmd.Flags().StringVar(&app, "app", "", "the app that it is for (operators; a developer's token says it)")
	oneOf(cmd, "profile", []string{issuer.ServerProfile, issuer.ClientProfile})
	r := remoteFlags(p, cmd, demoToken)
	cmd.RunE = r.run(func(ctx context.Context, c *api.Client, domains []string) error {
		if len(domains) == 0 && o.csr == "" {
			return usageError{errors.New("say which name the certificate is for: imca issue www.example.com")}
		}
		t, err := o.prepare(domains)
		if err != nil {
			return err
		}
		req := api.IssueRequest{
			Domains: domains, Profile: profile, App: app, KeyType: t.keyType, ValidityDays: t.days, CSR: t.csr, IdempotencyKey: rand.Text(),
		}
		if profile != issuer.ServerProfile {
			cert, err := c.Issue(ctx, req)
			return deliverAlone(p, o, t, cert, err)
		}
		archive, err := c.IssueAs(ctx, api.Zip, req)
		return deliverBundle(ctx, p, c, o, t, archive, err)
	})
	return cmd
}

func newRenew(p *program) *cobra.Command {
	var o orderOptions
	cmd := &cobra.Command{
		Use: "renew SERIAL", Short: "Issue a successor for the same names, with a new key", Args: words(1, 1, "say which certificate"),
		Long: `Issue a certificate for the names of an earlier one, with a new key (or that of --csr), and write the files as 'imca issue' does:
where the old ones are, that needs --force. The earlier certificate stays valid until it ends or is revoked.` + connectionHelp,
		Example: "  imca renew 5b1c… --out conf --force",
	}
	o.addTo(cmd)
	r := remoteFlags(p, cmd, demoToken)
	cmd.RunE = r.run(func(ctx context.Context, c *api.Client, args []string) error {
		old, err := c.Certificate(ctx, args[0])
		if err != nil {
			return err
		}
		if o.localKey && o.keyType == "" {
			o.keyType = old.KeyType
		}
		t, err := o.prepare(old.Domains)
		if err != nil {
			return err
		}
		req := api.RenewRequest{KeyType: t.keyType, ValidityDays: t.days, CSR: t.csr, IdempotencyKey: rand.Text()}
		if old.Profile != issuer.ServerProfile {
			cert, err := c.Renew(ctx, old.Serial, req)
			return deliverAlone(p, o, t, cert, err)
		}
		archive, err := c.RenewAs(ctx, old.Serial, api.Zip, req)
		return deliverBundle(ctx, p, c, o, t, archive, err)
	})
	return cmd
}

// terms is what is sent of the flags, and the key that stays here.
type terms struct {
	keyType string
	days    *int
	csr     string
	key     []byte // PEM, of --local-key
	folder  string // that was made for the files; empty if it was there
}

// undo takes back what prepare has made, where nothing was issued.
func (t *terms) undo() {
	if t.folder != "" {
		_ = os.Remove(t.folder) // only while it is empty
	}
}

// prepare reads and makes what the request needs. What would keep its files from being written is found before anything is issued: the
// answer with the key comes only once.
func (o *orderOptions) prepare(domains []string) (terms, error) {
	t := terms{keyType: o.keyType}
	if o.days != 0 {
		t.days = &o.days
	}
	if !slices.Contains(append(bundle.Servers(), allServers, noServer), o.server) {
		return t, usageError{fmt.Errorf("--server %s: there is no configuration for it: use one of %s, or all, or none", o.server, strings.Join(bundle.Servers(), ", "))}
	}
	if o.csr != "" {
		text, err := os.ReadFile(o.csr)
		if err != nil {
			return t, usageError{fmt.Errorf("reading the CSR: %w", err)}
		}
		t.csr = string(text)
		if csr, err := pki.ParseCSR(text); err == nil && len(domains) == 0 && len(csr.Names) > 0 {
			domains = []string{csr.Names[0].String()}
		}
	}
	if len(domains) == 0 {
		return t, usageError{fmt.Errorf("the CSR %s names nothing, or is none: say which name the certificate is for", o.csr)}
	}
	if err := o.makeRoom(&t, domains[0]); err != nil {
		return t, err
	}
	if o.localKey {
		return t, t.makeKey(domains)
	}
	return t, nil
}

// makeRoom makes the folder for the files, and refuses to replace a key in it.
func (o *orderOptions) makeRoom(t *terms, domain string) error {
	name, err := pki.ParseName(domain)
	if err != nil {
		return usageError{err}
	}
	stem := bundle.Stem(name)
	o.out = cmp.Or(o.out, stem)
	if path := filepath.Join(o.out, stem+".key"); o.csr == "" && !o.force && exists(path) {
		return codedError{exitRefused, fmt.Errorf("%s is there and stays: write into another folder with --out, or replace it with --force. Nothing was issued", path)}
	}
	if !exists(o.out) {
		t.folder = o.out
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("making the folder for the files: %w", err)
	}
	probe, err := os.CreateTemp(o.out, ".imca.*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		return fmt.Errorf("writing into the folder for the files: %w", err)
	}
	return nil
}

// makeKey makes the key here, and a CSR for it.
func (t *terms) makeKey(domains []string) error {
	kind := pki.ECDSAP256
	if t.keyType != "" {
		var err error
		if kind, err = pki.ParseKeyType(t.keyType); err != nil {
			return usageError{err}
		}
	}
	key, err := kind.Generate()
	if err != nil {
		return fmt.Errorf("making the key: %w", err)
	}
	var template x509.CertificateRequest
	for _, domain := range domains {
		name, err := pki.ParseName(domain)
		if err != nil {
			return usageError{err}
		}
		if name.IsIP() {
			template.IPAddresses = append(template.IPAddresses, net.IP(name.Addr().AsSlice()))
		} else {
			template.DNSNames = append(template.DNSNames, name.String())
		}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		return fmt.Errorf("making the CSR: %w", err)
	}
	if t.key, err = pki.EncodeKey(key); err != nil {
		return fmt.Errorf("encoding the key: %w", err)
	}
	t.csr, t.keyType = string(pki.EncodeRequest(der)), "" // a CSR brings its own type
	return nil
}
