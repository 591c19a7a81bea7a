package watch

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

func isMissing(err error) bool { return errors.Is(err, ca.ErrNotFound) }

// askOCSP asks about a certificate that the list names, by chance, and about one that nobody issued.
func (w *Watcher) askOCSP(ctx context.Context, a Authority, l *list) []string {
	if a.Interval == 0 {
		return nil // an authority whose key is elsewhere answers nothing
	}
	questions := map[string]*big.Int{"unknown": pki.NewSerial().Int()}
	if l != nil && len(l.entries) > 0 {
		questions["revoked"] = l.entries[rand.IntN(len(l.entries))].serial.Int()
	}
	var faults []string
	for want, serial := range questions {
		got, err := w.status(ctx, a, serial)
		if err != nil {
			faults = append(faults, fmt.Sprintf("OCSP cannot be looked at: %v.", err))
			continue
		}
		// One that is lifted in this moment, and is good, was listed a moment ago.
		if got != want && !w.changed(ctx, serial, got) {
			faults = append(faults, fmt.Sprintf("OCSP says that %x is %s, and it is %s: find out which server answers so.", serial, got, want))
		}
	}
	slices.Sort(faults)
	return faults
}

// changed tells whether the records say the same as OCSP.
func (w *Watcher) changed(ctx context.Context, serial *big.Int, says string) bool {
	number, ours := pki.SerialFromInt(serial)
	if !ours {
		return false
	}
	standing, err := w.records.Standing(ctx, number)
	return err == nil && says == "good" && standing.Revocation == nil
}

// status asks by OCSP, and checks the answer as RFC 6960, Section 3.2, has it.
func (w *Watcher) status(ctx context.Context, a Authority, serial *big.Int) (string, error) {
	leaf := &x509.Certificate{SerialNumber: serial}
	question, err := ocsp.CreateRequest(leaf, a.Certificate, nil)
	if err != nil {
		return "", fmt.Errorf("making a request: %w", err)
	}
	der, err := w.fetch(ctx, "/ocsp/"+a.Name, question)
	if err != nil {
		return "", fmt.Errorf("asking: %w", err)
	}
	answer, err := ocsp.ParseResponseForCert(der, leaf, a.Certificate)
	if err != nil {
		return "", fmt.Errorf("reading the response: %w", err)
	}
	now := w.now()
	by := answer.Certificate
	switch {
	case by == nil || !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) || now.Before(by.NotBefore) || now.After(by.NotAfter):
		return "", errors.New("the certificate of the responder is not one of a responder, or not valid now")
	case answer.ThisUpdate.After(now) || !answer.NextUpdate.After(now.Add(time.Minute)):
		return "", fmt.Errorf("the response is good from %s to %s", answer.ThisUpdate.Format(time.DateTime), answer.NextUpdate.Format(time.DateTime))
	}
	return map[int]string{ocsp.Good: "good", ocsp.Revoked: "revoked", ocsp.Unknown: "unknown"}[answer.Status], nil
}
