package console

import "github.com/imca-project/imca/internal/ca"

// overviewPage is the state of the CA at a glance.
type overviewPage struct {
	Lists []*ca.CRL // the revocation list of each authority
}

func (overviewPage) template() string { return "overview" }

func overview(v *visit) error {
	authorities, err := v.ca.ListAuthorities(v.context(), v.principal)
	if err != nil {
		return err
	}
	var p overviewPage
	for _, a := range authorities {
		if list := v.ca.CRL(a.Name); list != nil {
			p.Lists = append(p.Lists, list)
		}
	}
	return v.show(p)
}
