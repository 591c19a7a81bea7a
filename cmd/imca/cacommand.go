package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
)

func newCA(p *program) *cobra.Command {
	cmd := commandGroup(&cobra.Command{Use: "ca", Short: "Authorities: list them, fetch their certificates, roll over, rest a key"})
	r := remoteFlags(p, cmd, operatorToken)
	cmd.AddCommand(newCAList(p, r), newCAFetch(p, r), newCAAdd(p), newCAPromote(p), newCARetire(p), newCARest(p), newCAWake(p))
	return cmd
}

func newCAList(p *program, r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the authorities (operators and auditors)", Args: noArgs,
		RunE: r.run(func(ctx context.Context, c *api.Client, _ []string) error {
			authorities, err := c.Authorities(ctx)
			if err != nil {
				return err
			}
			if p.json {
				return p.encode(api.Page[api.Authority]{Items: authorities})
			}
			var rows [][]cell
			for _, a := range authorities {
				state := cell{"ready", good}
				switch {
				case a.RetiredAt != nil:
					state = cell{"retired", warning}
				case !a.NotAfter.After(time.Now()):
					state = cell{"expired", bad}
				case !a.Ready:
					state = cell{"rests", warning}
				case len(a.Profiles) == 0 && len(a.StandsBy) > 0:
					state = cell{"stands by", good}
				}
				rows = append(rows, []cell{
					{a.Name, strong}, state, {strings.Join(a.Profiles, " "), ""}, {orDash(strings.Join(a.StandsBy, " ")), ""}, {orDash(a.Parent), ""}, {a.NotAfter.Local().Format("2006-01-02"), ""}, {a.FingerprintSHA256, ""},
				})
			}
			p.table([]string{"AUTHORITY", "STATE", "ISSUES", "STANDS BY FOR", "PARENT", "UNTIL", "SHA-256 FINGERPRINT"}, rows)
			return nil
		}),
	}
}
