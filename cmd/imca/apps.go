package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
)

func newApp(p *program) *cobra.Command {
	cmd := commandGroup(&cobra.Command{
		Use: "app", Short: "Developers' applications: who may have which names",
		Long: `Apps are the developers' applications: a certificate belongs to an app, and an app has tokens. The policy of an app says which
names it may have: "prove" those that it has proven to control ('imca domain'), "approve" those that an operator has approved, "list" only
those of its allow-list, "open" every name that this CA certifies at all. What is on the allow-list needs neither proof nor approval.

On an allow-list "example.com" is that name alone, ".example.com" every name below it, "*.example.com" that wildcard.` + connectionHelp,
	})
	r := remoteFlags(p, cmd, operatorToken)
	cmd.AddCommand(newAppCreate(p, r), newAppList(p, r), newAppShow(p, r), newAppChange(p, r), newAppEAB(p, r), newAppRoot(p, r))
	return cmd
}

func newAppCreate(p *program, r *remote) *cobra.Command {
	var req api.AppRequest
	cmd := &cobra.Command{
		Use: "create ID", Short: "Make an app", Args: words(1, 1, "give the app an ID: a–z, 0–9 and \"-\""),
		Example: "  imca app create shop --name 'The shop' --allow shop.example.com --allow .api.example.com",
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			req.ID, req.IdempotencyKey = args[0], rand.Text()
			app, err := c.CreateApp(ctx, req)
			if err != nil {
				return err
			}
			if !p.json {
				p.note("Made the app %s. Next, its token: imca token create --app %s --name NAME", app.ID, app.ID)
			}
			return showApp(p, app)
		}),
	}
	cmd.Flags().StringVar(&req.Name, "name", "", "a name for people (default: the ID)")
	cmd.Flags().StringVar(&req.Policy, "policy", "", "prove, approve, list or open (default: the server's)")
	cmd.Flags().StringArrayVar(&req.Allowed, "allow", nil, "a name for the allow-list; several times for several")
	oneOf(cmd, "policy", ca.DomainPolicies())
	return cmd
}

func newAppList(p *program, r *remote) *cobra.Command {
	var list listFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the apps", Args: noArgs,
		RunE: r.run(func(ctx context.Context, c *api.Client, _ []string) error {
			return listPages(p, list.all, list.filter(), func(f api.Filter) (*api.Page[api.App], error) { return c.Apps(ctx, f) }, appTable)
		}),
	}
	list.addTo(cmd)
	return cmd
}

// listFlags are the flags of lists without filters.
type listFlags struct {
	limit  int
	cursor string
	all    bool
}

func (l *listFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().IntVar(&l.limit, "limit", 0, "how many to a page (default 50)")
	cmd.Flags().StringVar(&l.cursor, "cursor", "", "go on where a page ended")
	cmd.Flags().BoolVar(&l.all, "all", false, "every page, not only the first")
}

func (l *listFlags) filter() api.Filter {
	f := api.Filter{"cursor": l.cursor}
	if l.limit != 0 {
		f["limit"] = strconv.Itoa(l.limit)
	}
	return f
}

func appTable(p *program, apps []api.App) {
	var rows [][]cell
	for _, a := range apps {
		state := cell{"active", good}
		if a.Suspended {
			state = cell{"suspended", bad}
		}
		names := strings.Join(a.Allowed[:min(len(a.Allowed), 3)], " ")
		if len(a.Allowed) > 3 {
			names += " …"
		}
		rows = append(rows, []cell{{a.ID, strong}, state, {a.Policy, ""}, {a.Name, ""}, {orDash(names), ""}})
	}
	p.table([]string{"ID", "STATE", "POLICY", "NAME", "ALLOWED"}, rows)
}

func newAppShow(p *program, r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show an app", Args: words(1, 1, "say which app"),
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			app, err := c.App(ctx, args[0])
			if err != nil {
				return err
			}
			return showApp(p, app)
		}),
	}
}

func showApp(p *program, a *api.App) error {
	if p.json {
		return p.encode(a)
	}
	state := p.paint(good, "active")
	if a.Suspended {
		state = p.paint(bad, "suspended")
	}
	p.fields(
		[2]string{"ID", a.ID}, [2]string{"Name", a.Name}, [2]string{"State", state}, [2]string{"Policy", a.Policy},
		[2]string{"Allowed", strings.Join(a.Allowed, " ")}, [2]string{"Own quotas", quotaLine(a.Quotas)},
		[2]string{"Created", a.CreatedAt.Local().Format("2006-01-02 15:04:05 MST")},
	)
	return nil
}

func quotaLine(quotas map[string]int) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(quotas)) {
		list = append(list, name+"="+strconv.Itoa(quotas[name]))
	}
	return strings.Join(list, " ")
}

// changeOptions are the flags of 'imca app change'.
type changeOptions struct {
	name, policy    string
	allow, disallow []string
	quotas          []string
	suspend, resume bool
}

func newAppChange(p *program, r *remote) *cobra.Command {
	var o changeOptions
	cmd := &cobra.Command{
		Use: "change ID", Short: "Change an app", Args: words(1, 1, "say which app"),
		Example: "  imca app change shop --allow www.shop.example --disallow old.example.com\n  imca app change shop --suspend\n" +
			"  imca app change shop --quota certificates_per_week=5000 --quota proofs_per_hour=default",
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			change, err := o.change(ctx, c, args[0])
			if err != nil {
				return err
			}
			app, err := c.ChangeApp(ctx, args[0], change)
			if err != nil {
				return err
			}
			return showApp(p, app)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "a new name for people")
	flags.StringVar(&o.policy, "policy", "", "prove, approve, list or open")
	flags.StringArrayVar(&o.allow, "allow", nil, "add a name to the allow-list")
	flags.StringArrayVar(&o.disallow, "disallow", nil, "take a name from the allow-list; what was issued stays valid")
	flags.StringArrayVar(&o.quotas, "quota", nil, "NAME=NUMBER gives it a quota of its own, 0 for no bound; NAME=default takes that back (docs/domains.md has the names)")
	flags.BoolVar(&o.suspend, "suspend", false, "give it nothing new from now on")
	flags.BoolVar(&o.resume, "resume", false, "end the suspension")
	cmd.MarkFlagsMutuallyExclusive("suspend", "resume")
	cmd.MarkFlagsOneRequired("name", "policy", "allow", "disallow", "quota", "suspend", "resume")
	oneOf(cmd, "policy", ca.DomainPolicies())
	return cmd
}

func (o *changeOptions) change(ctx context.Context, c *api.Client, id string) (api.AppChange, error) {
	var change api.AppChange
	if o.name != "" {
		change.Name = &o.name
	}
	if o.policy != "" {
		change.Policy = &o.policy
	}
	if o.suspend || o.resume {
		change.Suspended = &o.suspend
	}
	if len(o.allow)+len(o.disallow)+len(o.quotas) == 0 {
		return change, nil
	}
	app, err := c.App(ctx, id)
	if err != nil {
		return change, err
	}
	if len(o.quotas) > 0 {
		if err := o.changeQuotas(app.Quotas); err != nil {
			return change, err
		}
		change.Quotas = &app.Quotas
	}
	if len(o.allow)+len(o.disallow) == 0 {
		return change, nil
	}
	allowed := append(slices.Clone(app.Allowed), o.allow...)
	for _, name := range o.disallow {
		if !slices.Contains(allowed, name) {
			return change, usageError{errors.New(name + " is not on the allow-list: write it as 'imca app show' does")}
		}
		allowed = slices.DeleteFunc(allowed, func(a string) bool { return a == name })
	}
	change.Allowed = &allowed
	return change, nil
}

// changeQuotas makes of an app's own quotas those that the flags ask for.
func (o *changeOptions) changeQuotas(quotas map[string]int) error {
	for _, flag := range o.quotas {
		name, text, _ := strings.Cut(flag, "=")
		if known := ca.QuotaNames(); !slices.Contains(known, name) {
			return usageError{fmt.Errorf("--quota %s: there is no quota of this name: use one of %s", flag, strings.Join(known, ", "))}
		}
		if text == "default" {
			delete(quotas, name)
			continue
		}
		most, err := strconv.Atoi(text)
		if err != nil {
			return usageError{fmt.Errorf("--quota %s: write NAME=NUMBER or NAME=default, such as certificates_per_week=5000", flag)}
		}
		quotas[name] = most
	}
	return nil
}
