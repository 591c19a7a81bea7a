package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
)

// filterFlags are the flags of 'imca list' that become parameters of the query, by their names there.
var filterFlags = []struct{ flag, parameter, usage string }{
	{"domain", "domain", "with exactly this name"},
	{"suffix", "suffix", "with a name that is this or ends in it: example.com"},
	{"app", "app", "of this app"},
	{"status", "status", "in this state: pending, valid, expired or revoked"},
	{"profile", "profile", "of this profile: server or client"},
	{"authority", "authority", "signed by this authority"},
	{"serial", "serial", "with this serial"},
	{"fingerprint", "fingerprint_sha256", "with this SHA-256 fingerprint"},
	{"key-hash", "spki_sha256", "with the key of this SHA-256 hash (over the SubjectPublicKeyInfo)"},
	{"expires-before", "expires_before", "that end before this time, or in less than so many days: 2026-12-31, 30d"},
	{"expires-after", "expires_after", "that end at this time or later"},
	{"issued-before", "issued_before", "issued before this time"},
	{"issued-after", "issued_after", "issued at this time or later, or less than so many days ago: 7d"},
}

func newList(p *program) *cobra.Command {
	var (
		list   listFlags
		values = make([]string, len(filterFlags))

		toReplace bool
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List and search certificates", Args: noArgs,
		Long:    "List certificates, newest first unless a filter asks for another order. Filters can be combined." + connectionHelp,
		Example: "  imca list --suffix example.com\n  imca list --status valid --expires-before 30d\n  imca list --status pending --token-file imca-data/operator.token\n  imca list --all --json",
	}
	for i, f := range filterFlags {
		cmd.Flags().StringVar(&values[i], f.flag, "", f.usage)
	}
	list.addTo(cmd)
	cmd.Flags().BoolVar(&toReplace, "to-replace", false, "those that an operator wants replaced, the most urgent first ('imca replace'); of the filters, with --app alone")
	oneOf(cmd, "status", ca.Statuses())
	oneOf(cmd, "profile", []string{issuer.ServerProfile, issuer.ClientProfile})
	r := remoteFlags(p, cmd, demoToken)
	cmd.RunE = r.run(func(ctx context.Context, c *api.Client, _ []string) error {
		filter := list.filter()
		for i, f := range filterFlags {
			filter[f.parameter] = values[i]
			if strings.HasPrefix(f.flag, "expires-") || strings.HasPrefix(f.flag, "issued-") {
				filter[f.parameter] = moment(values[i], strings.HasPrefix(f.flag, "issued-"), time.Now())
			}
		}
		if toReplace {
			return listPages(p, list.all, filter, func(f api.Filter) (*api.Page[api.Replacement], error) { return c.Replacements(ctx, f) }, replacementTable)
		}
		return listPages(p, list.all, filter, func(f api.Filter) (*api.Page[api.CertificateSummary], error) { return c.Certificates(ctx, f) }, certificateTable)
	})
	return cmd
}

// moment reads "30d" as a time so many days from now, or before it; everything else is the server's to read.
func moment(text string, past bool, now time.Time) string {
	days, err := strconv.Atoi(strings.TrimSuffix(text, "d"))
	if err != nil || !strings.HasSuffix(text, "d") {
		return text
	}
	if past {
		days = -days
	}
	return now.AddDate(0, 0, days).UTC().Format(time.RFC3339)
}

// listPages prints a page of a list, or all of them.
func listPages[T any](p *program, all bool, f api.Filter, read func(api.Filter) (*api.Page[T], error), show func(*program, []T)) error {
	whole := api.Page[T]{Items: []T{}}
	for {
		page, err := read(f)
		if err != nil {
			return err
		}
		whole.Items, whole.Next = append(whole.Items, page.Items...), page.Next
		if !all || page.Next == "" {
			break
		}
		f["cursor"] = page.Next
		p.progress(fmt.Sprintf("%d …", len(whole.Items)))
	}
	p.progress("")
	if p.json {
		return p.encode(whole)
	}
	if len(whole.Items) == 0 {
		p.note("Nothing found.")
		return nil
	}
	show(p, whole.Items)
	if whole.Next != "" {
		p.note("%s", p.paint(quiet, "There are more: --all, or --cursor "+whole.Next))
	}
	return nil
}

func certificateTable(p *program, list []api.CertificateSummary) {
	var rows [][]cell
	for _, c := range list {
		names := c.Domains[0]
		if more := len(c.Domains) - 1; more > 0 {
			names += fmt.Sprintf(" (+%d)", more)
		}
		rows = append(rows, []cell{
			{c.Serial, ""}, {c.Status, statusColour(c.Status)}, {c.Profile, ""}, {orDash(c.App), ""}, {c.NotAfter.Local().Format("2006-01-02 15:04"), ""}, {names, strong},
		})
	}
	p.table([]string{"SERIAL", "STATUS", "PROFILE", "APP", "UNTIL", "NAMES"}, rows)
}

func statusColour(status string) string {
	switch ca.Status(status) {
	case ca.StatusValid:
		return good
	case ca.StatusPending:
		return warning
	case ca.StatusRevoked:
		return bad
	}
	return quiet
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

func newShow(p *program) *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use: "show SERIAL", Short: "Show a certificate", Args: words(1, 1, "say which certificate"),
		Long:    "Show what is recorded of a certificate, or print it as PEM, chain (PEM, with its issuers) or DER." + connectionHelp,
		Example: "  imca show 5b1c…\n  imca show 5b1c… --format chain > www.example.com.crt",
	}
	formats := map[string]string{"pem": api.PEM, "chain": api.Chain, "der": api.DER}
	cmd.Flags().StringVar(&form, "format", "", "pem, chain or der, instead of a description")
	oneOf(cmd, "format", []string{"pem", "chain", "der"})
	r := remoteFlags(p, cmd, demoToken)
	cmd.RunE = r.run(func(ctx context.Context, c *api.Client, args []string) error {
		if form != "" {
			mediaType, known := formats[form]
			if !known {
				return usageError{fmt.Errorf("--format %s: use pem, chain or der", form)}
			}
			content, err := c.CertificateAs(ctx, args[0], mediaType)
			if err == nil {
				_, err = p.out.Write(content)
			}
			return err
		}
		cert, err := c.Certificate(ctx, args[0])
		if err != nil {
			return err
		}
		return showCertificate(p, cert)
	})
	return cmd
}

func showCertificate(p *program, c *api.Certificate) error {
	if p.json {
		return p.encode(c)
	}
	const layout = "2006-01-02 15:04:05 MST"
	revoked := ""
	if c.RevokedAt != nil {
		revoked = c.RevokedAt.Local().Format(layout) + ", " + c.RevocationReason
	}
	p.fields(
		[2]string{"Serial", c.Serial},
		[2]string{"Status", p.paint(statusColour(c.Status), c.Status)},
		[2]string{"Names", strings.Join(c.Domains, ", ")},
		[2]string{"Profile", c.Profile},
		[2]string{"App", c.App},
		[2]string{"Valid", c.NotBefore.Local().Format(layout) + " to " + c.NotAfter.Local().Format(layout)},
		[2]string{"Revoked", revoked},
		[2]string{"Key", c.KeyType},
		[2]string{"SHA-256", c.FingerprintSHA256},
		[2]string{"Issuer", c.Issuer},
		[2]string{"Replaces", c.Replaces},
		[2]string{"Requested", c.CreatedAt.Local().Format(layout) + " by " + c.RequestedBy},
	)
	return nil
}
