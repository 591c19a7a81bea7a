package pki

import (
	"fmt"
	"strings"
)

// Reason says why a certificate was revoked: a CRLReason of RFC 5280,
// Section 5.3.1, with its number there.
type Reason int

// The reasons of RFC 5280, Section 5.3.1. The number 7 is not used.
const (
	Unspecified          Reason = 0
	KeyCompromise        Reason = 1
	CACompromise         Reason = 2
	AffiliationChanged   Reason = 3
	Superseded           Reason = 4
	CessationOfOperation Reason = 5
	CertificateHold      Reason = 6
	RemoveFromCRL        Reason = 8
	PrivilegeWithdrawn   Reason = 9
	AACompromise         Reason = 10
)

// name is the identifier in the RFC's ASN.1, empty for a number that it does not
// give.
func (r Reason) name() string {
	switch r {
	case Unspecified:
		return "unspecified"
	case KeyCompromise:
		return "keyCompromise"
	case CACompromise:
		return "cACompromise"
	case AffiliationChanged:
		return "affiliationChanged"
	case Superseded:
		return "superseded"
	case CessationOfOperation:
		return "cessationOfOperation"
	case CertificateHold:
		return "certificateHold"
	case RemoveFromCRL:
		return "removeFromCRL"
	case PrivilegeWithdrawn:
		return "privilegeWithdrawn"
	case AACompromise:
		return "aACompromise"
	}
	return ""
}

// String is the reason as the RFC spells it, such as "keyCompromise".
func (r Reason) String() string {
	if name := r.name(); name != "" {
		return name
	}
	return fmt.Sprintf("reason(%d)", int(r))
}

// FitsLeaf reports whether a leaf certificate may be revoked for this reason.
// The compromise of a CA or of an attribute authority is none of its affairs,
// and removeFromCRL belongs to delta CRLs.
func (r Reason) FitsLeaf() bool {
	switch r {
	case CACompromise, AACompromise, RemoveFromCRL:
		return false
	}
	return r.name() != ""
}

// LeafReasons lists the reasons that fit a leaf, in the order of their numbers.
func LeafReasons() []Reason {
	var fit []Reason
	for r := Unspecified; r <= AACompromise; r++ {
		if r.FitsLeaf() {
			fit = append(fit, r)
		}
	}
	return fit
}

// ParseReason reads a reason by its name in any case. The result may be one that
// does not fit a leaf: ask FitsLeaf.
func ParseReason(text string) (Reason, error) {
	for r := Unspecified; r <= AACompromise; r++ {
		if name := r.name(); name != "" && strings.EqualFold(name, text) {
			return r, nil
		}
	}
	var names []string
	for _, r := range LeafReasons() {
		names = append(names, r.String())
	}
	return 0, fmt.Errorf("%s is not a reason for revocation: give one of %s", quote(text), strings.Join(names, ", "))
}
