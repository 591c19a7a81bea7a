package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// The groups of commands in 'imca help'.
const (
	groupServer       = "server"
	groupOperators    = "operators"
	groupCertificates = "certificates"
)

// newRoot returns the command imca with all its commands.
func newRoot(p *program) *cobra.Command {
	root := commandGroup(&cobra.Command{
		Use:   "imca",
		Short: "The certificate authority of an instant-messaging platform",
		Long: `imca is the certificate authority of an instant-messaging platform. It issues certificates to the servers of third-party
developers, which the platform calls back, and to the platform, which those servers admit.

Start with 'imca dev': it runs everything on this machine. In production it is 'imca init' and 'imca serve'.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	})
	root.SuggestionsMinimumDistance = 2
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w: see '%s --help'", err, cmd.CommandPath())}
	})
	root.PersistentFlags().BoolVar(&p.json, "json", false, "print the answer as JSON")
	root.AddGroup(
		&cobra.Group{ID: groupCertificates, Title: "Certificates:"},
		&cobra.Group{ID: groupOperators, Title: "For operators:"},
		&cobra.Group{ID: groupServer, Title: "The server:"},
	)
	root.AddCommand(inGroup(groupCertificates, newIssue(p), newList(p), newShow(p), newRenew(p), newRevoke(p), newDomain(p), newCheck(p), newInspect(p), newEndpoint(p), newWebhook(p), newConsole(p))...)
	root.AddCommand(inGroup(groupServer, newDev(p), newInit(p), newServe(p), newMigrate(p), newDoctor(p), newHealth(p))...)
	root.AddCommand(inGroup(groupOperators, newApp(p), newToken(p), newCA(p), newCRL(p), newClient(p), newRelease(p), newReplace(p))...)
	root.AddCommand(newVersion(p), newExitCodes())
	return root
}

// inGroup puts a command into a group of 'imca help'.
func inGroup(id string, commands ...*cobra.Command) []*cobra.Command {
	for _, c := range commands {
		c.GroupID = id
	}
	return commands
}

// commandGroup makes a command of its subcommands: alone it shows its help.
func commandGroup(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		mend := fmt.Sprintf("see '%s --help'", cmd.CommandPath())
		if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
			mend = fmt.Sprintf("did you mean '%s %s'?", cmd.CommandPath(), similar[0])
		}
		return usageError{fmt.Errorf("there is no command '%s %s': %s", cmd.CommandPath(), args[0], mend)}
	}
	return cmd
}

// noArgs is for commands that take flags only.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError{fmt.Errorf("%q is one word too many: see '%s --help'", args[0], cmd.CommandPath())}
}

// words is for commands that take so many arguments.
func words(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		return usageError{fmt.Errorf("%s: write '%s'", what, cmd.UseLine())}
	}
}

// oneOf completes a flag with fixed values.
func oneOf[T ~string](cmd *cobra.Command, flag string, values []T) {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(texts, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic("the flag is defined two lines above: " + err.Error())
	}
}
