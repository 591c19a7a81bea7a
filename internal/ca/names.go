package ca

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

// NamePolicy is the operator's word on names, for all apps. The zero value certifies public names only.
type NamePolicy struct {
	// Deny are names that no app may have, with everything below them: the platform's own.
	Deny []pki.Name

	// AllowInternal are suffixes that pki.CheckPublic would refuse ("corp.internal") and that are certified all the same.
	AllowInternal []string

	// AllowAddresses are ranges of addresses that pki.CheckPublic would refuse (10.0.0.0/8) and that are certified all the same.
	AllowAddresses []netip.Prefix
}

// check refuses a name that no app may have.
func (p NamePolicy) check(n pki.Name) error {
	for _, d := range p.Deny {
		if under(n, d.String()) {
			return fmt.Errorf("%s belongs to the platform: ask for a name of your own", n)
		}
	}
	if n.IsIP() {
		if slices.ContainsFunc(p.AllowAddresses, func(r netip.Prefix) bool { return r.Contains(n.Addr()) }) {
			return nil
		}
	} else if slices.ContainsFunc(p.AllowInternal, func(suffix string) bool { return under(n, suffix) }) {
		return nil
	}
	return pki.CheckPublic(n)
}

// under tells whether a name is, or lies below, a suffix.
func under(n pki.Name, suffix string) bool {
	s := n.Base().String()
	return s == suffix || strings.HasSuffix(s, "."+suffix)
}

// allows tells whether an operator's word lets an app have a name without proof: its policy, or its allow-list.
func (a *App) allows(n pki.Name) bool {
	if a.Policy == PolicyOpen {
		return true
	}
	return slices.ContainsFunc(a.Allowed, func(entry string) bool {
		if below, ok := strings.CutPrefix(entry, "."); ok {
			return !n.IsIP() && strings.HasSuffix(n.Base().String(), "."+below) || n.String() == "*."+below
		}
		return n.String() == entry
	})
}

func notListed(n pki.Name, app *App, field string) *Error {
	return refuse(KindRejectedName, field, "%s is not on the allow-list of the app %s: ask an operator to add it.", n, app.ID)
}

// parseNames reads and checks the names of a request: every one of them, each on its own, all faults at once. app is nil for the
// platform's own certificates, whose names need not be public: they name the caller, not a host on the internet. pointers say where in the
// request each name stands.
func (c *CA) parseNames(inputs []string, pointer func(i int) string, profile issuer.Profile, app *App) (names []pki.Name, pointers []string, err error) {
	if len(inputs) > profile.MaxNames {
		return nil, nil, refuse(KindRejectedName, "/domains", "%d names are more than the %d that one certificate of profile %s may carry: split the request.",
			len(inputs), profile.MaxNames, profile.Name)
	}
	var (
		faults   []Fault
		rejected = func(i int, err error) { faults = append(faults, Fault{Field: pointer(i), Detail: sentence(err)}) }
	)
	for i, input := range inputs {
		n, err := pki.ParseName(input)
		switch {
		case err != nil:
			rejected(i, err)
			continue
		case n.IsWildcard() && !profile.Wildcards:
			rejected(i, fmt.Errorf("profile %s has no wildcards: name each host", profile.Name))
			continue
		case n.IsIP() && !profile.IPNames:
			rejected(i, fmt.Errorf("profile %s has no addresses: ask for a host name", profile.Name))
			continue
		}
		if app != nil {
			if err := c.names.check(n); err != nil {
				rejected(i, err)
				continue
			}
			if app.Policy == PolicyList && !app.allows(n) {
				rejected(i, notListed(n, app, ""))
				continue
			}
		}
		if !slices.Contains(names, n) {
			names, pointers = append(names, n), append(pointers, pointer(i))
		}
	}
	if len(faults) > 0 {
		return nil, nil, &Error{Kind: KindRejectedName, Field: faults[0].Field, Detail: faults[0].Detail, Faults: faults}
	}
	return names, pointers, nil
}
