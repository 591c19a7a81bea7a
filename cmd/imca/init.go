package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/keys"
	"github.com/imca-project/imca/internal/pki"
)

// initOptions are the flags of 'imca init'.
type initOptions struct {
	config, hierarchy string
	importOptions
}

// importOptions name a root that is brought along.
type importOptions struct{ certificate, key, importPassphrase string }

func (o *importOptions) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.certificate, "import-cert", "", "an existing root: its certificate, PEM")
	flags.StringVar(&o.key, "import-key", "", "an existing root: its private key, PEM")
	flags.StringVar(&o.importPassphrase, "import-passphrase", "", "the passphrase of that key, if it has one: file:PATH or env:NAME")
	cmd.MarkFlagsRequiredTogether("import-cert", "import-key")
}

func newInit(p *program) *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use: "init --config FILE", Short: "Make the CA, once", Args: noArgs,
		Long: `Make the CA of a configuration: its keys, encrypted with the passphrase, in the folder ca.keys, and its certificates in the
database. A root that exists already can be brought along. Where the database has a CA, nothing is changed.`,
		Example: "  imca init --config imca.yaml\n  imca init --config imca.yaml --import-cert root.crt --import-key root.key",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runInit(cmd.Context(), p, o) },
	}
	configFlag(cmd, &o.config)
	cmd.Flags().StringVar(&o.hierarchy, "hierarchy", "", "the shape, instead of the configuration's: direct, issuing or separate")
	o.importOptions.flags(cmd)
	oneOf(cmd, "hierarchy", ca.Hierarchies())
	return cmd
}

func runInit(ctx context.Context, p *program, o initOptions) (err error) {
	s, err := loadSecure(o.config)
	if err != nil {
		return err
	}
	url, err := s.databaseURL()
	if err != nil {
		return err
	}
	k, err := s.keyStore()
	if err != nil {
		return err
	}
	store, err := openStore(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	e := ca.Establishment{Hierarchy: ca.Hierarchy(s.CA.Hierarchy), Name: s.CA.Name, Organization: s.CA.Organization, KeyType: s.keyType}
	if o.hierarchy != "" {
		e.Hierarchy = ca.Hierarchy(o.hierarchy)
	}
	existing, err := store.ListAuthorities(ctx)
	if err != nil {
		return fmt.Errorf("reading the authorities: %w", err)
	}
	if o.certificate != "" && len(existing) == 0 {
		if e.Import, err = o.root(p, s.CA.Name, k); err != nil {
			return err
		}
	}
	authorities, made, err := establish(ctx, store, e, k, time.Now())
	if err != nil {
		return err
	}
	if !made {
		if err := o.fits(authorities); err != nil {
			return err
		}
	}
	return reportCA(p, o.config, authorities, made)
}

// root reads the root that is brought along, and takes its key into the folder.
func (o *importOptions) root(p *program, name string, k *keyStore) (*ca.ImportedRoot, error) {
	text, err := os.ReadFile(o.certificate)
	if err != nil {
		return nil, fmt.Errorf("reading the root: %w", err)
	}
	certificates, err := pki.ParseCertificates(text)
	if err != nil {
		return nil, usageError{fmt.Errorf("reading the root %s: %w", o.certificate, err)}
	}
	if len(certificates) != 1 {
		return nil, usageError{fmt.Errorf("reading the root %s: it has %d certificates: give the file with the root alone", o.certificate, len(certificates))}
	}
	var passphrase []byte
	if o.importPassphrase != "" {
		if passphrase, err = keys.Passphrase(o.importPassphrase); err != nil {
			return nil, usageError{err}
		}
	}
	key, err := keys.Open("file:"+o.key, passphrase)
	if err != nil {
		return nil, usageError{fmt.Errorf("%w (--import-passphrase says where its passphrase is)", err)}
	}
	// Before the key is taken in.
	notes, err := issuer.CheckRoot(certificates[0], key, time.Now())
	if err != nil {
		return nil, usageError{err}
	}
	for _, note := range notes {
		p.note("Note: %s", note)
	}
	ref, err := k.keep(name, key)
	if err != nil {
		return nil, err
	}
	return &ca.ImportedRoot{Certificate: certificates[0], Key: key, KeyRef: ref}, nil
}

// fits refuses a CA that is there already where another was asked for by name.
func (o *initOptions) fits(authorities []ca.Authority) error {
	if shape := hierarchyOf(authorities); o.hierarchy != "" && o.hierarchy != string(shape) {
		return usageError{fmt.Errorf("--hierarchy %s: the database has a CA with the hierarchy %s already, and it stays: use another database for another CA", o.hierarchy, shape)}
	}
	if o.certificate == "" {
		return nil
	}
	text, err := os.ReadFile(o.certificate)
	if err != nil {
		return fmt.Errorf("reading the root: %w", err)
	}
	if certificates, err := pki.ParseCertificates(text); err != nil || string(certificates[0].Raw) != string(authorities[0].Certificate) {
		return usageError{fmt.Errorf("--import-cert %s: the database has another CA already (%s), and it stays: use another database", o.certificate, authorities[0].Name)}
	}
	return nil
}

// madeAuthority is an authority in the answer of init.
type madeAuthority struct {
	Name        string   `json:"name"`
	Parent      string   `json:"parent,omitempty"`
	Profiles    []string `json:"profiles"`
	StandsBy    []string `json:"stands_by,omitempty"`
	NotAfter    string   `json:"not_after"`
	Fingerprint string   `json:"fingerprint_sha256"`
}

func reportCA(p *program, config string, authorities []ca.Authority, made bool) error {
	var rows []madeAuthority
	for _, a := range authorities {
		c, err := x509.ParseCertificate(a.Certificate)
		if err != nil {
			return fmt.Errorf("reading the certificate of %s: %w", a.Name, err)
		}
		rows = append(rows, madeAuthority{
			Name: a.Name, Parent: a.Parent, Profiles: a.Profiles, StandsBy: a.StandsBy, NotAfter: c.NotAfter.UTC().Format(time.RFC3339),
			Fingerprint: fmt.Sprintf("%x", sha256.Sum256(a.Certificate)),
		})
	}
	if p.json {
		return p.encode(map[string]any{"made": made, "authorities": rows})
	}
	if made {
		p.say("The CA is made (%s).\n", hierarchyOf(authorities))
	} else {
		p.say("The database has a CA already (%s). Nothing was changed.\n", hierarchyOf(authorities))
	}
	var cells [][]cell
	for _, r := range rows {
		cells = append(cells, []cell{{r.Name, strong}, {strings.Join(r.Profiles, " "), ""}, {r.NotAfter[:10], ""}, {r.Fingerprint, ""}})
	}
	p.table([]string{"AUTHORITY", "ISSUES", "UNTIL", "SHA-256 FINGERPRINT"}, cells)
	if !made {
		return nil
	}
	p.say("\nNext:")
	p.say("  Back up the folder of the keys, and the passphrase somewhere else.")
	p.say("  Make the first administrator's token:   imca token create --config %s --role admin --name NAME", quoted(config))
	p.say("  Start the server:                       imca serve --config %s", quoted(config))
	p.say("  Tell the fingerprint to those who fetch the CA certificate:   imca ca fetch --pin sha256:%s", rows[0].Fingerprint)
	return nil
}
