package issuer

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Draft is a certificate that has passed every check and waits for its signature.
// Only this package can make one that Sign accepts.
type Draft struct {
	token               *token
	tbs                 []byte
	serial              pki.Serial
	notBefore, notAfter time.Time
}

// token is the right to one signature over the bytes with that hash by that
// signer. Copies of a Draft share it.
type token struct {
	by    *signer
	hash  [sha256.Size]byte
	spent atomic.Bool
}

// TBS is a copy of the bytes that will be signed.
func (d *Draft) TBS() []byte { return bytes.Clone(d.tbs) }

// Serial is the certificate's serial number.
func (d *Draft) Serial() pki.Serial { return d.serial }

// NotBefore is the first second of the validity, UTC.
func (d *Draft) NotBefore() time.Time { return d.notBefore }

// NotAfter is the last second of the validity, UTC.
func (d *Draft) NotAfter() time.Time { return d.notAfter }

// draft encodes a template, reads the result back, has it checked and linted, and
// only then makes the token.
func (s *signer) draft(t *template, l *linter, check func(*x509.Certificate) error) (*Draft, error) {
	tbs, err := t.encode()
	if err != nil {
		return nil, err
	}
	// A certificate with something in the place of its signature can be read, and
	// is worth nothing to anyone.
	der, err := pki.AssembleCertificate(tbs, []byte("not signed"))
	if err != nil {
		return nil, fmt.Errorf("assembling a certificate: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading the prepared certificate: %w", err)
	}
	if err := check(parsed); err != nil {
		return nil, fmt.Errorf("the prepared certificate is not what was asked for: %w", err)
	}
	if err := l.check(der); err != nil {
		return nil, err
	}
	return &Draft{
		token:  &token{by: s, hash: sha256.Sum256(tbs)},
		tbs:    tbs,
		serial: t.serial, notBefore: t.notBefore, notAfter: t.notAfter,
	}, nil
}

// errSpent is the answer to a second signature over a Draft.
var errSpent = errors.New("the draft was signed before, and pays for one signature: prepare another")

// signDraft is the one place at which certificates are signed. The result is proven
// to be the draft, and the signature to be right.
func (s *signer) signDraft(d *Draft) ([]byte, error) {
	if d == nil || d.token == nil || d.token.by != s {
		return nil, errors.New("the draft was not prepared by this authority: prepare it here")
	}
	if s.key == nil {
		return nil, errResting
	}
	if d.token.spent.Swap(true) {
		return nil, errSpent
	}
	if sha256.Sum256(d.tbs) != d.token.hash {
		return nil, errors.New("the draft has changed since it was checked: prepare another")
	}
	signature, err := s.sign(d.tbs)
	if err != nil {
		return nil, err
	}
	der, err := pki.AssembleCertificate(d.tbs, signature)
	if err != nil {
		return nil, fmt.Errorf("assembling a certificate: %w", err)
	}
	// The draft was parsed as a whole before; what could differ now are the
	// bytes, the signature and the frame around them.
	tbs, signature, err := pki.SplitCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("proving the signature: %w", err)
	}
	if sha256.Sum256(tbs) != d.token.hash {
		return nil, errors.New("proving the signature: the certificate is not the draft: find out what changed the memory of this process")
	}
	if err := s.verify(signature, tbs); err != nil {
		return nil, fmt.Errorf("proving the signature: it is wrong, so the key or the machine is faulty: look into it before issuing more: %w", err)
	}
	return der, nil
}
