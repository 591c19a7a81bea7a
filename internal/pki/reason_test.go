package pki_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/pki"
)

func TestReasons(t *testing.T) {
	// RFC 5280, Section 5.3.1.
	for number, name := range map[int]string{
		0: "unspecified", 1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged",
		4: "superseded", 5: "cessationOfOperation", 6: "certificateHold", 8: "removeFromCRL",
		9: "privilegeWithdrawn", 10: "aACompromise",
	} {
		r, err := pki.ParseReason(name)
		require.NoError(t, err)
		require.Equal(t, pki.Reason(number), r)
		require.Equal(t, name, r.String())
		r, err = pki.ParseReason(strings.ToUpper(name))
		require.NoError(t, err)
		require.Equal(t, pki.Reason(number), r)
	}
	require.Equal(t, []pki.Reason{pki.Unspecified, pki.KeyCompromise, pki.AffiliationChanged, pki.Superseded,
		pki.CessationOfOperation, pki.CertificateHold, pki.PrivilegeWithdrawn}, pki.LeafReasons())
	for _, none := range []pki.Reason{-1, 7, 11, pki.CACompromise, pki.AACompromise, pki.RemoveFromCRL} {
		require.False(t, none.FitsLeaf(), none.String())
	}
	require.Equal(t, "reason(7)", pki.Reason(7).String())
}

func TestParseReasonNamesTheChoice(t *testing.T) {
	for _, bad := range []string{"", "7", "1", "key compromise", "reason(7)"} {
		_, err := pki.ParseReason(bad)
		require.ErrorContains(t, err, "unspecified, keyCompromise, affiliationChanged")
		require.NotContains(t, err.Error(), "cACompromise")
	}
}
