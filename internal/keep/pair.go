package keep

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// Pair is a client certificate and its key, in the files NAME.crt (with its chain) and NAME.key of a folder. Both are symbolic links through a
// third, "current", to a folder of their own for each certificate: so they change together, at one moment.
type Pair struct {
	Folder  string
	Name    pki.Name
	KeyType pki.KeyType // ecdsa-p256 when empty

	// Issue has a certificate made for a CSR (PEM), and returns it with its chain, PEM.
	Issue func(ctx context.Context, csr []byte) ([]byte, error)

	// Revoked tells whether a certificate was revoked; nil: it is not asked. What it cannot tell keeps no certificate from being renewed in time.
	Revoked func(ctx context.Context, serial pki.Serial) (bool, error)

	Reload func(ctx context.Context) error // as in CRLFile

	Now func() time.Time // nil means time.Now
}

// PairReport is how a pair stands after Refresh.
type PairReport struct {
	Changed  bool
	Reloaded bool
	NotAfter time.Time // of the certificate in place; zero when there is none
	RenewAt  time.Time // when it is to be renewed

	// Faults are what kept a certificate from being renewed or asked after, while the one in place still serves.
	Faults []error

	// Alarm says that the certificate in place nears its end and could not be renewed; empty while all is well.
	Alarm string
}

// Refresh renews the certificate if it is time, or if there is none that serves. An error means that there is none, or that it could not be
// written or loaded.
func (p *Pair) Refresh(ctx context.Context) (PairReport, error) {
	clock := time.Now
	if p.Now != nil {
		clock = p.Now
	}
	now := clock()
	var report PairReport
	leaf, err := p.inPlace(now)
	due := err != nil
	if err == nil {
		report.stand(leaf)
		due = !now.Before(report.RenewAt)
		if !due && p.Revoked != nil {
			serial, _ := pki.SerialFromInt(leaf.SerialNumber)
			if due, err = p.Revoked(ctx, serial); err != nil {
				report.Faults = append(report.Faults, fmt.Errorf("asking whether it was revoked: %w", err))
			}
		}
	}
	if due {
		fresh, err := p.renew(ctx, now)
		switch {
		case err == nil:
			report.Changed = true
			report.stand(fresh)
		case leaf == nil:
			report.Alarm = fmt.Sprintf("there is no client certificate for %s that serves: %v", p.Name, err)
			return report, err
		default:
			report.Faults = append(report.Faults, err)
			// A third of its life was left when it was due; half of that is gone without a new one.
			if left := leaf.NotAfter.Sub(now); left < life(leaf)/6 {
				report.Alarm = fmt.Sprintf("the client certificate for %s ends at %s and cannot be renewed: %v", p.Name, leaf.NotAfter.UTC().Format(time.RFC3339), err)
			}
		}
	}
	report.Reloaded, err = reload(ctx, p.link(), p.Reload)
	return report, err
}

func (r *PairReport) stand(leaf *x509.Certificate) {
	r.NotAfter, r.RenewAt = leaf.NotAfter, renewAt(leaf)
}

func life(c *x509.Certificate) time.Duration { return c.NotAfter.Sub(c.NotBefore) }

// renewAt is when two thirds of a certificate's life are over, or up to a twelfth before: those of many machines that were issued together are not
// all renewed together, and one machine that asks often comes to the same answer each time.
func renewAt(c *x509.Certificate) time.Time {
	share := time.Duration(c.SerialNumber.Bits()[0] & 0xff)
	return c.NotBefore.Add(life(c)*2/3 - life(c)/12*share/256)
}

// link is the symbolic link to the folder of the certificate in place.
func (p *Pair) link() string { return filepath.Join(p.Folder, "current") }

func (p *Pair) stem() string {
	return strings.Replace(strings.ReplaceAll(p.Name.String(), ":", "_"), "*", "_", 1)
}

// inPlace is the certificate in place, if it serves.
func (p *Pair) inPlace(now time.Time) (*x509.Certificate, error) {
	chain, err := os.ReadFile(filepath.Join(p.link(), p.stem()+".crt"))
	if err != nil {
		return nil, err
	}
	key, err := os.ReadFile(filepath.Join(p.link(), p.stem()+".key"))
	if err != nil {
		return nil, err
	}
	signer, err := pki.ParseKey(key)
	if err != nil {
		return nil, err
	}
	return p.judge(chain, signer.Public(), now)
}

// judge reads a certificate with its chain, and refuses one that would not serve.
func (p *Pair) judge(chain []byte, key crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	certificates, err := pki.ParseCertificates(chain)
	if err != nil {
		return nil, err
	}
	leaf := certificates[0]
	own, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !ok || !own.Equal(key):
		return nil, errors.New("the certificate is not of the key")
	case !slices.Equal(leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}):
		return nil, errors.New("the certificate is not one for clients")
	case leaf.VerifyHostname(p.hostname()) != nil:
		return nil, fmt.Errorf("the certificate is not for %s", p.Name)
	case now.Before(leaf.NotBefore) || now.After(leaf.NotAfter):
		return nil, fmt.Errorf("the certificate is good from %s to %s, and now it is %s: look at the clock of this machine",
			leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return leaf, nil
}

// hostname is the name as VerifyHostname wants it.
func (p *Pair) hostname() string {
	if p.Name.IsIP() {
		return "[" + p.Name.String() + "]"
	}
	return p.Name.String()
}

// renew makes a key, has it certified, and puts both in place.
func (p *Pair) renew(ctx context.Context, now time.Time) (*x509.Certificate, error) {
	kind := p.KeyType
	if kind == "" {
		kind = pki.ECDSAP256
	}
	key, err := kind.Generate()
	if err != nil {
		return nil, fmt.Errorf("making the key: %w", err)
	}
	template := x509.CertificateRequest{DNSNames: []string{p.Name.String()}}
	if p.Name.IsIP() {
		template.DNSNames, template.IPAddresses = nil, append(template.IPAddresses, p.Name.Addr().AsSlice())
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		return nil, fmt.Errorf("making the CSR: %w", err)
	}
	chain, err := p.Issue(ctx, pki.EncodeRequest(der))
	if err != nil {
		return nil, fmt.Errorf("having a certificate issued: %w", err)
	}
	leaf, err := p.judge(chain, key.Public(), now)
	if err != nil {
		return nil, fmt.Errorf("what was issued is not installed: %w", err)
	}
	text, err := pki.EncodeKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding the key: %w", err)
	}
	return leaf, p.install(leaf, chain, text)
}

const (
	folderMode fs.FileMode = 0o700
	secretMode fs.FileMode = 0o600
)

// install writes the pair into a folder of its own and then turns "current" to it.
func (p *Pair) install(leaf *x509.Certificate, chain, key []byte) error {
	folder := fmt.Sprintf("v-%s-%x", leaf.NotBefore.UTC().Format("20060102T150405"), leaf.SerialNumber.Bytes())
	path := filepath.Join(p.Folder, folder)
	if err := os.MkdirAll(path, folderMode); err != nil {
		return fmt.Errorf("making a folder for the certificate: %w", err)
	}
	if err := write(filepath.Join(path, p.stem()+".key"), key, secretMode); err != nil {
		return err
	}
	if err := write(filepath.Join(path, p.stem()+".crt"), chain, publicMode); err != nil {
		return err
	}
	before, _ := os.Readlink(p.link())
	if p.Reload != nil {
		if err := write(mark(p.link()), nil, publicMode); err != nil {
			return err
		}
	}
	if err := turn(p.link(), folder); err != nil {
		return err
	}
	for _, end := range []string{".crt", ".key"} {
		link, target := filepath.Join(p.Folder, p.stem()+end), filepath.Join("current", p.stem()+end)
		if have, _ := os.Readlink(link); have == target {
			continue
		}
		if err := turn(link, target); err != nil {
			return err
		}
	}
	return p.clear(folder, before)
}

// turn makes a symbolic link point elsewhere, at one moment.
func turn(link, target string) error {
	temporary := link + "." + rand.Text()
	err := os.Symlink(target, temporary)
	if err == nil {
		err = os.Rename(temporary, link)
	}
	if err != nil {
		_ = os.Remove(temporary)
		return fmt.Errorf("putting %s in place: %w", link, err)
	}
	return syncFolder(filepath.Dir(link))
}

// clear removes the folders of earlier certificates, but for the last one: whoever has just opened it may still read on.
func (p *Pair) clear(keep ...string) error {
	entries, err := os.ReadDir(p.Folder)
	if err != nil {
		return fmt.Errorf("looking for old certificates: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), "v-") && !slices.Contains(keep, e.Name()) {
			if err := os.RemoveAll(filepath.Join(p.Folder, e.Name())); err != nil {
				return fmt.Errorf("removing an old certificate: %w", err)
			}
		}
	}
	return nil
}
