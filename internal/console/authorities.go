package console

import (
	"crypto/x509"
	"fmt"

	"github.com/imca-project/imca/internal/ca"
)

// authoritiesPage is every CA of ours, parents first.
type authoritiesPage struct{ Authorities []authorityPart }

func (authoritiesPage) template() string { return "authorities" }

// authorityPart is one of them.
type authorityPart struct {
	ca.Authority
	*decoded
	Cert  *x509.Certificate
	List  listLine
	Signs bool // its key is on this server
	Left  int  // days
}

func authorities(v *visit) error {
	all, err := v.ca.ListAuthorities(v.context(), v.principal)
	if err != nil {
		return err
	}
	lists, err := v.lists()
	if err != nil {
		return err
	}
	signs := make(map[string]bool)
	for _, i := range v.ca.Issuers() {
		signs[i.Name()] = i.CanSign()
	}
	var p authoritiesPage
	for i, a := range all {
		cert, err := x509.ParseCertificate(a.Certificate)
		if err != nil {
			return fmt.Errorf("reading the certificate of %s: %w", a.Name, err)
		}
		p.Authorities = append(p.Authorities, authorityPart{
			Authority: a, decoded: decode(cert), Cert: cert, List: lists[i], Signs: signs[a.Name], Left: int(cert.NotAfter.Sub(v.now).Hours() / 24),
		})
	}
	return v.show(p)
}

// settingsPage is what the server runs with.
type settingsPage struct{ Settings []Setting }

func (settingsPage) template() string { return "settings" }

// settings shows the configuration to those who may examine the CA.
func settings(v *visit) error {
	if _, err := v.ca.Authorize(v.context(), v.principal, ca.ActExamine, "", "settings", nil); err != nil {
		return err
	}
	return v.show(settingsPage{v.settings})
}
