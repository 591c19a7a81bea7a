package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
)

func newConsole(p *program) *cobra.Command {
	cmd := commandGroup(&cobra.Command{
		Use: "console", Short: "Sign in to the web pages, and others out",
		Long: `The web pages are where the server is: https://HOST/. Who has a token signs in by pasting it there, or by a link.` + connectionHelp,
	})
	r := remoteFlags(p, cmd, demoToken)
	cmd.AddCommand(newConsoleLink(p, r), newConsoleSignOut(p, r))
	return cmd
}

func newConsoleLink(p *program, r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "link", Short: "Print an address that signs you in, once", Args: noArgs,
		Long: `Print an address that signs whoever opens it in to the web pages, once, within half an hour, as the holder of the token. It is a secret: open it yourself.`,
		RunE: r.run(func(ctx context.Context, c *api.Client, _ []string) error {
			link, err := c.CreateSignInLink(ctx)
			if err != nil {
				return err
			}
			if p.json {
				return p.encode(link)
			}
			p.say("%s", link.URL)
			return nil
		}),
	}
}

func newConsoleSignOut(p *program, r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "sign-out WHO", Short: "Sign somebody out, everywhere (operators)", Args: words(1, 1, "say who: the ID of a token, or oidc:SUBJECT, as events tell"),
		Long: `End all sessions of a token, or of somebody whom the identity provider knows (oidc:SUBJECT), and their sign-in links. The token itself stays
good: revoke it to keep its holder out.`,
		Example: "  imca console sign-out oidc:u-4711",
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			ended, err := c.EndSessions(ctx, args[0])
			if err != nil {
				return err
			}
			if p.json {
				return p.encode(ended)
			}
			p.say("%s: %d ended.", args[0], ended.Ended)
			return nil
		}),
	}
}
