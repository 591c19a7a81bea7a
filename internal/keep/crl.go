package keep

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// ErrUnchanged is what CRLSource.Fetch answers when there is nothing else than what it gave the last time.
var ErrUnchanged = errors.New("there is no newer one")

// CRLSource is where the revocation list of an authority comes from.
type CRLSource struct {
	Name string // for people

	// Fetch returns the latest list, DER or PEM. have says that the last one that it gave is in the file still, so that ErrUnchanged will do.
	Fetch func(ctx context.Context, have bool) ([]byte, error)

	// Issuer is the certificate of the authority.
	Issuer *x509.Certificate
}

// CRLFile is a file with the revocation lists of one or more authorities. Nothing else may be in it.
type CRLFile struct {
	Path    string
	DER     bool // instead of PEM; for one source only
	Sources []CRLSource

	// Reload makes the server load the file; nil if nobody needs to. It is tried again at every Refresh until it works.
	Reload func(ctx context.Context) error

	// AlarmBefore is how long before its nextUpdate a list must have a successor; zero means half of its life.
	AlarmBefore time.Duration

	Now func() time.Time // nil means time.Now
}

// CRLReport is how a file stands after Refresh.
type CRLReport struct {
	Changed    bool      // the file is another than before
	Reloaded   bool      // and the server has loaded it
	NextUpdate time.Time // when the first of its lists lapses; zero when there is no file

	// Faults are what kept a source from giving a newer list: what was there of it stays.
	Faults []error

	// Alarm says which list nears its end without a successor, or has none; empty while all is well.
	Alarm string
}

// Refresh fetches every list, and installs those that are newer than what is there. An error means that the file could not be written or loaded,
// or that there is none and cannot be one yet.
func (f *CRLFile) Refresh(ctx context.Context) (CRLReport, error) {
	now := time.Now
	if f.Now != nil {
		now = f.Now
	}
	at := now()
	if f.DER && len(f.Sources) != 1 {
		return CRLReport{}, errors.New("a DER file has one revocation list: keep several as PEM, or in files of their own")
	}
	var report CRLReport
	there, err := os.ReadFile(f.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return report, fmt.Errorf("reading the revocation lists that are there: %w", err)
	}
	var (
		content []byte
		old     = splitCRLs(there)
		missing error
	)
	for _, s := range f.Sources {
		list, err := s.better(ctx, s.find(old), at)
		if err != nil {
			report.Faults = append(report.Faults, fmt.Errorf("%s: %w", s.Name, err))
		}
		if list == nil {
			missing = errors.Join(missing, fmt.Errorf("there is no revocation list of %s yet: %w", s.Name, err))
			continue
		}
		report.watch(s.Name, list, at, f.AlarmBefore)
		if f.DER {
			content = list.Raw
		} else {
			content = append(content, pem.EncodeToMemory(&pem.Block{Type: pemCRL, Bytes: list.Raw})...)
		}
	}
	if missing != nil {
		// A file without one of the lists makes servers refuse everyone whom that authority has issued for.
		report.Alarm = missing.Error()
		return report, missing
	}
	if report.Changed = !bytes.Equal(there, content); report.Changed {
		if err := install(f.Path, content, f.Reload != nil); err != nil {
			return report, err
		}
	}
	report.Reloaded, err = reload(ctx, f.Path, f.Reload)
	return report, err
}

// watch notes when a list lapses, and whether that is near.
func (r *CRLReport) watch(name string, list *x509.RevocationList, now time.Time, before time.Duration) {
	if r.NextUpdate.IsZero() || list.NextUpdate.Before(r.NextUpdate) {
		r.NextUpdate = list.NextUpdate
	}
	if before == 0 {
		before = list.NextUpdate.Sub(list.ThisUpdate) / 2
	}
	if left := list.NextUpdate.Sub(now); left < before && r.Alarm == "" {
		r.Alarm = fmt.Sprintf("the revocation list of %s lapses at %s, and no newer one is to be had: after that, servers that check it refuse everyone",
			name, list.NextUpdate.UTC().Format(time.RFC3339))
		if left <= 0 {
			r.Alarm = fmt.Sprintf("the revocation list of %s has lapsed at %s: servers that check it refuse everyone", name, list.NextUpdate.UTC().Format(time.RFC3339))
		}
	}
}

// find is the newest list of the source's authority among those in a file; nil if there is none.
func (s CRLSource) find(old []*x509.RevocationList) (newest *x509.RevocationList) {
	for _, list := range old {
		if s.signed(list) == nil && (newest == nil || list.Number.Cmp(newest.Number) > 0) {
			newest = list
		}
	}
	return newest
}

// better fetches a list and returns it if it is better than the one that is there, else that one; with an error if there should have been a
// better one.
func (s CRLSource) better(ctx context.Context, have *x509.RevocationList, now time.Time) (*x509.RevocationList, error) {
	fetched, err := s.Fetch(ctx, have != nil)
	if errors.Is(err, ErrUnchanged) && have != nil {
		return have, nil
	}
	if err != nil {
		return have, err
	}
	list, err := s.judge(fetched, now)
	switch {
	case err != nil:
		return have, fmt.Errorf("what was fetched is not installed: %w", err)
	case have == nil:
		return list, nil
	}
	switch list.Number.Cmp(have.Number) {
	case -1:
		return have, fmt.Errorf("what was fetched is not installed: its number %v is lower than %v, which is in place: somebody serves an old one", list.Number, have.Number)
	case 0:
		if !bytes.Equal(list.Raw, have.Raw) {
			return have, fmt.Errorf("what was fetched is not installed: it has the number %v like the one in place, and is another: ask the operator of the authority", list.Number)
		}
	}
	return list, nil
}

const pemCRL = "X509 CRL"

// judge reads a list that was fetched, and refuses what no server should be given.
func (s CRLSource) judge(data []byte, now time.Time) (*x509.RevocationList, error) {
	if block, rest := pem.Decode(data); block != nil {
		if block.Type != pemCRL || len(bytes.TrimSpace(rest)) > 0 {
			return nil, errors.New("it is PEM, but not one revocation list alone")
		}
		data = block.Bytes
	}
	list, err := x509.ParseRevocationList(data)
	if err != nil {
		return nil, fmt.Errorf("it is no whole revocation list: %w", err)
	}
	if err := s.signed(list); err != nil {
		return nil, err
	}
	for _, extension := range list.Extensions {
		// RFC 5280, Section 5.2.4: a delta list is of no use alone. Whatever else is critical, servers refuse everyone for.
		if extension.Critical || extension.Id.String() == "2.5.29.27" {
			return nil, fmt.Errorf("it has the extension %v, for which servers refuse good certificates too", extension.Id)
		}
	}
	switch {
	case list.ThisUpdate.After(now):
		return nil, fmt.Errorf("it is of %s, which is yet to come: look at the clock of this machine", list.ThisUpdate.UTC().Format(time.RFC3339))
	case !list.NextUpdate.After(now):
		return nil, fmt.Errorf("it has lapsed at %s: with it, servers would refuse everyone", list.NextUpdate.UTC().Format(time.RFC3339))
	}
	return list, nil
}

// signed tells whether a list is the authority's.
func (s CRLSource) signed(list *x509.RevocationList) error {
	if !bytes.Equal(list.RawIssuer, s.Issuer.RawSubject) {
		return fmt.Errorf("it is of %s, not of %s", list.Issuer, s.Issuer.Subject)
	}
	if err := list.CheckSignatureFrom(s.Issuer); err != nil {
		return fmt.Errorf("it is not signed by %s: %w", s.Issuer.Subject, err)
	}
	if list.Number == nil || list.NextUpdate.IsZero() {
		return errors.New("it has no number, or does not say when the next one comes")
	}
	return nil
}

// splitCRLs reads the lists in a file, PEM or DER; what is none is passed over.
func splitCRLs(data []byte) (lists []*x509.RevocationList) {
	if list, err := x509.ParseRevocationList(data); err == nil {
		return []*x509.RevocationList{list}
	}
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return lists
		}
		if list, err := x509.ParseRevocationList(block.Bytes); err == nil && block.Type == pemCRL {
			lists = append(lists, list)
		}
	}
}
