package ca

import (
	"cmp"
	"context"

	"github.com/imca-project/imca/internal/pki"
)

// RenewRequest asks for a successor of a certificate.
type RenewRequest struct {
	// KeyType, CSR, ValidityDays and IdempotencyKey are as in IssueRequest; with neither key nor CSR a new key of the old one's type is made.
	KeyType        string
	CSR            []byte
	ValidityDays   *int
	IdempotencyKey string
}

// Renew issues a new certificate for the names, profile and app of an old one, by all the rules of Issue. The old one stays as it is.
// A revoked one may be renewed (that is how a lost key is replaced), a pending one too.
func (c *CA) Renew(ctx context.Context, p Principal, serial pki.Serial, req RenewRequest) (*Issued, error) {
	old, _, err := c.certificate(ctx, p, ActRenew, serial)
	if err != nil {
		return nil, err
	}
	successor := IssueRequest{
		App: old.App, Profile: old.Profile, KeyType: req.KeyType, CSR: req.CSR, ValidityDays: req.ValidityDays,
		IdempotencyKey: req.IdempotencyKey, Replaces: old.Serial,
	}
	if len(req.CSR) == 0 {
		successor.KeyType = cmp.Or(req.KeyType, string(old.KeyType))
	}
	for _, n := range old.Names {
		successor.Domains = append(successor.Domains, n.String())
	}
	return c.Issue(ctx, p, successor)
}
