package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/doorcheck"
)

// checkOptions are the flags of 'imca check'.
type checkOptions struct {
	app, address            string
	callback, list, verbose bool

	// Of a check from this machine.
	local              bool
	data, cert, key    string
	clientCA, serverCA string
	resolver           string
	allow              []string
}

// checkLocalFlags are those that only a check from this machine has.
func checkLocalFlags() []string {
	return []string{"local", "data", "cert", "client-ca", "server-ca", "resolver", "allow-egress"}
}

func newCheck(p *program) *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use: "check [URL]", Short: "Test a server from outside: who gets in, and why", Args: words(0, 1, "one URL is checked"),
		Long: `Test a developer's server from outside: does it let the platform in, and does it keep everybody else out? Each handshake varies one
thing: the client certificate, the TLS version, the name. What is wrong is told with the lines that mend it. The server's own certificate may be of
this CA or of a public one.

The server of the CA does it, as it alone can make all the certificates that it takes: one of the platform that lives for minutes, another
developer's, one that has ended, one that is revoked. It keeps the history, and tells what has changed since the check before. With --local, or one of
the flags that go with it, the check is made from this machine, with the platform's certificate of --cert and --key, or of the data folder of an
'imca dev'; what it has no certificate for is not told.

It ends with 0 (healthy), 10 (the platform is locked out), 11 (strangers get in), 12 (no two-way TLS there), 13 (it could not be
told), 14 (something else is wrong), and with the usual codes where nothing was checked.` + connectionHelp,
		Example: `  imca check https://www.example.com/callback
  imca check https://www.example.com/ --address 192.0.2.7        # a server before its name leads there
  imca check --list https://www.example.com/callback             # what was seen when
  imca check chk_019e0f8c2a7b7c00a1b2c3d4e5f60718                # a check from the list
  imca check https://www.example.com/ --local --cert platform.crt --key platform.key --client-ca TencentQQAuthCA.crt`,
	}
	r := remoteFlags(p, cmd, demoToken)
	flags := cmd.Flags()
	flags.StringVar(&o.app, "app", "", "whose history it stands in (operators; a developer's token says it)")
	flags.StringVar(&o.address, "address", "", "the address to check, instead of those that the name has")
	flags.BoolVar(&o.callback, "callback", false, "post a harmless callback, too")
	flags.BoolVar(&o.list, "list", false, "list earlier checks, of the URL if there is one")
	flags.BoolVar(&o.verbose, "verbose", false, "tell of every probe")
	flags.BoolVar(&o.local, "local", false, "check from this machine, without the server of the CA")
	flags.StringVar(&o.data, "data", defaultData, "local: the data folder of 'imca dev', for what is not given")
	flags.StringVar(&o.cert, "cert", "", "local: the file with the platform's client certificate")
	flags.StringVar(&o.key, "key", "", "local: the file with its key")
	flags.StringVar(&o.clientCA, "client-ca", "", "local: the file with the CA that the server is to admit callers by")
	flags.StringVar(&o.serverCA, "server-ca", "", "local: the file with the CA of the server's certificate, beside the public ones")
	flags.StringVar(&o.resolver, "resolver", "", "local: the DNS server to ask, ADDRESS:PORT (default: the system's)")
	flags.StringSliceVar(&o.allow, "allow-egress", nil, "local: ranges that may be called although they are not public, such as 10.0.0.0/8")
	cmd.MarkFlagsRequiredTogether("cert", "key")
	for _, flag := range checkLocalFlags() {
		cmd.MarkFlagsMutuallyExclusive(flag, "list")
		cmd.MarkFlagsMutuallyExclusive(flag, "app")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return runCheck(cmd, p, r, o, args) }
	return cmd
}

func runCheck(cmd *cobra.Command, p *program, r *remote, o checkOptions, args []string) error {
	if len(args) == 0 && !o.list {
		return usageError{errors.New("say which URL to check: imca check https://www.example.com/callback")}
	}
	for _, flag := range checkLocalFlags() {
		if cmd.Flags().Changed(flag) {
			return checkLocally(cmd.Context(), p, o, args[0])
		}
	}
	return r.run(func(ctx context.Context, c *api.Client, args []string) error {
		switch {
		case o.list && len(args) == 0:
			return listChecks(ctx, p, c, api.Filter{"app": o.app})
		case o.list:
			return listChecks(ctx, p, c, api.Filter{"app": o.app, "endpoint": args[0]})
		case strings.HasPrefix(args[0], "chk_"):
			k, err := c.Check(ctx, args[0])
			if err != nil {
				return err
			}
			return showCheck(p, k, o.verbose)
		}
		return checkRemotely(ctx, p, c, o, args[0])
	})(cmd, args)
}

// checkRemotely has the server of the CA test an endpoint, and waits for it.
func checkRemotely(ctx context.Context, p *program, c *api.Client, o checkOptions, url string) error {
	const pause = time.Second
	p.progress("Checking " + url + " …")
	k, err := c.RunCheck(ctx, api.CheckRequest{App: o.app, URL: url, Address: o.address, Callback: o.callback})
	for err == nil && k.State == string(ca.CheckRunning) {
		select {
		case <-time.After(pause):
			k, err = c.Check(ctx, k.ID)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	p.progress("")
	if err != nil {
		return err
	}
	return showCheck(p, k, o.verbose)
}

// showCheck prints a check, and ends as its report says.
func showCheck(p *program, k *api.Check, verbose bool) error {
	if p.json {
		if err := p.encode(k); err != nil {
			return err
		}
	}
	switch ca.CheckState(k.State) {
	case ca.CheckFailed:
		return errors.New(k.Failure)
	case ca.CheckRunning:
		return fmt.Errorf("the check is still running: 'imca check %s' tells when it has ended", k.ID)
	}
	var report doorcheck.Report
	if err := json.Unmarshal(k.Report, &report); err != nil {
		return fmt.Errorf("reading the report of %s: %w", k.ID, err)
	}
	if !p.json {
		fmt.Fprint(p.out, doorcheck.Render(&report, doorcheck.Style{Color: p.colour, Verbose: verbose}))
		showChanges(p, k)
	}
	return judged(&report)
}

func showChanges(p *program, k *api.Check) {
	switch {
	case len(k.Changes) > 0:
		p.say("\nSince %s:", k.Since)
		for _, change := range k.Changes {
			mark := p.paint(good, "  + ")
			if change.Worse {
				mark = p.paint(bad, "  - ")
			}
			p.say("%s%s", mark, change.Text)
		}
	case k.Since != "":
		p.say("\nNothing has changed since %s.", k.Since)
	}
	p.say("\n%s", p.paint(quiet, "This is "+k.ID+": 'imca check "+k.ID+"' shows it again."))
}

func listChecks(ctx context.Context, p *program, c *api.Client, filter api.Filter) error {
	page, err := c.Checks(ctx, filter)
	if err != nil {
		return err
	}
	if p.json {
		return p.encode(page)
	}
	var rows [][]cell
	for _, k := range page.Items {
		summary := cell{text: k.State}
		if k.Summary != "" {
			summary = cell{k.Summary, summaryColour(k.Summary)}
		}
		rows = append(rows, []cell{{text: k.CreatedAt.Local().Format("2006-01-02 15:04")}, summary, {text: k.URL}, {text: k.Cause}, {text: k.ID}})
	}
	if len(rows) == 0 {
		p.note("No checks yet: 'imca check https://…' makes one.")
		return nil
	}
	p.table([]string{"AT", "SUMMARY", "ENDPOINT", "CAUSE", "ID"}, rows)
	if page.Next != "" {
		p.note("There are more: narrow the list to an endpoint, or page through GET /v1/checks.")
	}
	return nil
}

func summaryColour(summary string) string {
	switch doorcheck.Summary(summary) {
	case doorcheck.Healthy:
		return good
	case doorcheck.Undecided:
		return warning
	}
	return bad
}
