package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/acmelines"
)

func newAppEAB(p *program, r *remote) *cobra.Command {
	var (
		name, client string
		days         int
		domains      []string
	)
	cmd := &cobra.Command{
		Use: "eab ID", Short: "Make a credential for the app's ACME clients", Args: words(1, 1, "say which app"),
		Long: `Make a credential with which ACME clients register for an app (external account binding), and print the lines for one of them, to
paste into a shell of root where the certificate is to be. It is shown this once. It is listed and revoked like a token of the app
('imca token list --app ID'); revoked, it ends the accounts that were registered with it.` + connectionHelp,
		Example: "  imca app eab shop --name 'web servers' --for apache --domain www.example.com",
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			if client != "" && !slices.Contains(acmelines.Clients(), client) {
				return usageError{fmt.Errorf("--for %s: use one of %s", client, acmeClientNames())}
			}
			if name == "" {
				return usageError{errors.New("say whose credential it is: --name NAME")}
			}
			req := api.EABRequest{Name: name, Domains: domains}
			if days != 0 {
				req.ExpiresInDays = &days
			}
			credential, err := c.CreateEAB(ctx, args[0], req)
			if err != nil {
				return err
			}
			if p.json {
				return p.encode(credential)
			}
			p.note("The credential %s of the app %s, shown this once:", credential.KeyID, credential.App)
			if client == "" {
				p.say("%s", plainCredential(credential))
				return nil
			}
			p.say("%s", strings.TrimSuffix(credential.Lines[client], "\n"))
			return nil
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "whose it is, for people and for the audit log")
	flags.StringVar(&client, "for", "", "print what to paste for: "+acmeClientNames())
	flags.IntVar(&days, "days", 0, "how long accounts can be registered with it (default: until it is revoked)")
	flags.StringArrayVar(&domains, "domain", nil, "the name for which to print it (default: www.example.com); several times for several")
	oneOf(cmd, "for", acmelines.Clients())
	return cmd
}

func acmeClientNames() string { return strings.Join(acmelines.Clients(), ", ") }

func plainCredential(c *api.EAB) string {
	return fmt.Sprintf("Directory  %s\nKey ID     %s\nMAC key    %s", c.Directory, c.KeyID, c.HMACKey)
}
