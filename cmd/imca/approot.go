package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
)

func newAppRoot(p *program, r *remote) *cobra.Command {
	cmd := commandGroup(&cobra.Command{
		Use: "root", Short: "CAs under which an app's own servers stand",
		Long: `Checks ('imca check') accept server certificates under public CAs and under this one. An app whose servers have theirs from elsewhere, such as a
company's own CA, needs that CA to be known. Whoever calls the endpoints has to know it too.`,
	})
	cmd.AddCommand(
		&cobra.Command{
			Use: "add APP FILE", Short: "Add a CA certificate", Args: words(2, 2, "say which app, and the file with the CA certificate"),
			RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
				text, err := os.ReadFile(args[1])
				if err != nil {
					return usageError{fmt.Errorf("reading the CA certificate: %w", err)}
				}
				root, err := c.AddAppRoot(ctx, args[0], api.AppRootRequest{Certificate: string(text)})
				if err != nil {
					return err
				}
				return showAppRoots(p, root, *root)
			}),
		},
		&cobra.Command{
			Use: "list APP", Short: "List the CA certificates", Args: words(1, 1, "say which app"),
			RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
				page, err := c.AppRoots(ctx, args[0])
				if err != nil {
					return err
				}
				return showAppRoots(p, page, page.Items...)
			}),
		},
		&cobra.Command{
			Use: "remove APP FINGERPRINT", Short: "Remove a CA certificate", Args: words(2, 2, "say which app, and the fingerprint that 'imca app root list' shows"),
			RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
				return c.RemoveAppRoot(ctx, args[0], args[1])
			}),
		},
	)
	return cmd
}

// showAppRoots prints roots; as JSON, what the server answered.
func showAppRoots(p *program, answer any, roots ...api.AppRoot) error {
	if p.json {
		return p.encode(answer)
	}
	var rows [][]cell
	for _, root := range roots {
		rows = append(rows, []cell{{text: root.Subject}, {text: root.NotAfter.Format("2006-01-02")}, {text: root.FingerprintSHA256}})
	}
	if len(rows) == 0 {
		p.note("Only public CAs count, and this one.")
		return nil
	}
	p.table([]string{"SUBJECT", "UNTIL", "FINGERPRINT"}, rows)
	return nil
}
