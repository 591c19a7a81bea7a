package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
)

func newEndpoint(p *program) *cobra.Command {
	cmd := commandGroup(&cobra.Command{
		Use: "endpoint", Short: "Endpoints that are checked regularly",
		Long: `An endpoint that is registered is checked at once, every day, 15 minutes after each issuance for its name, and two hours before its certificate
ends. What begins to be wrong, and when all is well again, is an event, and goes to the app's webhooks.` + connectionHelp,
	})
	r := remoteFlags(p, cmd, demoToken)
	cmd.AddCommand(newEndpointAdd(p, r), newEndpointList(p, r), newEndpointRemove(p, r))
	return cmd
}

func newEndpointAdd(p *program, r *remote) *cobra.Command {
	var req api.EndpointRequest
	cmd := &cobra.Command{
		Use: "add URL", Short: "Have an endpoint checked from now on", Args: words(1, 1, "say which URL"),
		Example: "  imca endpoint add https://www.example.com/callback",
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			req.URL = args[0]
			e, err := c.AddEndpoint(ctx, req)
			if err != nil {
				return err
			}
			if p.json {
				return p.encode(e)
			}
			p.say("%s is checked from now on, as %s: 'imca endpoint list' tells how it stands.", e.URL, e.ID)
			return nil
		}),
	}
	cmd.Flags().StringVar(&req.App, "app", "", "whose endpoint (operators; a developer's token says it)")
	cmd.Flags().BoolVar(&req.Callback, "callback", false, "post a harmless callback, too")
	return cmd
}

func newEndpointList(p *program, r *remote) *cobra.Command {
	var app string
	cmd := &cobra.Command{
		Use: "list", Short: "List the endpoints, and what is wrong with them", Args: noArgs,
		RunE: r.run(func(ctx context.Context, c *api.Client, _ []string) error {
			all := &api.Page[api.Endpoint]{Items: []api.Endpoint{}}
			for filter := (api.Filter{"app": app}); ; {
				page, err := c.Endpoints(ctx, filter)
				if err != nil {
					return err
				}
				all.Items = append(all.Items, page.Items...)
				if filter["cursor"] = page.Next; page.Next == "" {
					break
				}
			}
			if p.json {
				return p.encode(all)
			}
			return listEndpoints(p, all.Items)
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "those of this app")
	return cmd
}

func listEndpoints(p *program, endpoints []api.Endpoint) error {
	if len(endpoints) == 0 {
		p.note("No endpoint is checked regularly: 'imca endpoint add https://…' registers one.")
		return nil
	}
	var rows [][]cell
	for _, e := range endpoints {
		checked, state := cell{text: "not yet"}, cell{text: "-"}
		if e.CheckedAt != nil {
			checked.text = e.CheckedAt.Local().Format("2006-01-02 15:04")
			state = cell{e.Summary, summaryColour(e.Summary)}
		}
		rows = append(rows, []cell{{text: e.URL}, state, {strings.Join(e.Alerts, " "), bad}, {strings.Join(e.NotReadyFor, " "), warning}, checked, {text: e.Check}, {text: e.ID}})
	}
	p.table([]string{"ENDPOINT", "SUMMARY", "ALERTS", "NOT READY FOR", "CHECKED", "CHECK", "ID"}, rows)
	return nil
}

func newEndpointRemove(p *program, r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "remove ID|URL", Short: "End the regular checks of an endpoint", Args: words(1, 1, "say which endpoint"),
		RunE: r.run(func(ctx context.Context, c *api.Client, args []string) error {
			id := args[0]
			if !strings.HasPrefix(id, "end_") {
				var err error
				if id, err = endpointAt(ctx, c, args[0]); err != nil {
					return err
				}
			}
			if err := c.RemoveEndpoint(ctx, id); err != nil {
				return err
			}
			if !p.json {
				p.say("%s is not checked regularly any more.", args[0])
			}
			return nil
		}),
	}
}

// endpointAt is the ID of the endpoint with a URL.
func endpointAt(ctx context.Context, c *api.Client, url string) (string, error) {
	for filter := (api.Filter{}); ; {
		page, err := c.Endpoints(ctx, filter)
		if err != nil {
			return "", err
		}
		for _, e := range page.Items {
			if e.URL == url {
				return e.ID, nil
			}
		}
		if filter["cursor"] = page.Next; page.Next == "" {
			return "", codedError{exitRefused, errors.New("there is no endpoint with this URL: 'imca endpoint list' shows them as they are written")}
		}
	}
}
