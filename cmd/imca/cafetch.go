package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/pki"
)

// The names under which the server has all its roots, and those of them that developers' servers let the platform in by.
const (
	allRoots    = "bundle"
	clientRoots = "clients"
)

type fetchOptions struct {
	pins  []string
	out   string
	force bool
}

func newCAFetch(p *program, r *remote) *cobra.Command {
	var o fetchOptions
	cmd := &cobra.Command{
		Use: "fetch [NAME]", Short: "Fetch the CA certificate", Args: words(0, 1, "give one name at most"),
		Long: `Fetch a CA certificate by its name, or without a name every root that is to be trusted, into a file. No token is needed.
Those of them that a developer's server lets the platform in by, during a roll-over the next one too, come by the name "clients".

With --pin the download is trusted for its fingerprint, whatever way it came: then the first fetch is as safe as the channel by which
you got the fingerprint. Without a pin it is trusted if the server is known by its certificate; or else compare the fingerprint.`,
		Example: "  imca ca fetch TencentQQAuthCA --url http://ca.example.com --pin sha256:3b0c…",
		RunE: func(cmd *cobra.Command, args []string) error {
			name := allRoots
			if len(args) > 0 {
				name = strings.TrimSuffix(args[0], ".crt")
			}
			return fetchCA(cmd.Context(), p, r, o, name)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.pins, "pin", nil, "sha256:FINGERPRINT of the certificate, as 'imca init' printed it; several where there are several")
	flags.StringVar(&o.out, "out", "", "the file to write, or the folder to write NAME.crt, bundle.pem or clients.pem into (default: this folder; - prints it)")
	flags.BoolVar(&o.force, "force", false, "replace a file with other certificates although nothing vouches for the new ones")
	return cmd
}

func fetchCA(ctx context.Context, p *program, r *remote, o fetchOptions, name string) error {
	var pins [][32]byte
	for _, text := range o.pins {
		pin, err := parsePin(text)
		if err != nil {
			return err
		}
		pins = append(pins, pin)
	}
	if err := r.resolve(); err != nil {
		return err
	}
	body, known, err := r.download(ctx, name, len(pins) > 0)
	if err != nil {
		return err
	}
	certificates, err := pki.ParseCertificates(body)
	if err != nil {
		return codedError{exitRefused, fmt.Errorf("%s did not send a CA certificate: %w", r.url, err)}
	}
	if err := checkPins(certificates, pins); err != nil {
		return err
	}
	file := cmp.Or(o.out, remoteName(name))
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		file = filepath.Join(file, remoteName(name))
	}
	trusted := known || len(pins) > 0
	if file == "-" {
		_, err = p.out.Write(body)
		return err
	}
	if !trusted && !o.force && exists(file) && !sameFile(file, body) {
		return codedError{exitRefused, fmt.Errorf("%s holds other certificates, and nothing vouches for the new ones: give their --pin, or --force to replace them all the same", file)}
	}
	if !sameFile(file, body) {
		if err := writeFile(file, body, publicMode); err != nil {
			return err
		}
	}
	return reportFetched(p, file, certificates, trusted)
}

// parsePin reads "sha256:" and the fingerprint of a certificate's DER.
func parsePin(text string) (pin [32]byte, err error) {
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimPrefix(text, "sha256:"), ":", ""))
	if err != nil || len(raw) != len(pin) {
		return pin, usageError{fmt.Errorf("--pin %s: write sha256: and the 64 hexadecimal digits of the fingerprint", text)}
	}
	return [32]byte(raw), nil
}

// download fetches a CA file, and says whether the connection vouches for it.
func (r *remote) download(ctx context.Context, name string, pinned bool) (body []byte, known bool, err error) {
	client, err := r.transport()
	if err != nil {
		return nil, false, err
	}
	overTLS := strings.HasPrefix(r.url, "https:")
	if overTLS && pinned {
		// The server's certificate is of the CA that is fetched, so it cannot be checked yet. The pin checks what comes.
		client.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true
	}
	body, err = (&api.Client{URL: r.url, HTTP: client}).CAFile(ctx, remoteName(name))
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return nil, false, codedError{exitUnreachable, fmt.Errorf("%w: the server cannot be checked before you have its CA: give the fingerprint with --pin, or fetch from its plain HTTP port and compare the fingerprint", err)}
	}
	return body, overTLS && !pinned, r.explain(err)
}

// remoteName is what a CA file is called on the server, and here.
func remoteName(name string) string {
	if name == allRoots || name == clientRoots {
		return name + ".pem"
	}
	return name + ".crt"
}

// checkPins demands that every certificate has one of the pins, where there are some.
func checkPins(certificates []*x509.Certificate, pins [][32]byte) error {
	for _, c := range certificates {
		if have := sha256.Sum256(c.Raw); len(pins) > 0 && !slices.Contains(pins, have) {
			return codedError{exitRefused, fmt.Errorf("the certificate of %s has the fingerprint sha256:%x, which is not pinned: nothing was written. Ask the operator for the fingerprint; if this one is wrong, somebody is between you and the server",
				c.Subject.CommonName, have)}
		}
	}
	return nil
}

func reportFetched(p *program, file string, certificates []*x509.Certificate, trusted bool) error {
	if p.json {
		type fetched struct {
			Subject     string `json:"subject"`
			Fingerprint string `json:"fingerprint_sha256"`
		}
		var list []fetched
		for _, c := range certificates {
			list = append(list, fetched{c.Subject.CommonName, fmt.Sprintf("%x", sha256.Sum256(c.Raw))})
		}
		return p.encode(map[string]any{"file": file, "verified": trusted, "certificates": list})
	}
	p.say("Wrote %s:", file)
	for _, c := range certificates {
		p.say("  %s  sha256:%x", c.Subject.CommonName, sha256.Sum256(c.Raw))
	}
	if !trusted {
		p.say("%s: compare the fingerprint with the one that the operator gives you, or fetch it with --pin.", p.paint(warning, "Nothing vouches for it yet"))
	}
	return nil
}
