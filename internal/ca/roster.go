package ca

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/imca-project/imca/internal/issuer"
)

// roster is the authorities that a process speaks for, and what it has of each. It is replaced whole when the records have changed: whoever works with
// one goes on with it to the end.
type roster struct {
	issuers    []*issuer.Issuer
	byProfile  map[string]*issuer.Issuer
	ownKeys    map[[32]byte]string // SHA-256 of the SubjectPublicKeyInfo of each authority, to its name
	lists      map[string]*list    // by the name of the authority, like responders
	responders map[string]*responder
}

// newRoster puts authorities together, with the lists that were served before. It fails when two share a name or a profile.
func newRoster(issuers []*issuer.Issuer, before *roster) (*roster, error) {
	r := &roster{
		issuers: slices.Clone(issuers), byProfile: make(map[string]*issuer.Issuer), ownKeys: make(map[[32]byte]string),
		lists: make(map[string]*list), responders: make(map[string]*responder),
	}
	for _, i := range r.issuers {
		if _, seen := r.lists[i.Name()]; seen {
			return nil, fmt.Errorf("two authorities are named %s", i.Name())
		}
		r.lists[i.Name()] = &list{by: i}
		r.responders[i.Name()] = newResponder(i, r.issuers)
		r.ownKeys[sha256.Sum256(i.Certificate().RawSubjectPublicKeyInfo)] = i.Name()
		for _, p := range i.Profiles() {
			if other, taken := r.byProfile[p.Name]; taken {
				return nil, fmt.Errorf("profile %s is issued by both %s and %s: give it to one authority", p.Name, other.Name(), i.Name())
			}
			r.byProfile[p.Name] = i
		}
	}
	if before != nil {
		r.inherit(before)
	}
	return r, nil
}

// inherit takes over what another roster has of the same authorities. A list that is published meanwhile is taken over at the next look, and a responder
// keeps its certificate.
func (r *roster) inherit(before *roster) {
	for name, l := range r.lists {
		earlier, known := before.lists[name]
		if !known || !earlier.by.Certificate().Equal(l.by.Certificate()) {
			continue
		}
		if served := earlier.served.Load(); served != nil {
			l.take(served)
		}
		answers, answered := r.responders[name], before.responders[name]
		if earlier.by.CanSign() && l.by.CanSign() && maps.Equal(answers.cas, answered.cas) {
			r.responders[name] = answered
		}
	}
}

// issuer is the authority of a name; nil if this process has none.
func (r *roster) issuer(name string) *issuer.Issuer {
	if l, known := r.lists[name]; known {
		return l.by
	}
	return nil
}

// roster is that of this moment.
func (c *CA) roster() *roster { return c.current.Load() }

// Issuers are the authorities of this CA at this moment, parents first.
func (c *CA) Issuers() []*issuer.Issuer { return slices.Clone(c.roster().issuers) }

// TrustedFor are the authorities that certificates of a kind may come from, by the usage of their profiles: the one that issues them now first, then those
// that did or will, the latest first. Whoever trusts all of them notices nothing of a roll-over.
func (c *CA) TrustedFor(usage Usage) []*issuer.Issuer {
	var issuing, others []*issuer.Issuer
	for _, i := range c.roster().issuers {
		is := func(p issuer.Profile) bool { return usageOf(p) == usage }
		switch {
		case i.Retired():
		case slices.ContainsFunc(i.Profiles(), is):
			issuing = append(issuing, i)
		case slices.ContainsFunc(i.StandsBy(), is):
			others = append(others, i)
		}
	}
	slices.Reverse(others)
	return append(issuing, others...)
}

// NotHereYet is the refusal of what needs an authority that this process has not taken over yet.
func NotHereYet(authority string) *Error {
	return &Error{Kind: KindUnavailable, RetryAfter: 2 * followTick, Detail: fmt.Sprintf(
		"The authority %s was added a moment ago, and this server has not taken it over yet: try again in a few seconds.", oneLine(authority))}
}

// PerRoster keeps what is worked out from the authorities of a CA until they change. The zero value is ready, and safe for concurrent use.
type PerRoster[T any] struct{ kept atomic.Pointer[perRoster[T]] }

type perRoster[T any] struct {
	of    *roster
	value T
}

// Of is what make works out of the authorities as they are now. make may be called more than once for the same.
func (k *PerRoster[T]) Of(c *CA, make func() T) T {
	now := c.current.Load()
	if kept := k.kept.Load(); kept != nil && kept.of == now {
		return kept.value
	}
	fresh := &perRoster[T]{now, make()}
	if c.current.Load() == now { // otherwise it may be of either
		k.kept.Store(fresh)
	}
	return fresh.value
}

// sameAuthorities tells whether two records of all authorities agree.
func sameAuthorities(a, b []Authority) bool {
	return slices.EqualFunc(a, b, func(x, y Authority) bool {
		return x.Name == y.Name && bytes.Equal(x.Certificate, y.Certificate) && x.KeyRef == y.KeyRef && slices.Equal(x.Profiles, y.Profiles) &&
			slices.Equal(x.StandsBy, y.StandsBy) && x.RetiredAt.Equal(y.RetiredAt)
	})
}
