package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
)

func newAppEAB(p *program, r *remote) *cobra.Command {
	var (
		name, client string
		days         int
	)
	cmd := &cobra.Command{
		Use: "eab ID", Short: "Make a credential for the app's ACME clients", Args: words(1, 1, "say which app"),
		Long: `Make a credential with which ACME clients register for an app (external account binding), and print the lines to paste for one of
them. It is shown this once. It is listed and revoked like a token of the app ('imca token list --app ID'); revoked, it ends the accounts
that were registered with it.` + connectionHelp,
		Example: "  imca app eab shop --name 'web servers' --for certbot",
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			show, known := acmeClients()[client]
			if client != "" && !known {
				return usageError{fmt.Errorf("--for %s: use one of %s", client, acmeClientNames())}
			}
			if name == "" {
				return usageError{errors.New("say whose credential it is: --name NAME")}
			}
			req := api.EABRequest{Name: name}
			if days != 0 {
				req.ExpiresInDays = &days
			}
			credential, err := c.CreateEAB(ctx, args[0], req)
			if err != nil {
				return err
			}
			credential.Directory = strings.TrimRight(c.URL, "/") + "/acme/directory"
			if p.json {
				return p.encode(credential)
			}
			p.note("The credential %s of the app %s, shown this once:", credential.KeyID, credential.App)
			if !known {
				show = plainCredential
			}
			root, err := filepath.Abs(r.ca)
			if r.ca == "" || err != nil {
				root = "/etc/ssl/certs/ca-certificates.crt" // the machine's own trust is what this command went by
			}
			p.say("%s", show(credential, quoted(root)))
			return nil
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "whose it is, for people and for the audit log")
	flags.StringVar(&client, "for", "", "print what to paste for: "+acmeClientNames())
	flags.IntVar(&days, "days", 0, "how long accounts can be registered with it (default: until it is revoked)")
	oneOf(cmd, "for", slices.Sorted(maps.Keys(acmeClients())))
	return cmd
}

// acmeClients print what to paste for a client, given a credential and the file of the root by which the client knows the server.
func acmeClients() map[string]func(c *api.EAB, root string) string {
	return map[string]func(c *api.EAB, root string) string{"certbot": forCertbot, "dehydrated": forDehydrated}
}

func acmeClientNames() string {
	return strings.Join(slices.Sorted(maps.Keys(acmeClients())), ", ")
}

func plainCredential(c *api.EAB, root string) string {
	return fmt.Sprintf("Directory  %s\nKey ID     %s\nMAC key    %s\nCA file    %s", c.Directory, c.KeyID, c.HMACKey, root)
}

func forCertbot(c *api.EAB, root string) string {
	return fmt.Sprintf(`export REQUESTS_CA_BUNDLE=%s
certbot register --non-interactive --agree-tos --register-unsafely-without-email --server %s --eab-kid %s --eab-hmac-key %s
certbot certonly --server %s --webroot --webroot-path /var/www/html --domain www.example.com`, root, c.Directory, c.KeyID, c.HMACKey, c.Directory)
}

func forDehydrated(c *api.EAB, root string) string {
	return fmt.Sprintf(`cat >> /etc/dehydrated/config <<'END'
CA=%s
EAB_KID=%s
EAB_HMAC_KEY=%s
CURL_OPTS="--cacert %s"
END
dehydrated --register --accept-terms
echo www.example.com >> /etc/dehydrated/domains.txt
dehydrated --cron`, c.Directory, c.KeyID, c.HMACKey, root)
}
