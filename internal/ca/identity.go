package ca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Identity is somebody whom others than this CA vouch for: an identity provider, or whoever certifies the operators' machines.
type Identity struct {
	Subject string // who it is, for those who vouch: never given to anybody else
	Name    string // for people
	Role    Role   // any but RoleDeveloper
}

// AuthenticateMachine turns the chain of client certificates that a machine has shown, the leaf first, into a principal. The refusals are
// events too. Where no machines are recognized it is as if nothing had been shown.
func (c *CA) AuthenticateMachine(ctx context.Context, chain []*x509.Certificate, address, requestID string) (Principal, error) {
	if c.recognize == nil {
		return c.Authenticate(ctx, "", address, requestID)
	}
	now := c.clock()
	return c.vouched(ctx, now, Nobody(address, requestID), "machine:", func() (Identity, error) { return c.recognize(chain, now) })
}

// vouched makes a principal of somebody whom others vouch for. Where a token's ID would stand, the kind and the subject do.
func (c *CA) vouched(ctx context.Context, now time.Time, nobody Principal, kind string, identify func() (Identity, error)) (Principal, error) {
	act := Act{Event: c.event(now, nobody, ActAuthenticate, target{})}
	who, err := identify()
	var refusal *Error
	switch {
	case errors.As(err, &refusal):
		return Principal{}, c.refused(ctx, act, refusal)
	case err != nil:
		return Principal{}, fmt.Errorf("asking who it is: %w", err)
	case who.Role == RoleDeveloper || !slices.Contains(Roles(), who.Role):
		return Principal{}, fmt.Errorf("%s%s was given the role %q", kind, who.Subject, who.Role)
	}
	return Principal{Name: oneLine(who.Name), Role: who.Role, Token: oneLine(kind + who.Subject), Address: nobody.Address, RequestID: nobody.RequestID}, nil
}
