package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
)

func newDomain(p *program) *cobra.Command {
	cmd := commandGroup(&cobra.Command{
		Use: "domain", Short: "Names: prove that they are yours",
		Long: `An app gets certificates for names that it has proven to control, or that an operator has approved, as its policy says. 'imca domain add'
asks for a name and says what to show, 'imca domain verify' looks at it; then 'imca issue' works. A proof that stays in place is renewed
without work.` + connectionHelp,
	})
	r := remoteFlags(p, cmd, demoToken)
	cmd.AddCommand(newDomainAdd(p, r), newDomainVerify(p, r), newDomainList(p, r), newDomainShow(p, r), newDomainRemove(p, r),
		newDomainApprove(p, r), newDomainReject(p, r), newDomainTransfer(p, r), newDomainResolve(p, r), newDomainRevokeOthers(p, r))
	return cmd
}

func appFlag(cmd *cobra.Command, app *string) {
	cmd.Flags().StringVar(app, "app", "", "whose domain (operators; a developer's token says it)")
}

func methodFlag(cmd *cobra.Command, method *string, usage string) {
	cmd.Flags().StringVar(method, "method", "", usage)
	oneOf(cmd, "method", ca.ProofMethods())
}

func newDomainAdd(p *program, r *remote) *cobra.Command {
	var req api.DomainRequest
	cmd := &cobra.Command{
		Use: "add DOMAIN", Short: "Ask for a name, and learn how to prove it", Args: words(1, 1, "say which name"),
		Example: "  imca domain add www.example.com\n  imca domain add '*.example.com'\n  imca domain add example.com --method dns-persist-01",
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			req.Domain = args[0]
			d, err := c.AddDomain(ctx, req)
			if err != nil {
				return err
			}
			return showDomain(p, d)
		}),
	}
	appFlag(cmd, &req.App)
	methodFlag(cmd, &req.Method, "the way to prove it (default: http-01, or dns-01 for a wildcard)")
	return cmd
}

func newDomainVerify(p *program, r *remote) *cobra.Command {
	var req api.VerifyRequest
	cmd := &cobra.Command{
		Use: "verify DOMAIN", Short: "Have the proof looked at", Args: words(1, 1, "say which name"),
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			d, err := c.VerifyDomain(ctx, args[0], req)
			if err != nil {
				return err
			}
			return showDomain(p, d)
		}),
	}
	appFlag(cmd, &req.App)
	methodFlag(cmd, &req.Method, "the way to prove it (default: the one that was asked for)")
	return cmd
}

func newDomainList(p *program, r *remote) *cobra.Command {
	var (
		list               listFlags
		app, state, suffix string
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List the domains", Args: noArgs,
		Example: "  imca domain list\n  imca domain list --state awaiting-approval --token-file operator.token",
		RunE: r.run(func(ctx context.Context, c *api.Client, _ []string) error {
			filter := list.filter()
			filter["app"], filter["state"], filter["suffix"] = app, state, suffix
			return listPages(p, list.all, filter, func(f api.Filter) (*api.Page[api.Domain], error) { return c.Domains(ctx, f) }, domainTable)
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "of this app")
	cmd.Flags().StringVar(&state, "state", "", "in this state: "+joinedTexts(ca.DomainStates()))
	cmd.Flags().StringVar(&suffix, "suffix", "", "this name and those below it")
	oneOf(cmd, "state", ca.DomainStates())
	list.addTo(cmd)
	return cmd
}

func joinedTexts[T ~string](values []T) string {
	var texts []string
	for _, v := range values {
		texts = append(texts, string(v))
	}
	return strings.Join(texts, ", ")
}

func newDomainShow(p *program, r *remote) *cobra.Command {
	var app string
	cmd := &cobra.Command{
		Use: "show DOMAIN", Short: "Show a domain, and what is left to do", Args: words(1, 1, "say which name"),
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			d, err := c.Domain(ctx, args[0], app)
			if err != nil {
				return err
			}
			return showDomain(p, d)
		}),
	}
	appFlag(cmd, &app)
	return cmd
}

func newDomainRemove(p *program, r *remote) *cobra.Command {
	var app string
	cmd := &cobra.Command{
		Use: "remove DOMAIN", Short: "Give a domain up; certificates stay as they are", Args: words(1, 1, "say which name"),
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			if err := c.RemoveDomain(ctx, args[0], app); err != nil {
				return err
			}
			p.note("Gave %s up.", args[0])
			return nil
		}),
	}
	appFlag(cmd, &app)
	return cmd
}

func newDomainApprove(p *program, r *remote) *cobra.Command {
	var req api.ApproveRequest
	cmd := &cobra.Command{
		Use: "approve DOMAIN", Short: "Approve a domain (operators)", Args: words(1, 1, "say which name"),
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			d, err := c.ApproveDomain(ctx, args[0], req)
			if err != nil {
				return err
			}
			return showDomain(p, d)
		}),
	}
	appFlag(cmd, &req.App)
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why, for whoever asks later")
	cmd.Flags().BoolVar(&req.Wildcard, "wildcard", false, "what lies one level below it too")
	return cmd
}

func newDomainReject(p *program, r *remote) *cobra.Command {
	var req api.RejectRequest
	cmd := &cobra.Command{
		Use: "reject DOMAIN --reason REASON", Short: "Reject a domain (operators)", Args: words(1, 1, "say which name"),
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			if req.Reason == "" {
				return usageError{errors.New("say why: --reason; the developer sees it")}
			}
			d, err := c.RejectDomain(ctx, args[0], req)
			if err != nil {
				return err
			}
			return showDomain(p, d)
		}),
	}
	appFlag(cmd, &req.App)
	cmd.Flags().StringVar(&req.Reason, "reason", "", "why; the developer sees it")
	return cmd
}

func newDomainTransfer(p *program, r *remote) *cobra.Command {
	return newDomainHand(p, r, "transfer", "Give a domain to another app (operators)", (*api.Client).TransferDomain)
}

func newDomainResolve(p *program, r *remote) *cobra.Command {
	return newDomainHand(p, r, "resolve", "End a conflict over a domain", (*api.Client).ResolveDomain)
}

func newDomainHand(p *program, r *remote, verb, short string, do func(*api.Client, context.Context, string, api.TransferRequest) (*api.Domain, error)) *cobra.Command {
	var req api.TransferRequest
	cmd := &cobra.Command{
		Use: verb + " DOMAIN --to APP", Short: short, Args: words(1, 1, "say which name"),
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			if req.To == "" {
				return usageError{errors.New("say which app shall have it: --to APP")}
			}
			d, err := do(c, ctx, args[0], req)
			if err != nil {
				return err
			}
			return showDomain(p, d)
		}),
	}
	cmd.Flags().StringVar(&req.To, "to", "", "the app that shall have it")
	return cmd
}

func newDomainRevokeOthers(p *program, r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "revoke-others DOMAIN", Short: "Revoke the certificates that other apps have for a domain", Args: words(1, 1, "say which name"),
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			revoked, err := c.RevokeOthers(ctx, args[0])
			if err != nil {
				return err
			}
			if p.json {
				return p.encode(revoked)
			}
			p.note("Revoked %d.", len(revoked))
			if len(revoked) > 0 {
				certificateTable(p, revoked)
			}
			return nil
		}),
	}
}

func domainTable(p *program, list []api.Domain) {
	var rows [][]cell
	for _, d := range list {
		until := "–"
		if d.ExpiresAt != nil {
			until = d.ExpiresAt.Local().Format("2006-01-02")
		}
		rows = append(rows, []cell{{fullName(&d), strong}, {d.State, domainColour(d.State)}, {d.App, ""}, {orDash(d.ProvenBy), ""}, {until, ""}, {orDash(d.Flag + d.Failure), ""}})
	}
	p.table([]string{"DOMAIN", "STATE", "APP", "PROVEN BY", "UNTIL", "REMARK"}, rows)
}

func domainColour(state string) string {
	switch ca.DomainState(state) {
	case ca.DomainValid:
		return good
	case ca.DomainPending, ca.DomainAwaiting:
		return warning
	}
	return bad
}

func fullName(d *api.Domain) string {
	if d.Wildcard {
		return d.Domain + " (and *." + d.Domain + ")"
	}
	return d.Domain
}

// showDomain prints a domain, and how to go on.
func showDomain(p *program, d *api.Domain) error {
	if p.json {
		return p.encode(d)
	}
	when := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return t.Local().Format("2006-01-02 15:04:05 MST")
	}
	decided := d.Decision
	if d.DecidedBy != "" {
		decided = strings.TrimSpace(d.Decision + " (" + d.DecidedBy + ", " + when(d.DecidedAt) + ")")
	}
	var fields [][2]string
	for _, f := range [][2]string{
		{"Domain", fullName(d)}, {"State", p.paint(domainColour(d.State), d.State)}, {"App", d.App}, {"Proven by", d.ProvenBy}, {"Proof until", when(d.ExpiresAt)},
		{"Last check", when(d.CheckedAt)}, {"It failed", d.Failure}, {"Remark", d.Flag}, {"Decision", decided}, {"Wanted by", strings.Join(d.ContestedBy, ", ")},
		{"Others have", strings.Join(d.OthersCertificates, " ")},
	} {
		if f[1] != "" {
			fields = append(fields, f)
		}
	}
	p.fields(fields...)
	if d.State != string(ca.DomainValid) {
		for i, way := range d.Challenges {
			title := "Prove it by " + way.Method
			if i > 0 {
				title = "or by " + way.Method
			}
			p.say("\n%s\n  %s", p.paint(strong, title), strings.ReplaceAll(way.Instructions, "\n", "\n  "))
		}
	}
	p.say("\n%s %s", p.paint(strong, "Next:"), d.NextStep)
	return nil
}
