package issuer_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

func canaryRequest(t testing.TB, like string) issuer.CanaryRequest {
	return issuer.CanaryRequest{
		Like: like, Serial: pki.NewSerial(), Name: names(t, "callback.platform.internal")[0], PublicKey: keyOf(t, pki.ECDSAP256, 99).Public(),
		NotBefore: start.Add(-time.Hour), NotAfter: start.Add(15 * time.Minute),
	}
}

func TestCanary(t *testing.T) {
	profiles := issuer.DefaultProfiles()
	profiles[1].Organization = "IM"
	key := keyOf(t, pki.ECDSAP256, 1)
	by, err := issuer.New(issuer.Config{Name: "x", Certificate: newRoot(t, key), Key: key, Profiles: profiles})
	require.NoError(t, err)
	for like, usage := range map[string]x509.ExtKeyUsage{issuer.ClientProfile: x509.ExtKeyUsageClientAuth, issuer.ServerProfile: x509.ExtKeyUsageServerAuth} {
		draft, err := by.PrepareCanary(canaryRequest(t, like))
		require.NoError(t, err)
		der, err := by.Sign(draft)
		require.NoError(t, err)
		parsed, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		require.Equal(t, []x509.ExtKeyUsage{usage}, parsed.ExtKeyUsage)
		require.NoError(t, issuer.CheckStored(der, issuer.CanaryProfile))
		if like == issuer.ClientProfile {
			require.Equal(t, "CN=callback.platform.internal,O=IM", parsed.Subject.String(), "as the platform's own")
		}
	}
	_, known := by.Profile(issuer.CanaryProfile)
	require.False(t, known, "nobody can ask for it")
	_, err = by.Prepare(func() issuer.Request { r := request(t, "www.example.com"); r.Profile = issuer.CanaryProfile; return r }())
	require.ErrorContains(t, err, "does not issue the profile")
}

func TestCanaryOfAnAuthorityThatStandsBy(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	config := issuer.Config{Name: "Next", Certificate: newRoot(t, key), Key: key, StandsBy: issuer.DefaultProfiles()[1:]}
	by, err := issuer.New(config)
	require.NoError(t, err)
	require.Empty(t, by.Profiles())
	require.Len(t, by.StandsBy(), 1)
	_, err = by.PrepareCanary(canaryRequest(t, issuer.ClientProfile))
	require.NoError(t, err)
	_, err = by.PrepareCanary(canaryRequest(t, issuer.ServerProfile))
	require.ErrorContains(t, err, "nor stands by for it")
	_, err = by.Prepare(func() issuer.Request { r := request(t, "www.example.com"); r.Profile = issuer.ClientProfile; return r }())
	require.ErrorContains(t, err, "does not issue the profile", "its time has not come")

	config.Profiles = config.StandsBy
	_, err = issuer.New(config)
	require.ErrorContains(t, err, `profile "client" is there twice`)
	config.StandsBy, config.Retired = nil, true
	_, err = issuer.New(config)
	require.ErrorContains(t, err, "it is retired and issues a profile")
}

func TestCanaryThatHasEnded(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	request := canaryRequest(t, issuer.ClientProfile)
	request.NotBefore, request.NotAfter = start.Add(-30*time.Minute), start.Add(-20*time.Minute)
	_, err := by.PrepareCanary(request)
	require.NoError(t, err)
}

func TestCanaryRefused(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	for why, change := range map[string]func(*issuer.CanaryRequest){
		"neither issues the profile": func(r *issuer.CanaryRequest) { r.Like = "canary" },
		"at most 25h0m0s":            func(r *issuer.CanaryRequest) { r.NotAfter = r.NotBefore.Add(25 * time.Hour) },
		"before its issuer":          func(r *issuer.CanaryRequest) { r.NotBefore = start.Add(-2 * time.Hour) },
		"key of the authority":       func(r *issuer.CanaryRequest) { r.PublicKey = keyOf(t, pki.ECDSAP256, 1).Public() },
	} {
		request := canaryRequest(t, issuer.ClientProfile)
		change(&request)
		_, err := by.PrepareCanary(request)
		require.ErrorContains(t, err, why)
		var refused *issuer.RefusedError
		require.ErrorAs(t, err, &refused)
	}
	_, below := issuing(t, keyOf(t, pki.ECDSAP256, 1), keyOf(t, pki.ECDSAP256, 2))
	_, err := below.PrepareCanary(canaryRequest(t, issuer.ClientProfile))
	require.ErrorContains(t, err, "neither issues", "an authority for servers makes no client of any kind")

	profile := issuer.DefaultProfiles()[1]
	profile.Name = issuer.CanaryProfile
	require.ErrorContains(t, profile.Validate(), "choose another")
}

// A stored canary may not live as long as a certificate of the platform.
func TestStoredCanaryIsShort(t *testing.T) {
	by := direct(t, keyOf(t, pki.ECDSAP256, 1))
	r := request(t, "callback.platform.internal")
	r.Profile, r.NotAfter = issuer.ClientProfile, r.NotBefore.Add(7*24*time.Hour)
	leaf := issue(t, by, r)
	require.NoError(t, issuer.CheckStored(leaf.Raw, issuer.ClientProfile))
	require.ErrorContains(t, issuer.CheckStored(leaf.Raw, issuer.CanaryProfile), "longer than")
}
