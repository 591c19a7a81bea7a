package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/keep"
	"github.com/imca-project/imca/internal/pki"
)

func newClient(p *program) *cobra.Command {
	cmd := commandGroup(&cobra.Command{Use: "client", Short: "The platform's client certificate"})
	cmd.AddCommand(newClientKeep(p))
	return cmd
}

func newClientKeep(p *program) *cobra.Command {
	var (
		o                  keepOptions
		name, out, keyType string
		days               int
	)
	cmd := &cobra.Command{
		Use: "keep", Short: "Keep the platform's client certificate fresh (operators)", Args: noArgs,
		Long: `Keep the certificate with which the platform calls the developers' servers: it is renewed when two thirds of its life are over, or when
it was revoked, with a new key that is made here and never leaves this machine. The folder has NAME.crt (with its chain) and NAME.key.
Both are links through the link "current", so they change together: a program that opens them one after the other reads the folder
that "current" names. While the server is away, the certificate in place serves on.` + keepHelp + connectionHelp,
		Example: "  imca client keep --name callback.platform.internal --out /etc/callback/tls --reload 'systemctl reload callback'",
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", config.Default().ClientName, "the name in the certificate, by which developers' servers know the platform")
	flags.StringVar(&out, "out", "", "the folder to keep")
	flags.StringVar(&keyType, "key-type", string(pki.ECDSAP256), "the type of the key")
	flags.IntVar(&days, "days", 0, "how long a certificate shall last (default: the profile's, 7)")
	o.addTo(cmd, 10*time.Minute)
	oneOf(cmd, "key-type", pki.KeyTypes())
	r := remoteFlags(p, cmd, operatorToken)
	cmd.RunE = r.run(func(ctx context.Context, c *api.Client, _ []string) error {
		if out == "" {
			return usageError{errors.New("say which folder to keep: --out DIR")}
		}
		parsed, err := pki.ParseName(name)
		if err != nil {
			return usageError{err}
		}
		kind, err := pki.ParseKeyType(keyType)
		if err != nil {
			return usageError{err}
		}
		if err := os.MkdirAll(out, 0o755); err != nil {
			return fmt.Errorf("making the folder: %w", err)
		}
		request := api.IssueRequest{Domains: []string{parsed.String()}, Profile: issuer.ClientProfile}
		if days != 0 {
			request.ValidityDays = &days
		}
		pair := &keep.Pair{
			Folder: out, Name: parsed, KeyType: kind, Reload: command(o.reload),
			Issue: func(ctx context.Context, csr []byte) ([]byte, error) {
				req := request
				req.CSR = string(csr)
				cert, err := c.Issue(ctx, req)
				if err != nil {
					return nil, r.explain(err)
				}
				return []byte(cert.Certificate + cert.Chain), nil
			},
			Revoked: func(ctx context.Context, serial pki.Serial) (bool, error) {
				cert, err := c.Certificate(ctx, serial.String())
				if err != nil {
					return false, r.explain(err)
				}
				return cert.Status == string(ca.StatusRevoked), nil
			},
		}
		return o.run(ctx, p, func(ctx context.Context) keptState {
			report, err := pair.Refresh(ctx)
			state := keptState{faults: report.Faults, alarm: report.Alarm, failed: err}
			if report.Changed {
				state.changed = fmt.Sprintf("%s has a new certificate for %s, good until %s; the next one comes about %s.", out, parsed,
					report.NotAfter.Local().Format("2006-01-02 15:04"), report.RenewAt.Local().Format("2006-01-02 15:04"))
			}
			return state
		})
	})
	return cmd
}
