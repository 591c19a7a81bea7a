package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/internal/config"
)

func newHealth(p *program) *cobra.Command {
	var path, address string
	cmd := &cobra.Command{
		Use: "health", Short: "Ask whether the server on this machine is ready", Args: noArgs,
		Long: `Ask /readyz of the server on this machine: the one of a configuration, or of an address. It ends with code 0 when the server is
ready, that is its database answers and its CA is loaded, and with 5 when it is not. For health checks of containers.`,
		Example: "  imca health --config /etc/imca/imca.yaml\n  imca health --url http://127.0.0.1:8080",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if address == "" {
				var err error
				if address, err = plainListener(path); err != nil {
					return err
				}
			}
			return askReady(cmd.Context(), p, strings.TrimSuffix(address, "/"))
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().StringVar(&address, "url", "", "the plain listener, http://HOST:PORT, instead of the configuration's")
	return cmd
}

// plainListener is where a configured server answers by plain HTTP on this machine.
func plainListener(path string) (string, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return "", usageError{err}
	}
	for _, address := range []string{cfg.Listen.Ops, cfg.Listen.HTTP} {
		if address == config.Off {
			continue
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return "", usageError{err}
		}
		if host == "" || host == "0.0.0.0" || host == "::" {
			host = "127.0.0.1"
		}
		return "http://" + net.JoinHostPort(host, port), nil
	}
	return "", usageError{errors.New("listen.http and listen.ops are both off: turn one of them on for health checks")}
}

func askReady(ctx context.Context, p *program, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/readyz", nil)
	if err != nil {
		return usageError{err}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return codedError{exitUnreachable, fmt.Errorf("the server is not reached: %w", err)}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return codedError{exitUnreachable, fmt.Errorf("reading the server's answer: %w", err)}
	}
	if response.StatusCode != http.StatusOK {
		var problem struct{ Detail string }
		if json.Unmarshal(body, &problem) != nil || problem.Detail == "" {
			problem.Detail = "is " + address + " an imca server?"
		}
		return codedError{exitUnreachable, fmt.Errorf("the server is not ready (%s): %s", response.Status, problem.Detail)}
	}
	if p.json {
		return p.encode(map[string]bool{"ready": true})
	}
	p.say("ready")
	return nil
}
