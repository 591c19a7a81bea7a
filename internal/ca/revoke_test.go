package ca_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

func TestRevoke(t *testing.T) {
	f := newFixture(t)
	for name, test := range map[string]struct {
		p             ca.Principal
		first, second pki.Reason
		kind          ca.Kind // of the second revocation; empty: it is taken
		end           pki.Reason
	}{
		"the owner, twice the same":   {developer, pki.Superseded, pki.Superseded, "", pki.Superseded},
		"an operator":                 {operator, pki.Unspecified, pki.Unspecified, "", pki.Unspecified},
		"raised to keyCompromise":     {developer, pki.Superseded, pki.KeyCompromise, "", pki.KeyCompromise},
		"lowered from keyCompromise":  {developer, pki.KeyCompromise, pki.Superseded, ca.KindRevoked, pki.KeyCompromise},
		"from one reason to another":  {operator, pki.CessationOfOperation, pki.Superseded, ca.KindRevoked, pki.CessationOfOperation},
		"a reason that fits no leaf":  {operator, pki.Unspecified, pki.CACompromise, ca.KindBadReason, pki.Unspecified},
		"removeFromCRL is no reason":  {operator, pki.Unspecified, pki.RemoveFromCRL, ca.KindBadReason, pki.Unspecified},
		"an unknown number of reason": {operator, pki.Unspecified, pki.Reason(7), ca.KindBadReason, pki.Unspecified},
	} {
		t.Run(name, func(t *testing.T) {
			serial := f.issue("www.example.com").Certificate.Serial
			cert, err := f.Revoke(t.Context(), test.p, serial, test.first)
			require.NoError(t, err)
			require.Equal(t, &ca.Revocation{At: f.clock.Now(), Reason: test.first, By: test.p.Name}, cert.Revocation)

			f.clock.advance(time.Hour)
			_, err = f.Revoke(t.Context(), test.p, serial, test.second)
			if test.kind == "" {
				require.NoError(t, err)
			} else {
				refusal(t, err, test.kind)
			}
			cert, err = f.Certificate(t.Context(), developer, serial)
			require.NoError(t, err)
			require.Equal(t, test.end, cert.Revocation.Reason)
			require.Equal(t, f.clock.Now().Add(-time.Hour), cert.Revocation.At, "the first revocation's time stands")
			require.Equal(t, ca.StatusRevoked, cert.Status(cert.NotAfter.Add(time.Hour)))
		})
	}
}

func TestOthersDoNotRevoke(t *testing.T) {
	f := newFixture(t)
	serial := f.issue("www.example.com").Certificate.Serial
	for p, kind := range map[ca.Principal]ca.Kind{
		stranger:          ca.KindNotFound,
		auditor:           ca.KindForbidden,
		ca.Nobody("", ""): ca.KindUnauthenticated,
	} {
		_, err := f.Revoke(t.Context(), p, serial, pki.Superseded)
		refusal(t, err, kind)
	}
	cert, err := f.Certificate(t.Context(), auditor, serial)
	require.NoError(t, err)
	require.Nil(t, cert.Revocation)

	_, err = f.Revoke(t.Context(), stranger, pki.NewSerial(), pki.Superseded)
	missing := refusal(t, err, ca.KindNotFound)
	_, err = f.Revoke(t.Context(), operator, pki.NewSerial(), pki.Superseded)
	require.NotEqual(t, missing.Detail, "", "an operator is told as well")
	refusal(t, err, ca.KindNotFound)
}

func TestRenew(t *testing.T) {
	f := newFixture(t)
	old, err := f.Issue(t.Context(), developer, ca.IssueRequest{Domains: []string{"www.example.com", "192.0.2.1"}, KeyType: "ecdsa-p384"})
	require.NoError(t, err)
	f.clock.advance(60 * 24 * time.Hour)
	renewed, err := f.Renew(t.Context(), developer, old.Certificate.Serial, ca.RenewRequest{})
	require.NoError(t, err)
	require.Equal(t, old.Certificate.Names, renewed.Certificate.Names)
	require.Equal(t, old.Certificate.KeyType, renewed.Certificate.KeyType)
	require.Equal(t, old.Certificate.Serial, renewed.Certificate.Replaces)
	require.NotEqual(t, old.Certificate.SPKIHash, renewed.Certificate.SPKIHash, "a new key")
	require.True(t, renewed.Certificate.NotAfter.After(old.Certificate.NotAfter))

	_, err = f.Renew(t.Context(), stranger, old.Certificate.Serial, ca.RenewRequest{})
	refusal(t, err, ca.KindNotFound)

	deny, err := pki.ParseName("example.com")
	require.NoError(t, err)
	f.names.Deny = []pki.Name{deny}
	f.load(f.store)
	_, err = f.Renew(t.Context(), developer, old.Certificate.Serial, ca.RenewRequest{})
	refusal(t, err, ca.KindRejectedName)
}
