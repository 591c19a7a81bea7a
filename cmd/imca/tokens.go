package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
)

func newToken(p *program) *cobra.Command {
	cmd := commandGroup(&cobra.Command{
		Use: "token", Short: "Tokens: who may use the server",
		Long: `A token has a role: developer (acts for one app), auditor (sees everything, changes nothing), operator (runs the CA), admin (an
operator who also makes operators). Operators make tokens for developers, administrators for everyone.` + connectionHelp,
	})
	r := remoteFlags(p, cmd, operatorToken)
	cmd.AddCommand(newTokenCreate(p, r), newTokenList(p, r), newTokenRotate(p, r), newTokenRevoke(p, r))
	return cmd
}

// tokenOptions are the flags of 'imca token create'.
type tokenOptions struct {
	name, role, app, out string
	days                 int
	scopes               []string
}

func newTokenCreate(p *program, r *remote) *cobra.Command {
	var (
		o     tokenOptions
		where *local
	)
	cmd := &cobra.Command{
		Use: "create --name NAME", Short: "Make a token", Args: noArgs,
		Long: `Make a token and print it: it is shown this once and not kept.

With --config (or --data) it works on the database itself, without a server and without a token: that is how the first administrator gets
in, and anyone who has been locked out. Whoever can read the configuration and reach the database can do this; an event tells of it.` + connectionHelp,
		Example: `  imca token create --app shop --name 'shop, CI' --days 365
  imca token create --role admin --name alice --config imca.yaml --out alice.token`,
	}
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "whose it is, for people and for the audit log")
	flags.StringVar(&o.role, "role", "", "developer, auditor, operator or admin (default: developer, where --app is given)")
	flags.StringVar(&o.app, "app", "", "the app that a developer's token acts for")
	flags.IntVar(&o.days, "days", 0, "how long it is valid (default: until it is revoked)")
	flags.StringArrayVar(&o.scopes, "scope", nil, "an action that it is good for, such as certificate.issue; several times for several (default: all of its role's)")
	flags.StringVar(&o.out, "out", "", "write it into this new file (mode 0600) instead of printing it")
	oneOf(cmd, "role", ca.Roles())
	where = localFlags(cmd)
	remotely := r.run(func(ctx context.Context, c *api.Client, _ []string) error {
		token, err := o.createBy(ctx, c)
		if err != nil {
			return err
		}
		return o.hand(p, *token)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.check(); err != nil {
			return err
		}
		if !where.given() {
			return remotely(cmd, args)
		}
		return o.createIn(cmd.Context(), p, where)
	}
	return cmd
}

func (o *tokenOptions) check() error {
	if o.role == "" && o.app != "" {
		o.role = string(ca.RoleDeveloper)
	}
	switch {
	case o.name == "":
		return usageError{errors.New("say whose token it is: --name NAME")}
	case o.role == "":
		return usageError{errors.New("say what the token may do: --app APP for a developer, or --role auditor, operator or admin")}
	case o.days < 0:
		return usageError{errors.New("--days: a token lasts 1 day or more; leave it out for one that does not end")}
	case o.out != "" && exists(o.out):
		return usageError{fmt.Errorf("--out %s: the file is there and stays: choose another", o.out)}
	}
	return nil
}

// createBy asks a server.
func (o *tokenOptions) createBy(ctx context.Context, c *api.Client) (*api.Token, error) {
	var days *int
	if o.days > 0 {
		days = &o.days
	}
	if o.role == string(ca.RoleDeveloper) {
		if o.app == "" {
			return nil, usageError{errors.New("a developer's token acts for one app: say which with --app")}
		}
		return c.CreateAppToken(ctx, o.app, api.AppTokenRequest{Name: o.name, Scopes: o.scopes, ExpiresInDays: days, IdempotencyKey: rand.Text()})
	}
	if o.app != "" {
		return nil, usageError{fmt.Errorf("a token of role %s acts for no single app: leave --app out", o.role)}
	}
	return c.CreateToken(ctx, api.TokenRequest{Name: o.name, Role: o.role, Scopes: o.scopes, ExpiresInDays: days, IdempotencyKey: rand.Text()})
}

// createIn works on the database itself.
func (o *tokenOptions) createIn(ctx context.Context, p *program, where *local) (err error) {
	opened, err := where.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.store.Close()) }()
	authority, err := ca.New(ca.Config{Store: opened.store})
	if err != nil {
		return err
	}
	t, secret, err := authority.CreateToken(ctx, localAdmin(), ca.NewToken{
		Name: o.name, Role: ca.Role(o.role), App: o.app, Scopes: o.scopes, Life: time.Duration(o.days) * 24 * time.Hour,
	})
	var refused *ca.Error
	if errors.As(err, &refused) {
		return codedError{exitRefused, errors.New(refused.Detail)}
	}
	if err != nil {
		return err
	}
	p.note("Made directly in the database, as %s; the audit log tells of it.", localAdmin().Name)
	shown := api.Token{ID: t.ID, Name: t.Name, Role: string(t.Role), App: t.App, CreatedAt: t.CreatedAt, CreatedBy: t.CreatedBy, Secret: secret}
	if !t.ExpiresAt.IsZero() {
		shown.ExpiresAt = &t.ExpiresAt
	}
	return o.hand(p, shown)
}

// hand prints the token, or writes it into a file.
func (o *tokenOptions) hand(p *program, t api.Token) error {
	if o.out != "" {
		err := writeNewFile(o.out, []byte(t.Secret+"\n"), secretMode)
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%s appeared meanwhile and stays: revoke %s and make another", o.out, t.ID)
		}
		if err != nil {
			return err
		}
		t.Secret = ""
	}
	if p.json {
		return p.encode(t)
	}
	if o.out != "" {
		p.say("Wrote the token %s (%s) into %s.", t.ID, t.Role, o.out)
		return nil
	}
	p.note("The token %s (%s), shown this once:", t.ID, t.Role)
	p.say("%s", t.Secret)
	return nil
}

func newTokenList(p *program, r *remote) *cobra.Command {
	var (
		list listFlags
		app  string
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List the tokens of an app, or those that act for none", Args: noArgs,
		RunE: r.run(func(ctx context.Context, c *api.Client, _ []string) error {
			read := func(f api.Filter) (*api.Page[api.Token], error) { return c.Tokens(ctx, f) }
			if app != "" {
				read = func(f api.Filter) (*api.Page[api.Token], error) { return c.AppTokens(ctx, app, f) }
			}
			return listPages(p, list.all, list.filter(), read, tokenTable)
		}),
	}
	list.addTo(cmd)
	cmd.Flags().StringVar(&app, "app", "", "the tokens of this app")
	return cmd
}

func tokenTable(p *program, tokens []api.Token) {
	day := func(t *time.Time) string {
		if t == nil {
			return "–"
		}
		return t.Local().Format("2006-01-02 15:04")
	}
	var rows [][]cell
	for _, t := range tokens {
		state := cell{"valid", good}
		switch {
		case t.RevokedAt != nil:
			state = cell{"revoked", bad}
		case t.SupersededAt != nil:
			state = cell{"rotated", quiet}
		case t.ExpiresAt != nil && t.ExpiresAt.Before(time.Now()):
			state = cell{"expired", quiet}
		}
		rows = append(rows, []cell{{t.ID, ""}, state, {t.Role, ""}, {day(t.ExpiresAt), ""}, {day(t.LastUsedAt), ""}, {t.Name, strong}})
	}
	p.table([]string{"ID", "STATE", "ROLE", "UNTIL", "LAST USED", "NAME"}, rows)
}

func newTokenRotate(p *program, r *remote) *cobra.Command {
	var (
		o       tokenOptions
		overlap int
	)
	cmd := &cobra.Command{
		Use: "rotate [ID]", Short: "Make a successor of a token, and have the old one end", Args: words(0, 1, "say which token, by its ID"),
		Long: `Make a successor of a token, with the same name, role, app, scopes and life. The old one goes on for the overlap, so that its users
can change over. Without ID it is the token that the command itself shows.` + connectionHelp,
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			if o.out != "" && exists(o.out) {
				return usageError{fmt.Errorf("--out %s: the file is there and stays: choose another", o.out)}
			}
			if len(args) == 0 {
				self, err := c.Whoami(ctx)
				if err != nil {
					return err
				}
				args = []string{self.TokenID}
			}
			token, err := c.RotateToken(ctx, args[0], api.RotateRequest{OverlapHours: &overlap})
			if err != nil {
				return err
			}
			if !p.json {
				p.note("The token %s ends in %d hours.", args[0], overlap)
			}
			return o.hand(p, *token)
		}),
	}
	cmd.Flags().IntVar(&overlap, "overlap", int(ca.DefaultOverlap/time.Hour), "the hours until the old one ends")
	cmd.Flags().StringVar(&o.out, "out", "", "write it into this new file (mode 0600) instead of printing it")
	return cmd
}

func newTokenRevoke(p *program, r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "End a token at once", Args: words(1, 1, "say which token, by its ID"),
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			if err := c.RevokeToken(ctx, args[0]); err != nil {
				return err
			}
			if p.json {
				return p.encode(map[string]string{"revoked": args[0]})
			}
			p.say("%s %s: it is refused from now on.", p.paint(bad, "Revoked"), args[0])
			return nil
		}),
	}
}
