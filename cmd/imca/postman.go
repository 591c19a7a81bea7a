package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/imca-project/imca/internal/egress"
	"github.com/imca-project/imca/internal/issuer"
)

// postman posts the messages of webhooks for the CA.
type postman struct {
	egress  egress.Config // the way out; its ports follow from each URL
	issuers func() []*issuer.Issuer
}

// post fits ca.WebhookRules. Redirects are not followed: the message was for whoever is at the URL. What the receiver answers is none of ours: the status
// alone is told.
func (p postman) post(ctx context.Context, address string, header map[string]string, body []byte) error {
	const (
		bound = 20 * time.Second
		most  = 64 << 10
	)
	guard, err := guardFor(p.egress, address)
	if err != nil {
		return err
	}
	client := guard.HTTPClient(egress.HTTPOptions{Timeout: bound, MaxRedirects: -1, MaxBody: most, TLS: func(*url.URL) *tls.Config {
		return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: publicAndOurs(p.issuers())}
	}})
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the URL is none: %w", err)
	}
	request.Header.Set("User-Agent", "imca")
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err // without the URL, which may hold a secret
	}
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the answer was HTTP %d", response.StatusCode)
	}
	return nil
}

// publicAndOurs are the roots by which developers' servers are known: those of the system and of this CA.
func publicAndOurs(issuers []*issuer.Issuer) *x509.CertPool {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a machine without public roots still knows ours
	}
	for _, i := range issuers {
		if !i.Retired() {
			roots.AddCert(i.Root())
		}
	}
	return roots
}
