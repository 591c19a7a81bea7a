// Package handover puts together what a developer is given with a certificate: the chain and the root that go along with it, and the bundle that
// opens a server to the platform.
//
// It knows which authority of the CA stands behind which certificate, and whom developers' servers are to let in; internal/bundle does the packing.
// It issues nothing, decides nothing and keeps no key. The doors that hand certificates over share it.
package handover

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// Authority is what goes along with the certificates of an authority, as PEM.
type Authority struct {
	Chain    []byte // the issuers up to the root, which is left out
	Root     []byte
	RootName string
}

// Desk is where certificates are handed over.
type Desk struct {
	authorities map[string]Authority // by name

	profiles  []string // those of the platform's certificates
	authority string   // who issues them; empty where nobody here does
	name      pki.Name // what they are called
	depth     int      // how many certificates lead from one to the root, the root included
	crlURLs   []string
}

// New returns the desk of a CA. clientName is the name in the platform's client certificate, which the configurations admit alone; zero means
// callback.platform.internal.
func New(c *ca.CA, clientName pki.Name) *Desk {
	d := &Desk{authorities: make(map[string]Authority), name: clientName}
	if clientName.IsZero() {
		d.name = pki.RecordedName("callback.platform.internal")
	}
	names := make(map[string]string) // of the roots, by their DER
	for _, i := range c.Issuers() {
		names[string(i.Certificate().Raw)] = i.Name()
	}
	for _, i := range c.Issuers() {
		a := Authority{Root: pki.EncodeCertificate(i.Root().Raw), RootName: names[string(i.Root().Raw)]}
		if path := i.Chain(); len(path) > 0 {
			a.Chain = pki.EncodeCertificate(i.Certificate().Raw)
			for _, parent := range path[:len(path)-1] {
				a.Chain = append(a.Chain, pki.EncodeCertificate(parent.Raw)...)
			}
		}
		d.authorities[i.Name()] = a
		for _, profile := range i.Profiles() {
			if profile.EKU == x509.ExtKeyUsageClientAuth {
				d.profiles = append(d.profiles, profile.Name)
				d.authority, d.depth = i.Name(), 1+len(i.Chain())
				d.crlURLs = crlURLs(c, append([]*x509.Certificate{i.Certificate()}, i.Chain()...))
			}
		}
	}
	return d
}

// crlURLs are where the lists of the authorities on a path are; none, unless all of them have one.
func crlURLs(c *ca.CA, path []*x509.Certificate) (list []string) {
	for _, certificate := range path {
		for _, i := range c.Issuers() {
			if i.Certificate().Equal(certificate) && i.CRLURL() != "" {
				list = append(list, i.CRLURL())
			}
		}
	}
	if len(list) != len(path) {
		return nil
	}
	return list
}

// Authority is what stands behind a certificate.
func (d *Desk) Authority(cert *ca.Certificate) (Authority, error) {
	a, known := d.authorities[cert.Authority]
	if !known {
		return Authority{}, fmt.Errorf("the authority %s of the certificate %s is not loaded", cert.Authority, cert.Serial)
	}
	return a, nil
}

// Platform tells whether a profile is for the platform's own certificates, which no server is configured with.
func (d *Desk) Platform(profile string) bool { return slices.Contains(d.profiles, profile) }

// Configures tells whether a bundle can be made: some authority here issues the platform's certificates, so that servers can be told whom to admit.
func (d *Desk) Configures() bool { return d.authority != "" }

// Input is what is packed with a certificate, and with its key, if that was made here.
func (d *Desk) Input(cert *ca.Certificate, key []byte) (bundle.Input, error) {
	by, err := d.Authority(cert)
	if err != nil {
		return bundle.Input{}, err
	}
	der, err := cert.DER()
	if err != nil {
		return bundle.Input{}, err
	}
	client := d.authorities[d.authority]
	return bundle.Input{
		Certificate: pki.EncodeCertificate(der), Chain: by.Chain, Key: key, Root: bundle.Authority{Name: by.RootName, Certificates: by.Root},
		ClientCA: bundle.Authority{Name: client.RootName, Certificates: client.Root}, ClientName: d.name, VerifyDepth: d.depth, CRLURLs: d.crlURLs,
	}, nil
}

// Zip packs the bundle, with the configurations for the named servers, or for all of them.
func Zip(in bundle.Input, now time.Time, servers ...string) ([]byte, error) {
	var archive bytes.Buffer
	if err := bundle.Zip(&archive, in, now, servers...); err != nil {
		return nil, err
	}
	return archive.Bytes(), nil
}

// FileName is what the files of a certificate are called, without their ending: by its first host name, as in the bundle.
func FileName(cert *ca.Certificate) string {
	for _, n := range cert.Names {
		if !n.IsIP() {
			return bundle.Stem(n)
		}
	}
	return bundle.Stem(cert.Names[0])
}
