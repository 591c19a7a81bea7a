package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// revokeOptions are the flags of 'imca revoke'.
type revokeOptions struct {
	reason, key string
	search      api.RevocationRequest
	serials     string
	dryRun, yes bool
}

func newRevoke(p *program) *cobra.Command {
	var o revokeOptions
	cmd := &cobra.Command{
		Use: "revoke [SERIAL]", Short: "End certificates before their time", Args: words(0, 1, "say which certificate"),
		Long: `Revoke a certificate, or all that a search finds. It cannot be taken back, but for certificateHold, which operators give and
'imca release' lifts. If the key leaked, say --reason keyCompromise: it may be added later too, to a certificate that was revoked for
another reason, and the key is never certified again.

A search is made first: it counts what it finds and shows the first ones. Then it asks, or takes --yes for an answer, and revokes what
was counted, and nothing that was issued since. If it is interrupted, run it again: what is revoked counts as done.

With --key no token is needed: whoever has the private key may end the certificate, for keyCompromise.` + connectionHelp,
		Example: `  imca revoke 5b1c… --reason keyCompromise
  imca revoke 5b1c… --key www.example.com.key
  imca revoke --suffix example.com --reason cessationOfOperation --dry-run
  imca revoke --app shop --issued-before 2026-03-01 --yes
  imca revoke --serials leaked.txt --reason keyCompromise`,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.reason, "reason", pki.Unspecified.String(), "why: "+reasonList())
	flags.StringVar(&o.key, "key", "", "the file with the certificate's private key, in place of a token")
	flags.StringVar(&o.search.Suffix, "suffix", "", "certificates with a name that is this or ends in it: example.com")
	flags.StringVar(&o.search.App, "app", "", "certificates of this app")
	flags.StringVar(&o.search.SPKISHA256, "key-hash", "", "certificates with the key of this SHA-256 hash (over the SubjectPublicKeyInfo)")
	flags.StringVar(&o.search.Authority, "authority", "", "certificates signed by this authority")
	flags.StringVar(&o.search.Profile, "profile", "", "certificates of this profile: server or client")
	flags.StringVar(&o.search.IssuedAfter, "issued-after", "", "certificates issued at this time or later, or less than so many days ago: 7d")
	flags.StringVar(&o.search.IssuedBefore, "issued-before", "", "certificates issued before this time")
	flags.StringVar(&o.serials, "serials", "", "the file with the serials of certificates, one on a line; - reads them from the standard input")
	flags.BoolVar(&o.dryRun, "dry-run", false, "only count what a search finds, and show the first ones")
	flags.BoolVar(&o.yes, "yes", false, "do not ask before what a search found is revoked")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "yes")
	cmd.MarkFlagsMutuallyExclusive("key", "reason")
	oneOf(cmd, "reason", strings.Split(reasonList(), ", "))
	oneOf(cmd, "profile", []string{issuer.ServerProfile, issuer.ClientProfile})
	r := remoteFlags(p, cmd, demoToken)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		searches := o.serials != ""
		for _, flag := range []string{"suffix", "app", "key-hash", "authority", "profile", "issued-after", "issued-before"} {
			searches = searches || flags.Changed(flag)
		}
		switch {
		case searches && len(args) > 0:
			return usageError{errors.New("give a serial, or what to search for, not both")}
		case searches:
			return r.run(func(ctx context.Context, c *api.Client, _ []string) error { return revokeFound(ctx, p, c, o) })(cmd, args)
		case len(args) == 0:
			return usageError{errors.New("say which certificates: a serial, --serials FILE, or what to search for (--suffix, --app, --key-hash …)")}
		case o.dryRun || o.yes:
			return usageError{errors.New("--dry-run and --yes are for searches: one serial is one certificate, see 'imca show'")}
		case o.key != "":
			return r.runAs(false, func(ctx context.Context, c *api.Client, args []string) error {
				return revokeByKey(ctx, p, c, args[0], o.key)
			})(cmd, args)
		}
		return r.run(func(ctx context.Context, c *api.Client, args []string) error {
			return revokeOne(ctx, p, c, args[0], o.reason)
		})(cmd, args)
	}
	return cmd
}

func newRelease(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use: "release SERIAL", Short: "Take a certificate off hold (operators)", Args: words(1, 1, "say which certificate"),
		Long: "Take back a revocation for certificateHold: the certificate is as it was before. Servers let it in again when they have loaded the next" + "\n" +
			"revocation list." + connectionHelp,
		Example: "  imca release 5b1c… --token-file imca-data/operator.token",
	}
	r := remoteFlags(p, cmd, operatorToken)
	cmd.RunE = r.run(func(ctx context.Context, c *api.Client, args []string) error {
		cert, err := c.Release(ctx, args[0])
		if err != nil {
			return err
		}
		if p.json {
			return p.encode(cert)
		}
		p.say("%s %s (%s): it is %s.", p.paint(good, "Released"), cert.Serial, strings.Join(cert.Domains, ", "), cert.Status)
		return nil
	})
	return cmd
}

func revokeOne(ctx context.Context, p *program, c *api.Client, serial, reason string) error {
	cert, err := c.Revoke(ctx, serial, reason)
	if err != nil {
		return err
	}
	if p.json {
		return p.encode(cert)
	}
	p.say("%s %s (%s) for %s.", p.paint(bad, "Revoked"), cert.Serial, strings.Join(cert.Domains, ", "), cert.RevocationReason)
	return nil
}

// revokeByKey proves that the key is here, without sending it.
func revokeByKey(ctx context.Context, p *program, c *api.Client, serial, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return usageError{fmt.Errorf("reading the key: %w", err)}
	}
	key, err := pki.ParseKey(text)
	if err != nil {
		return usageError{fmt.Errorf("reading the key %s: %w", file, err)}
	}
	parsed, err := pki.ParseSerial(serial)
	if err != nil {
		return usageError{err}
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: pki.ProofSubject(parsed)}}, key)
	if err != nil {
		return fmt.Errorf("making the proof: %w", err)
	}
	if err := c.RevokeByKey(ctx, parsed.String(), base64.StdEncoding.EncodeToString(der)); err != nil {
		return err
	}
	if p.json {
		return p.encode(map[string]string{"serial": parsed.String(), "revocation_reason": pki.KeyCompromise.String()})
	}
	p.say("%s %s for %s. The key is never certified again.", p.paint(bad, "Revoked"), parsed, pki.KeyCompromise)
	return nil
}

// revokeFound counts what a search finds, asks, and revokes it.
func revokeFound(ctx context.Context, p *program, c *api.Client, o revokeOptions) error {
	o.search.Reason = o.reason
	o.search.IssuedAfter = moment(o.search.IssuedAfter, true, time.Now())
	o.search.IssuedBefore = moment(o.search.IssuedBefore, true, time.Now())
	parts := []api.RevocationRequest{o.search}
	if o.serials != "" {
		serials, err := readSerials(p, o.serials)
		if err != nil {
			return err
		}
		parts = inParts(o.search, serials)
	}
	s := &revocationSweep{p: p, c: c, parts: parts}
	if err := s.count(ctx); err != nil {
		return err
	}
	open := s.total.Matched - s.total.RevokedBefore
	if o.dryRun || open == 0 {
		return s.report(open)
	}
	if !o.yes {
		if err := s.ask(open); err != nil {
			return err
		}
	}
	if err := s.revoke(ctx); err != nil {
		return fmt.Errorf("%w\n%d of %d are revoked. Run the same command again to go on", err, s.total.Revoked, open)
	}
	return s.report(0)
}

// serialsPart is how many serials one request has: as many as one step of a search revokes.
const serialsPart = 100

func inParts(search api.RevocationRequest, serials []string) (parts []api.RevocationRequest) {
	for len(serials) > 0 {
		n := min(len(serials), serialsPart)
		search.Serials, serials = serials[:n], serials[n:]
		parts = append(parts, search)
	}
	return parts
}

// readSerials reads the first word of each line. Empty lines, and those that begin with #, are passed over.
func readSerials(p *program, file string) (serials []string, err error) {
	text, err := readInput(p, file)
	if err != nil {
		return nil, usageError{fmt.Errorf("reading the serials: %w", err)}
	}
	seen := make(map[pki.Serial]bool)
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		serial, err := pki.ParseSerial(words[0])
		if err != nil {
			return nil, usageError{fmt.Errorf("%s, line %d: %w", file, n, err)}
		}
		if !seen[serial] {
			seen[serial] = true
			serials = append(serials, serial.String())
		}
	}
	if len(serials) == 0 {
		return nil, usageError{fmt.Errorf("%s has no serials: write one on each line", file)}
	}
	return serials, nil
}

// reasonList is every reason that fits, separated by commas.
func reasonList() string {
	var names []string
	for _, r := range pki.LeafReasons() {
		names = append(names, r.String())
	}
	return strings.Join(names, ", ")
}
