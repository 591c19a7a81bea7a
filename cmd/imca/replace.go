package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/issuer"
)

func newReplace(p *program) *cobra.Command {
	var (
		req      api.ReplacementRequest
		by       string
		serials  string
		withdraw bool
	)
	cmd := &cobra.Command{
		Use: "replace --by TIME", Short: "Have certificates renewed by a time (operators)", Args: noArgs,
		Long: `Say by when the certificates that a search finds should be replaced: before they are revoked in numbers, say. ACME clients that ask for
renewal information are told to renew before that time, one by one; nothing is revoked by it. 'imca list --to-replace' shows what is
planned, --withdraw takes it back.` + connectionHelp,
		Example: `  imca replace --suffix example.com --by 7d
  imca replace --serials weak.txt --by 2026-12-31
  imca replace --app shop --withdraw`,
	}
	flags := cmd.Flags()
	flags.StringVar(&by, "by", "", "the time, or in so many days: 7d")
	flags.BoolVar(&withdraw, "withdraw", false, "take the wish back")
	flags.StringVar(&req.Suffix, "suffix", "", "certificates with a name that is this or ends in it: example.com")
	flags.StringVar(&req.App, "app", "", "certificates of this app")
	flags.StringVar(&req.SPKISHA256, "key-hash", "", "certificates with the key of this SHA-256 hash (over the SubjectPublicKeyInfo)")
	flags.StringVar(&req.Authority, "authority", "", "certificates signed by this authority")
	flags.StringVar(&req.Profile, "profile", "", "certificates of this profile: server or client")
	flags.StringVar(&req.IssuedAfter, "issued-after", "", "certificates issued at this time or later, or less than so many days ago: 7d")
	flags.StringVar(&req.IssuedBefore, "issued-before", "", "certificates issued before this time")
	flags.StringVar(&serials, "serials", "", "the file with the serials of certificates, one on a line; - reads them from the standard input")
	cmd.MarkFlagsMutuallyExclusive("by", "withdraw")
	oneOf(cmd, "profile", []string{issuer.ServerProfile, issuer.ClientProfile})
	r := remoteFlags(p, cmd, operatorToken)
	cmd.RunE = r.run(func(ctx context.Context, c *api.Client, _ []string) error {
		if by == "" && !withdraw {
			return usageError{errors.New("say by when: --by 7d, or --by 2026-12-31; --withdraw takes the wish back")}
		}
		now := time.Now()
		if by != "" {
			req.ReplaceBy = moment(by, false, now)
		}
		req.IssuedAfter, req.IssuedBefore = moment(req.IssuedAfter, true, now), moment(req.IssuedBefore, true, now)
		parts := []api.ReplacementRequest{req}
		if serials != "" {
			list, err := readSerials(p, serials)
			if err != nil {
				return err
			}
			parts = nil
			for _, part := range inParts(api.RevocationRequest{}, list) {
				one := req
				one.Serials = part.Serials
				parts = append(parts, one)
			}
		}
		return planReplacements(ctx, p, c, parts)
	})
	return cmd
}

// planReplacements carries a plan through its steps.
func planReplacements(ctx context.Context, p *program, c *api.Client, parts []api.ReplacementRequest) error {
	var total api.Replacements
	for _, req := range parts {
		for {
			step, err := patiently(ctx, func() (*api.Replacements, error) { return c.PlanReplacements(ctx, req) })
			if err != nil {
				return err
			}
			total.Planned += step.Planned
			total.Missing = append(total.Missing, step.Missing...)
			if req.Cursor = step.Next; step.Next == "" {
				break
			}
		}
	}
	if p.json {
		return p.encode(total)
	}
	for _, serial := range total.Missing {
		p.note("%s: there is no such certificate.", serial)
	}
	if parts[0].ReplaceBy == "" {
		p.say("%d certificates are renewed at their usual time.", total.Planned)
		return nil
	}
	p.say("%d certificates are to be replaced by %s.", total.Planned, parts[0].ReplaceBy)
	return nil
}

// replacementTable shows what is to be replaced.
func replacementTable(p *program, list []api.Replacement) {
	var rows [][]cell
	for _, r := range list {
		rows = append(rows, []cell{
			{r.Certificate.Serial, ""}, {r.ReplaceBy.Local().Format("2006-01-02 15:04"), warning}, {orDash(r.Certificate.App), ""},
			{r.Certificate.NotAfter.Local().Format("2006-01-02 15:04"), ""}, {r.Certificate.Domains[0], strong},
		})
	}
	p.table([]string{"SERIAL", "REPLACE BY", "APP", "UNTIL", "NAME"}, rows)
}
