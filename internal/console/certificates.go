package console

import (
	"github.com/imca-project/imca/internal/ca"
)

// certificatesPage is the search among all certificates.
type certificatesPage struct {
	Search   *search
	Found    []certificateLine
	Next     string // the address of the next page; empty: there is none
	Saved    []savedSearch
	Statuses []ca.Status
	Profiles []string
	Bulk     string // where to revoke what is found; empty where that cannot be asked
}

func (certificatesPage) template() string { return "certificates" }

// certificateLine is a certificate in a list.
type certificateLine struct {
	*ca.Certificate
	State ca.Status
	Days  int // until the end, of a valid one
}

// Others is how many names it has beside the first.
func (l certificateLine) Others() int { return len(l.Names) - 1 }

func (v *visit) lines(certificates []*ca.Certificate) []certificateLine {
	lines := make([]certificateLine, len(certificates))
	for i, c := range certificates {
		lines[i] = certificateLine{Certificate: c, State: c.Status(v.now), Days: int(c.NotAfter.Sub(v.now).Hours() / 24)}
	}
	return lines
}

const certificatesPath = "/console/certificates"

func certificates(v *visit) error {
	values := v.r.URL.Query()
	beyond, err := ca.ParseCursor(values.Get("cursor"))
	if err != nil {
		return err
	}
	p := certificatesPage{Search: v.readSearch(values), Saved: v.saved(), Statuses: ca.Statuses()}
	if p.Profiles, err = v.profileNames(); err != nil {
		return err
	}
	if len(p.Search.Unknown) > 0 {
		return v.show(p) // as a search that is still being typed
	}
	page, err := v.find(p.Search, ca.DefaultPage, beyond)
	if err != nil {
		return err
	}
	p.Found = v.lines(page.Items)
	if !page.Next.IsZero() {
		next := p.Search.Values()
		next.Set("cursor", page.Next.String())
		p.Next = certificatesPath + "?" + next.Encode()
	}
	p.Bulk = v.bulkPath(p.Search)
	return v.show(p)
}

func (v *visit) profileNames() (names []string, err error) {
	profiles, err := v.ca.ListProfiles(v.context(), v.principal)
	for _, p := range profiles {
		names = append(names, p.Name)
	}
	return names, err
}
