package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/internal/ca"
)

// addOptions are the flags of 'imca ca add'.
type addOptions struct {
	parent   string
	profiles []string
	imported importOptions
}

func newCAAdd(p *program) *cobra.Command {
	var where *local
	var o addOptions
	cmd := &cobra.Command{
		Use: "add NAME --for PROFILE", Short: "Add an authority that stands by for a roll-over", Args: words(1, 1, "say how the authority shall be called"),
		Long: `Add an authority that stands by: the next root or, with --parent, an intermediate below a root. It is published and trusted from
now on, and the door check tries at every endpoint whether it would be let in; it issues nothing until 'imca ca promote'. Its key
is made in the folder of the keys, encrypted with the passphrase. A root that exists already can be brought along.

Running servers take it over in a few seconds. Where they have folders of their own, bring the key file to each of them first.`,
		Example: `  imca ca add TencentQQAuthCA-G2 --for client --for server --config imca.yaml
  imca ca add TencentQQAuthCA-Calls --parent TencentQQAuthCA --for client --config imca.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return where.with(cmd.Context(), func(authority *ca.CA, opened *opened) error {
				return addAuthority(cmd.Context(), p, authority, opened, args[0], o)
			})
		},
	}
	where = localFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&o.parent, "parent", "", "the root that certifies it (default: it is a root itself)")
	flags.StringSliceVar(&o.profiles, "for", nil, "what it is to issue one day: client or server; several times for both")
	o.imported.flags(cmd)
	cmd.MarkFlagsMutuallyExclusive("parent", "import-cert")
	return cmd
}

func addAuthority(ctx context.Context, p *program, authority *ca.CA, o *opened, name string, add addOptions) (err error) {
	if o.withoutKey != nil {
		return usageError{o.withoutKey}
	}
	request := ca.NewAuthority{Name: name, Parent: add.parent, For: add.profiles, Organization: o.organization, KeyType: o.keyType, NewKey: o.keys.make}
	if add.imported.certificate != "" {
		if request.Import, err = add.imported.root(p, name, o.keys); err != nil {
			return err
		}
	}
	added, err := authority.AddAuthority(ctx, localAdmin(), request)
	if err != nil {
		var refusal *ca.Error
		if errors.As(err, &refusal) {
			o.keys.discard() // nothing was recorded that would need it
		}
		return err
	}
	// Servers that check revocation want its list as soon as they see it.
	if err := authority.PublishCRLs(ctx); err != nil {
		p.note("%s has no revocation list yet (%v): the first server that takes it over publishes one.", name, err)
	}
	cert, err := x509.ParseCertificate(added.Certificate)
	if err != nil {
		return fmt.Errorf("reading the certificate of %s: %w", name, err)
	}
	row := madeAuthority{
		Name: added.Name, Parent: added.Parent, Profiles: []string{}, StandsBy: added.StandsBy, NotAfter: cert.NotAfter.UTC().Format(time.RFC3339),
		Fingerprint: fmt.Sprintf("%x", sha256.Sum256(added.Certificate)),
	}
	if p.json {
		return p.encode(row)
	}
	p.say("%s stands by for %s, until %s.", name, strings.Join(added.StandsBy, " and "), row.NotAfter[:10])
	p.say("  SHA-256 fingerprint:  %s", row.Fingerprint)
	p.say("  Key:                  %s", strings.Join(o.keys.made, " "))
	p.say("\nNext:")
	p.say("  Back up its key. Servers that have a folder of keys of their own need it there before it is promoted.")
	p.say("  Have what verifies certificates trust it: the roots are published together, as /ca/bundle.pem, and /ca/clients.pem for developers' servers.")
	p.say("  See how many endpoints are ready:   imca ca promote %s --dry-run%s", name, o.flag)
	return nil
}

func newCAPromote(p *program) *cobra.Command {
	var where *local
	var yes, dry bool
	cmd := &cobra.Command{
		Use: "promote NAME", Short: "Have an authority that stands by issue from now on", Args: words(1, 1, "say which authority shall issue"),
		Long: `Give what an authority stands by for to it: from now on it issues that, and the one that did stands by in its turn. Both stay
trusted, and each keeps its revocation list. Promoting the other one takes it back. Clients that ask for renewal information
(RFC 9773) are sent to renew what the other one has signed. Running servers follow in a few seconds.

Where registered endpoints were not let in under it at their last check, or were not checked since it was made, nothing is done
without --yes. --dry-run only counts them.`,
		Example: "  imca ca promote TencentQQAuthCA-G2 --dry-run --config imca.yaml\n  imca ca promote TencentQQAuthCA-G2 --config imca.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			return where.with(cmd.Context(), func(authority *ca.CA, _ *opened) error {
				if dry {
					ready, err := authority.Readiness(cmd.Context(), localAdmin(), args[0])
					if err != nil {
						return err
					}
					return reportPromotion(p, args[0], &ca.Promotion{Moved: map[string]string{}, Readiness: ready})
				}
				if err := authority.PublishCRLs(cmd.Context()); err != nil { // takes over what servers have published
					return err
				}
				promotion, err := authority.Promote(cmd.Context(), localAdmin(), args[0], yes)
				if err != nil {
					return err
				}
				return reportPromotion(p, args[0], promotion)
			})
		},
	}
	where = localFlags(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it although endpoints are not ready: the platform is locked out of those")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "count the endpoints that are ready, and change nothing")
	return cmd
}

// reportPromotion prints what was promoted, if anything was, and how ready the endpoints are.
func reportPromotion(p *program, name string, promotion *ca.Promotion) error {
	if p.json {
		type endpoint struct {
			ID  string `json:"id"`
			App string `json:"app"`
			URL string `json:"url"`
		}
		notReady := []endpoint{}
		for _, e := range promotion.Examples {
			notReady = append(notReady, endpoint{e.ID, e.App, e.URL})
		}
		return p.encode(map[string]any{"authority": name, "moved": promotion.Moved, "ready": promotion.Ready, "unready": promotion.Unready,
			"unseen": promotion.Unseen, "untold": promotion.Untold, "examples": notReady})
	}
	for _, profile := range slices.Sorted(maps.Keys(promotion.Moved)) {
		p.say("%s issues %s from now on. %s did, and stands by: 'imca ca promote %[3]s' takes it back.", name, profile, promotion.Moved[profile])
	}
	if !promotion.Concerned {
		p.say("It stands by for nothing that developers' servers verify: none of them has to be ready.")
		return nil
	}
	if promotion.Ready+promotion.Unready+promotion.Unseen+promotion.Untold == 0 {
		p.say("No endpoint is registered to tell who is ready ('imca endpoint add').")
		return nil
	}
	p.say("Registered endpoints, by their last check:")
	for _, line := range []struct {
		count int
		means string
	}{
		{promotion.Ready, "ready for " + name},
		{promotion.Unready, "not ready"},
		{promotion.Unseen, "not checked since it was made"},
		{promotion.Untold, "that could not tell, as the platform is not let in today either"},
	} {
		p.say("  %6d  %s", line.count, line.means)
	}
	var rows [][]cell
	for _, e := range promotion.Examples {
		state := cell{"not checked", warning}
		if slices.Contains(e.Unready, name) {
			state = cell{"not ready", bad}
		}
		rows = append(rows, []cell{state, {e.App, ""}, {e.URL, strong}})
	}
	if len(rows) > 0 {
		p.say("")
		p.table([]string{"STATE", "APP", "ENDPOINT"}, rows)
	}
	return nil
}

func newCARetire(p *program) *cobra.Command {
	var where *local
	var force, undo bool
	cmd := &cobra.Command{
		Use: "retire NAME", Short: "Trust an authority no more, when its certificates have ended", Args: words(1, 1, "say which authority shall be trusted no more"),
		Long: `Trust an authority no more: it is left out of /ca/bundle.pem and /ca/clients.pem, and of what is handed over. Its revocation list
and OCSP go on, until it ends. It must issue nothing, and have no valid certificate, unless --force is given. One that issues
something else stays trusted for that, and only stands by no more. Running servers follow in a few seconds.`,
		Example: "  imca ca retire TencentQQAuthCA --config imca.yaml\n  imca ca retire TencentQQAuthCA --undo --config imca.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			return where.with(cmd.Context(), func(authority *ca.CA, _ *opened) error {
				if err := authority.Retire(cmd.Context(), localAdmin(), args[0], force, undo); err != nil {
					return err
				}
				if p.json {
					return p.encode(map[string]any{"authority": args[0], "retired": !undo})
				}
				if undo {
					p.say("%s is trusted again.", args[0])
				} else {
					p.say("%s is trusted no more. 'imca ca retire %[1]s --undo' takes it back.", args[0])
				}
				return nil
			})
		},
	}
	where = localFlags(cmd)
	cmd.Flags().BoolVar(&force, "force", false, "although certificates of it are valid still: whoever fetches the roots anew refuses them")
	cmd.Flags().BoolVar(&undo, "undo", false, "trust it again")
	cmd.MarkFlagsMutuallyExclusive("force", "undo")
	return cmd
}
