package ca_test

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"
)

// Clients take the key of a credential as an argument: one that began with a hyphen would be read as an option, by certbot for one.
func TestMACKeysAreNoOptions(t *testing.T) {
	f := newFixture(t)
	const enough = 500 // one key in 64 would begin so
	for range enough {
		credential, err := f.CreateEAB(t.Context(), operator, "demo", "web servers", 0)
		require.NoError(t, err)
		require.NotEqual(t, "-", base64.RawURLEncoding.EncodeToString(credential.Hash[:])[:1])
	}
}
