// Package handover puts together what a developer is given with a certificate: the chain and the root that go along with it, and the bundle that
// opens a server to the platform.
//
// It knows which authority of the CA stands behind which certificate, and whom developers' servers are to let in; internal/bundle does the packing.
// It issues nothing, decides nothing and keeps no key. The doors that hand certificates over share it.
package handover

import (
	"bytes"
	"crypto/x509"
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

// Desk is where certificates are handed over. It follows the CA when authorities are added, promoted or retired.
type Desk struct {
	ca   *ca.CA
	name pki.Name // what the platform's certificates are called
	kept ca.PerRoster[*knowledge]
}

// knowledge is what the desk knows of the authorities.
type knowledge struct {
	authorities map[string]Authority // by name

	profiles []string // those of the platform's certificates
	client   bundle.Authority
	issuers  []byte // who certifies the platform, PEM
	depth    int    // how many certificates lead from one to the root at most, the root included
	crlURLs  []string
}

// New returns the desk of a CA. clientName is the name in the platform's client certificate, which the configurations admit alone; zero means
// callback.platform.internal.
func New(c *ca.CA, clientName pki.Name) *Desk {
	d := &Desk{ca: c, name: clientName}
	if clientName.IsZero() {
		d.name = pki.RecordedName("callback.platform.internal")
	}
	return d
}

func (d *Desk) knows() *knowledge { return d.kept.Of(d.ca, func() *knowledge { return learn(d.ca) }) }

func learn(c *ca.CA) *knowledge {
	k := &knowledge{authorities: make(map[string]Authority)}
	issuers := c.Issuers()
	names := make(map[string]string) // of the roots, by their DER
	for _, i := range issuers {
		names[string(i.Certificate().Raw)] = i.Name()
	}
	for _, i := range issuers {
		a := Authority{Root: pki.EncodeCertificate(i.Root().Raw), RootName: names[string(i.Root().Raw)]}
		if path := i.Chain(); len(path) > 0 {
			a.Chain = pki.EncodeCertificate(i.Certificate().Raw)
			for _, parent := range path[:len(path)-1] {
				a.Chain = append(a.Chain, pki.EncodeCertificate(parent.Raw)...)
			}
		}
		k.authorities[i.Name()] = a
		for _, profile := range i.Profiles() {
			if profile.EKU == x509.ExtKeyUsageClientAuth {
				k.profiles = append(k.profiles, profile.Name)
			}
		}
	}
	if len(k.profiles) > 0 {
		k.admit(c, names)
	}
	return k
}

// admit notes whom servers are to let in: whoever the platform's certificates come from now and, during a roll-over, came from or will come from.
func (k *knowledge) admit(c *ca.CA, names map[string]string) {
	var roots, path []*x509.Certificate
	for _, i := range c.TrustedFor(ca.UsageClientAuth) {
		k.depth = max(k.depth, 1+len(i.Chain()))
		k.issuers = append(k.issuers, pki.EncodeCertificate(i.Certificate().Raw)...)
		for _, certificate := range append([]*x509.Certificate{i.Certificate()}, i.Chain()...) {
			if !slices.ContainsFunc(path, certificate.Equal) {
				path = append(path, certificate)
			}
		}
		if !slices.ContainsFunc(roots, i.Root().Equal) {
			roots = append(roots, i.Root())
			k.client.Certificates = append(k.client.Certificates, pki.EncodeCertificate(i.Root().Raw)...)
		}
	}
	k.client.Name = names[string(roots[0].Raw)]
	k.crlURLs = crlURLs(c, path)
}

// crlURLs are where the lists of authorities are; none, unless all of them have one.
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
	a, known := d.knows().authorities[cert.Authority]
	if !known {
		return Authority{}, ca.NotHereYet(cert.Authority)
	}
	return a, nil
}

// Platform tells whether a profile is for the platform's own certificates, which no server is configured with.
func (d *Desk) Platform(profile string) bool { return slices.Contains(d.knows().profiles, profile) }

// Configures tells whether a bundle can be made: some authority here issues the platform's certificates, so that servers can be told whom to admit.
func (d *Desk) Configures() bool { return len(d.knows().profiles) > 0 }

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
	k := d.knows()
	return bundle.Input{
		Certificate: pki.EncodeCertificate(der), Chain: by.Chain, Key: key, Root: bundle.Authority{Name: by.RootName, Certificates: by.Root},
		ClientCA: k.client, ClientIssuers: k.issuers, ClientName: d.name, VerifyDepth: k.depth, CRLURLs: k.crlURLs,
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
