package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imca-project/imca/internal/keep"
	"github.com/imca-project/imca/internal/pki"
)

func newCRL(p *program) *cobra.Command {
	cmd := commandGroup(&cobra.Command{Use: "crl", Short: "Revocation lists"})
	cmd.AddCommand(newCRLKeep(p), newCRLRequest(p), newCRLSign(p), newCRLImport(p))
	return cmd
}

// crlKeepOptions are the flags of 'imca crl keep'.
type crlKeepOptions struct {
	keepOptions
	authorities     []string
	url, ca         string
	out, form, data string
	alarmBefore     time.Duration
}

func newCRLKeep(p *program) *cobra.Command {
	var o crlKeepOptions
	cmd := &cobra.Command{
		Use: "keep", Short: "Keep the revocation lists of a web server fresh", Args: noArgs,
		Long: `Fetch the revocation list of one authority or more into a file, and make the web server load it when it has changed. Plain HTTP will
do: each list is judged by the CA certificate. A list with a lower number than the one in place, one that has lapsed or lies in the
future, or a truncated or foreign one, is refused, and the file stays as it is. nginx and HAProxy need the lists of every CA in the
chain, the root's included: give all their names.

The server comes from --url, the CA certificates from --ca; where neither is set and 'imca dev' runs in the current folder, from there.` + keepHelp,
		Example: `  imca crl keep --url http://ca.example.com/crl/TencentQQAuthCA.crl --ca TencentQQAuthCA.crt --out conf/TencentQQAuthCA.crl --reload 'apachectl graceful'
  imca crl keep --url http://ca.example.com --authority TencentQQAuthCA --authority TencentQQAuthCA-Issuing --ca TencentQQAuthCA.crt --out conf/all.crl --reload 'nginx -s reload'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := o.file(cmd.Context())
			if err != nil {
				return err
			}
			return o.run(cmd.Context(), p, func(ctx context.Context) keptState {
				report, err := file.Refresh(ctx)
				state := keptState{faults: report.Faults, alarm: report.Alarm, failed: err}
				if report.NextUpdate.IsZero() { // there is no file: its faults are the error
					state.faults = nil
				}
				if report.Changed {
					state.changed = fmt.Sprintf("%s is new, good until %s.", o.out, report.NextUpdate.Local().Format("2006-01-02 15:04"))
				}
				return state
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.url, "url", "", "the list, http://HOST/crl/NAME.crl; or the server, with --authority (IMCA_URL)")
	flags.StringSliceVar(&o.authorities, "authority", nil, "the name of the authority; several for the lists of several in one file")
	flags.StringVar(&o.ca, "ca", "", "the file with the CA certificates by which lists are judged (IMCA_CA)")
	flags.StringVar(&o.out, "out", "", "the file to keep")
	flags.StringVar(&o.form, "format", "pem", "pem (Apache, nginx, HAProxy) or der")
	flags.DurationVar(&o.alarmBefore, "alarm-before", 0, "how long before its end a list must have a successor (default: half of its life)")
	o.addTo(cmd, time.Minute)
	o.data = defaultData
	oneOf(cmd, "format", []string{"pem", "der"})
	return cmd
}

// file is what is to be kept, from the flags.
func (o *crlKeepOptions) file(ctx context.Context) (*keep.CRLFile, error) {
	if o.out == "" {
		return nil, usageError{errors.New("say which file to keep: --out FILE")}
	}
	if o.form != "pem" && o.form != "der" {
		return nil, usageError{fmt.Errorf("--format %s: use pem or der", o.form)}
	}
	if o.url == "" {
		o.url = os.Getenv("IMCA_URL")
	}
	if o.ca == "" {
		o.ca = os.Getenv("IMCA_CA")
	}
	if err := o.fromData(); err != nil {
		return nil, err
	}
	if o.ca == "" {
		return nil, usageError{errors.New("say by which CA certificates lists are judged: --ca FILE; 'imca ca fetch' gets them")}
	}
	text, err := os.ReadFile(o.ca)
	if err != nil {
		return nil, usageError{fmt.Errorf("reading the CA certificates: %w", err)}
	}
	trusted, err := pki.ParseCertificates(text)
	if err != nil {
		return nil, usageError{fmt.Errorf("reading the CA certificates %s: %w", o.ca, err)}
	}
	base, err := url.Parse(o.url)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, usageError{fmt.Errorf("--url %q: write http://HOST/crl/NAME.crl", o.url)}
	}
	file := &keep.CRLFile{Path: o.out, DER: o.form == "der", Reload: command(o.reload), AlarmBefore: o.alarmBefore}
	client := &http.Client{Timeout: 2 * time.Minute}
	if name, is := strings.CutSuffix(path.Base(base.Path), ".crl"); is && len(o.authorities) == 0 {
		o.authorities = []string{name}
		base = base.JoinPath("../..")
	}
	if len(o.authorities) == 0 {
		return nil, usageError{errors.New("say whose list: --authority NAME, or the whole address of the list in --url")}
	}
	if file.DER && len(o.authorities) > 1 {
		return nil, usageError{errors.New("--format der is for one authority: keep several as pem, or in files of their own")}
	}
	for _, name := range o.authorities {
		issuer, err := issuerOf(ctx, client, base, name, trusted)
		if err != nil {
			return nil, err
		}
		f := &crlFetch{client: client, url: base.JoinPath("crl", name+".crl").String()}
		file.Sources = append(file.Sources, keep.CRLSource{Name: name, Issuer: issuer, Fetch: f.fetch})
	}
	return file, nil
}

// fromData takes what is missing from the data folder of an 'imca dev'.
func (o *crlKeepOptions) fromData() error {
	if o.url != "" {
		return nil
	}
	d := dataFolder(o.data)
	state, err := d.state()
	if err != nil {
		return usageError{errors.New("which list? Give --url http://HOST/crl/NAME.crl")}
	}
	o.url = state.BaseURL
	if o.ca == "" {
		o.ca = d.path(state.CA)
	}
	if len(o.authorities) == 0 {
		o.authorities = []string{strings.TrimSuffix(state.CA, ".crt")}
	}
	return nil
}

// issuerOf is the certificate of the authority: one of those that are trusted, or one from the server that one of those has signed.
func issuerOf(ctx context.Context, client *http.Client, base *url.URL, name string, trusted []*x509.Certificate) (*x509.Certificate, error) {
	for _, c := range trusted {
		if c.Subject.CommonName == name {
			return c, nil
		}
	}
	body, _, err := get(ctx, client, base.JoinPath("ca", name+".crt").String(), "", 1<<20)
	if err != nil {
		return nil, codedError{exitUnreachable, fmt.Errorf("fetching the certificate of %s, which is not in the file of --ca: %w", name, err)}
	}
	certificates, err := pki.ParseCertificates(body)
	if err != nil {
		return nil, codedError{exitRefused, fmt.Errorf("reading the certificate of %s: %w", name, err)}
	}
	for _, c := range trusted {
		if bytes.Equal(certificates[0].RawIssuer, c.RawSubject) && certificates[0].CheckSignatureFrom(c) == nil {
			return certificates[0], nil
		}
	}
	return nil, codedError{exitRefused, fmt.Errorf("the certificate of %s that the server gave is not signed by one of those in the file of --ca: add its own there", name)}
}

// crlFetch fetches a list, and asks only whether there is another one when it has one.
type crlFetch struct {
	client    *http.Client
	url, etag string
}

// maxCRL bounds a list: one of a million entries has some 40 MB.
const maxCRL = 512 << 20

func (f *crlFetch) fetch(ctx context.Context, have bool) ([]byte, error) {
	etag := f.etag
	if !have {
		etag = ""
	}
	body, tag, err := get(ctx, f.client, f.url, etag, maxCRL)
	if err == nil {
		f.etag = tag
	}
	return body, err
}

// get fetches a file. keep.ErrUnchanged: it has the ETag still.
func get(ctx context.Context, client *http.Client, address, etag string, most int64) (body []byte, tag string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, "", fmt.Errorf("asking for %s: %w", address, err)
	}
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, "", err // a *url.Error, which tells what was asked of whom
	}
	defer func() { _ = answer.Body.Close() }()
	switch answer.StatusCode {
	case http.StatusNotModified:
		return nil, etag, keep.ErrUnchanged
	case http.StatusOK:
	default:
		return nil, "", fmt.Errorf("%s answered %s: is the address right?", address, answer.Status)
	}
	body, err = io.ReadAll(io.LimitReader(answer.Body, most+1))
	if err != nil {
		return nil, "", fmt.Errorf("reading %s: %w", address, err)
	}
	if int64(len(body)) > most {
		return nil, "", fmt.Errorf("%s is larger than %d MB: this is no file of ours", address, most>>20)
	}
	return body, answer.Header.Get("ETag"), nil
}
