package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// remote is the server that a command asks: from flags, the environment, or the data folder of an 'imca dev' in the current folder.
type remote struct {
	url, token, tokenFile, ca string

	defaultToken string // the file in the data folder
	data         string
	p            *program
}

const connectionHelp = `

The server, the token and the CA by which the server is known come from flags, or from IMCA_URL, IMCA_TOKEN and IMCA_CA. Where
none of them is set and 'imca dev' runs in the current folder, it is asked, with a token from its data folder.`

// remoteFlags adds the flags of a connection to a command, its subcommands included. defaultToken is the token that is taken from the data folder.
func remoteFlags(p *program, cmd *cobra.Command, defaultToken string) *remote {
	r := &remote{p: p, defaultToken: defaultToken, data: defaultData}
	flags := cmd.PersistentFlags()
	flags.StringVar(&r.url, "url", "", "the server, https://HOST:PORT (IMCA_URL)")
	flags.StringVar(&r.token, "token", "", "the token (IMCA_TOKEN; better than here, where other users of the machine see it)")
	flags.StringVar(&r.tokenFile, "token-file", "", "the file with the token")
	flags.StringVar(&r.ca, "ca", "", "the file with the CA certificate by which the server is known (IMCA_CA; default: the system's)")
	cmd.MarkFlagsMutuallyExclusive("token", "token-file")
	for flag, complete := range map[string]string{"token-file": "token", "ca": "crt"} {
		if err := cmd.MarkPersistentFlagFilename(flag, complete); err != nil {
			panic("the flag is defined above: " + err.Error())
		}
	}
	return r
}

// resolve settles where to connect to. Without a setting the data folder counts.
func (r *remote) resolve() error {
	for _, s := range []struct {
		setting  *string
		variable string
	}{{&r.url, "IMCA_URL"}, {&r.ca, "IMCA_CA"}} {
		if *s.setting == "" {
			*s.setting = os.Getenv(s.variable)
		}
	}
	if r.token == "" && r.tokenFile == "" {
		r.token = os.Getenv("IMCA_TOKEN")
	}
	if r.url == "" {
		if err := r.fromData(); err != nil {
			return err
		}
	}
	if r.tokenFile != "" {
		text, err := os.ReadFile(r.tokenFile)
		if err != nil {
			return usageError{fmt.Errorf("reading the token: %w", err)}
		}
		r.token = strings.TrimSpace(string(text))
	}
	u, err := url.Parse(r.url)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return usageError{fmt.Errorf("%q is no address of a server: write https://HOST:PORT", r.url)}
	}
	return nil
}

// fromData takes what is missing from the data folder.
func (r *remote) fromData() error {
	d := dataFolder(r.data)
	state, err := d.state()
	if err != nil {
		return usageError{fmt.Errorf("which server? Give --url (or IMCA_URL), or start one here with 'imca dev'")}
	}
	r.url = state.URL
	if r.ca == "" {
		r.ca = d.path(state.CA)
	}
	with := ""
	if r.token == "" && r.tokenFile == "" && r.defaultToken != "" {
		r.tokenFile = d.path(r.defaultToken)
		with = " with " + r.tokenFile
	}
	if r.p.watched {
		r.p.note("%s", r.p.paint(quiet, "Asking "+r.url+with+"."))
	}
	return nil
}

// run makes a command of what it does with a client.
func (r *remote) run(do func(ctx context.Context, c *api.Client, args []string) error) func(*cobra.Command, []string) error {
	return r.runAs(true, do)
}

// runAs is run; without a token where none is needed.
func (r *remote) runAs(somebody bool, do func(ctx context.Context, c *api.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := r.resolve(); err != nil {
			return err
		}
		if strings.HasPrefix(r.url, "http:") {
			return usageError{fmt.Errorf("%s: the token would go over the network in clear: use the https:// address of the server", r.url)}
		}
		if !somebody {
			r.token = ""
		} else if r.token == "" {
			return codedError{exitToken, errors.New("this needs a token: give --token-file, or IMCA_TOKEN; an operator makes one with 'imca token create'")}
		}
		transport, err := r.transport()
		if err != nil {
			return err
		}
		return r.explain(do(cmd.Context(), &api.Client{URL: r.url, Token: r.token, HTTP: transport}, args))
	}
}

// transport is an HTTP client that knows the server by the CA.
func (r *remote) transport() (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if r.ca != "" {
		text, err := os.ReadFile(r.ca)
		if err != nil {
			return nil, usageError{fmt.Errorf("reading the CA certificate: %w", err)}
		}
		certificates, err := pki.ParseCertificates(text)
		if err != nil {
			return nil, usageError{fmt.Errorf("reading the CA certificate %s: %w", r.ca, err)}
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		for _, c := range certificates {
			transport.TLSClientConfig.RootCAs.AddCert(c)
		}
	}
	return &http.Client{Transport: transport, Timeout: 2 * time.Minute}, nil
}

// explain gives an error of the client its exit code and, where the server was not reached, the mend.
func (r *remote) explain(err error) error {
	var problem *api.Problem
	if errors.As(err, &problem) {
		return refusal(problem)
	}
	mend := mendConnection(err)
	if mend == "" {
		return err
	}
	return codedError{exitUnreachable, fmt.Errorf("%w: %s", err, mend)}
}

// refusal is a problem of the server as one block: what is wrong, and each field at fault below it.
func refusal(p *api.Problem) error {
	var b strings.Builder
	b.WriteString(p.Detail)
	if len(p.Errors) > 1 {
		b.Reset()
		b.WriteString(p.Title + ":")
		for _, f := range p.Errors {
			fmt.Fprintf(&b, "\n%s: %s", strings.TrimPrefix(f.Pointer, "/")+f.Parameter, f.Detail)
		}
	}
	if p.RetryAfter > 0 {
		fmt.Fprintf(&b, "\nTry again in %v.", p.RetryAfter)
	}
	code := exitRefused
	switch {
	case p.Kind() == string(ca.KindUnproven) || p.Kind() == string(ca.KindCAA): // another token would not help
	case p.Status == http.StatusUnauthorized || p.Status == http.StatusForbidden:
		code = exitToken
	case p.Status == http.StatusServiceUnavailable:
		code = exitUnreachable
	case p.Status >= 500:
		code = exitFault
	}
	return codedError{code, errors.New(b.String())}
}

// mendConnection says what to do about a connection that did not come about; empty for errors of another kind.
func mendConnection(err error) string {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		network net.Error
	)
	switch {
	case errors.As(err, &unknown):
		return "give the CA certificate by which the server is known with --ca (or IMCA_CA); 'imca ca fetch' gets it"
	case errors.As(err, &name):
		return "use one of those names in --url, or add this one to tls.names of the server"
	case errors.As(err, &invalid):
		return "look at the clocks of both machines, and at the server's log"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "this port speaks plain HTTP: use the one of listen.https"
	case errors.As(err, &network) && network.Timeout():
		return "the server does not answer: is the address right, and no firewall in between?"
	case errors.As(err, &network):
		return "is the server running, and the address right? On this machine 'imca dev' starts one"
	}
	return ""
}
