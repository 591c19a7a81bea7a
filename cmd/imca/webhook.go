package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
)

func newWebhook(p *program) *cobra.Command {
	cmd := commandGroup(&cobra.Command{
		Use: "webhook", Short: "Be told what happens to endpoints",
		Long: `Each alert about a registered endpoint ('imca endpoint'), and its end, is posted as JSON to the webhooks of its app, signed as Standard Webhooks has it
(standardwebhooks.com), and repeated for three days until it is answered in the 200s.` + connectionHelp,
	})
	r := remoteFlags(p, cmd, demoToken)
	var app string
	cmd.PersistentFlags().StringVar(&app, "app", "", "whose webhooks (operators; a developer's token says it)")
	// with runs a command with the app that it is about.
	with := func(do func(ctx context.Context, c *api.Client, app string, args []string) error) func(*cobra.Command, []string) error {
		return r.run(func(ctx context.Context, c *api.Client, args []string) error {
			if app != "" {
				return do(ctx, c, app, args)
			}
			me, err := c.Whoami(ctx)
			if err != nil {
				return err
			}
			if me.App == "" {
				return usageError{errors.New("say which app: --app demo")}
			}
			return do(ctx, c, me.App, args)
		})
	}
	cmd.AddCommand(
		&cobra.Command{
			Use: "add URL", Short: "Add a webhook, and get its secret", Args: words(1, 1, "say which URL"),
			Example: "  imca webhook add https://hooks.example.com/imca",
			RunE: with(func(ctx context.Context, c *api.Client, app string, args []string) error {
				w, err := c.CreateWebhook(ctx, app, api.WebhookRequest{URL: args[0]})
				return showSecret(p, w, err)
			}),
		},
		&cobra.Command{
			Use: "list", Short: "List the webhooks, and whether messages arrive", Args: noArgs,
			RunE: with(func(ctx context.Context, c *api.Client, app string, _ []string) error {
				page, err := c.Webhooks(ctx, app)
				if err != nil {
					return err
				}
				return listWebhooks(p, page)
			}),
		},
		&cobra.Command{
			Use: "rotate ID", Short: "Make a new secret", Args: words(1, 1, "say which webhook"),
			Long: "Make a new secret. For 24 hours messages have a second signature, by the secret before.",
			RunE: with(func(ctx context.Context, c *api.Client, app string, args []string) error {
				w, err := c.RotateWebhook(ctx, app, args[0])
				return showSecret(p, w, err)
			}),
		},
		&cobra.Command{
			Use: "test ID", Short: "Send a message to try it", Args: words(1, 1, "say which webhook"),
			RunE: with(func(ctx context.Context, c *api.Client, app string, args []string) error {
				if err := c.TestWebhook(ctx, app, args[0]); err != nil {
					return err
				}
				p.note("A message is on its way: 'imca webhook list' tells in a moment whether it has arrived.")
				return nil
			}),
		},
		&cobra.Command{
			Use: "remove ID", Short: "Remove a webhook", Args: words(1, 1, "say which webhook"),
			RunE: with(func(ctx context.Context, c *api.Client, app string, args []string) error {
				return c.RemoveWebhook(ctx, app, args[0])
			}),
		},
	)
	return cmd
}

// showSecret prints a webhook whose secret was made.
func showSecret(p *program, w *api.Webhook, err error) error {
	switch {
	case err != nil:
		return err
	case p.json:
		return p.encode(w)
	}
	p.fields([2]string{"Webhook", w.ID}, [2]string{"URL", w.URL}, [2]string{"Secret", w.Secret})
	p.note("The secret is shown this once: give it to the receiver, which checks signatures by it.")
	return nil
}

func listWebhooks(p *program, page *api.Page[api.Webhook]) error {
	if p.json {
		return p.encode(page)
	}
	if len(page.Items) == 0 {
		p.note("Nobody is told: 'imca webhook add https://…' adds a webhook.")
		return nil
	}
	var rows [][]cell
	for _, w := range page.Items {
		state := cell{text: "nothing sent yet"}
		switch {
		case w.FailingSince != nil:
			state = cell{"failing since " + w.FailingSince.Local().Format("2006-01-02 15:04") + ": " + w.Failure, bad}
		case w.DeliveredAt != nil:
			state = cell{"delivered " + w.DeliveredAt.Local().Format("2006-01-02 15:04"), good}
		}
		rows = append(rows, []cell{{text: w.ID}, {text: w.URL}, state})
	}
	p.table([]string{"ID", "URL", "LAST MESSAGE"}, rows)
	return nil
}
