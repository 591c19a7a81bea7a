package issuer

import (
	"crypto"
	"fmt"
	"time"

	"github.com/imca-project/imca/internal/pki"
)

// CanaryProfile is the name under which the certificates of the door check are recorded. It is no Profile: nobody can ask for one, the authority
// makes them for itself, with keys that never leave its process.
const CanaryProfile = "canary"

// maxCanaryLife bounds the life of a canary. Those that are admitted somewhere live for minutes; only one that is revoked before it is used may
// live for longer, so that servers have had the time to fetch the list that it is on.
const maxCanaryLife = 25 * time.Hour

// CanaryRequest asks for a canary. Everything is required.
type CanaryRequest struct {
	Like                string // the profile whose certificates it is to look like, which the authority issues or stands by for
	Serial              pki.Serial
	Name                pki.Name // the only name, and the common name
	PublicKey           crypto.PublicKey
	NotBefore, NotAfter time.Time // the first and the last second; they may have passed
}

// PrepareCanary builds a canary, and checks it as Prepare does. It looks like a certificate of the profile, so that a server judges it as it would
// judge one of those: what it is differs in the records alone. A request that cannot be granted is a *RefusedError.
func (i *Issuer) PrepareCanary(request CanaryRequest) (*Draft, error) {
	profile, known := i.Profile(request.Like)
	if !known {
		profile, known = i.Standby(request.Like)
	}
	if !known {
		return nil, refuse("Like", "the authority %s neither issues the profile %q nor stands by for it: give one that it does", i.name, request.Like)
	}
	profile.Name, profile.MaxValidity, profile.MaxNames = CanaryProfile, maxCanaryLife, 1
	draft, err := i.prepare(Request{
		Profile: CanaryProfile, Serial: request.Serial, Names: []pki.Name{request.Name}, PublicKey: request.PublicKey,
		NotBefore: request.NotBefore, NotAfter: request.NotAfter,
	}, profile)
	if err != nil {
		return nil, fmt.Errorf("preparing a canary: %w", err)
	}
	return draft, nil
}
