package issuer_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
)

func TestDefaultProfiles(t *testing.T) {
	profiles := issuer.DefaultProfiles()
	require.Len(t, profiles, 2)
	for _, profile := range profiles {
		require.NoError(t, profile.Validate())
		require.Equal(t, pki.ECDSAP256, profile.KeyTypes[0])
	}
	require.Equal(t, x509.ExtKeyUsageServerAuth, profiles[0].EKU)
	require.Equal(t, x509.ExtKeyUsageClientAuth, profiles[1].EKU)
}

func TestValidateProfile(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*issuer.Profile)
		why    string
	}{
		"no name":           {func(p *issuer.Profile) { p.Name = "" }, "its name"},
		"bad name":          {func(p *issuer.Profile) { p.Name = "a/b" }, "its name"},
		"any usage":         {func(p *issuer.Profile) { p.EKU = x509.ExtKeyUsageAny }, "serverAuth or clientAuth"},
		"server as client":  {func(p *issuer.Profile) { p.EKU = x509.ExtKeyUsageClientAuth }, "serverAuth and stays so"},
		"client as server":  {func(p *issuer.Profile) { p.Name = "client" }, "clientAuth and stays so"},
		"no key types":      {func(p *issuer.Profile) { p.KeyTypes = nil }, "at least one"},
		"unknown key type":  {func(p *issuer.Profile) { p.KeyTypes = []pki.KeyType{"dsa"} }, `"dsa" is none`},
		"key type twice":    {func(p *issuer.Profile) { p.KeyTypes = append(p.KeyTypes, pki.ECDSAP256) }, "ecdsa-p256 is there twice"},
		"no validity":       {func(p *issuer.Profile) { p.MaxValidity = 0 }, "longest validity"},
		"fifteen years":     {func(p *issuer.Profile) { p.MaxValidity = 15 * year }, "longest validity"},
		"default too long":  {func(p *issuer.Profile) { p.DefaultValidity = p.MaxValidity + 1 }, "default validity"},
		"negative default":  {func(p *issuer.Profile) { p.DefaultValidity = -time.Hour }, "default validity"},
		"no names":          {func(p *issuer.Profile) { p.MaxNames = 0 }, "number of names"},
		"too many names":    {func(p *issuer.Profile) { p.MaxNames = 1001 }, "number of names"},
		"long organization": {func(p *issuer.Profile) { p.Organization = strings.Repeat("ä", 65) }, "organization: give at most 64"},
		"control character": {func(p *issuer.Profile) { p.OrganizationalUnit = "a\x00b" }, "organizational unit: leave out control"},
		"country":           {func(p *issuer.Profile) { p.Country = "China" }, "two capital letters"},
	} {
		profile := issuer.DefaultProfiles()[0]
		c.change(&profile)
		require.ErrorContains(t, profile.Validate(), c.why, name)
	}
	other := issuer.DefaultProfiles()[0]
	other.Name, other.EKU = "internal-2", x509.ExtKeyUsageClientAuth
	require.NoError(t, other.Validate(), "a name of one's own may have either usage")

	err := issuer.Profile{}.Validate()
	for _, every := range []string{"its name", "extended key usage", "key types", "longest", "default", "names"} {
		require.ErrorContains(t, err, every, "all faults at once")
	}
}

func TestFixedSubject(t *testing.T) {
	key := keyOf(t, pki.ECDSAP256, 1)
	profiles := issuer.DefaultProfiles()
	profiles[0].Organization, profiles[0].OrganizationalUnit, profiles[0].Country = "腾讯 Ltd", "IM", "CN"
	by, err := issuer.New(issuer.Config{Name: "x", Certificate: newRoot(t, key), Key: key, Profiles: profiles})
	require.NoError(t, err)
	leaf := issue(t, by, request(t, "www.example.com"))
	require.Equal(t, "CN=www.example.com,OU=IM,O=腾讯 Ltd,C=CN", leaf.Subject.String())
	verifyForItsPurpose(t, by, leaf, "server")
}
