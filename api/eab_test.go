package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
)

// TestLinesToPaste: the answer that shows a credential has the lines for every client; what a client's shell would misread makes no credential.
func TestLinesToPaste(t *testing.T) {
	w := newWorld(t)
	credential, err := w.as("operator").CreateEAB(t.Context(), "demo", api.EABRequest{Name: "web servers", Domains: []string{"WWW.Example.org."}})
	require.NoError(t, err)
	for _, client := range []string{"apache", "certbot", "acme.sh", "lego", "caddy", "nginx-acme", "dehydrated", "uacme"} {
		for _, want := range []string{credential.Directory, credential.KeyID, credential.HMACKey, "www.example.org"} {
			require.Contains(t, credential.Lines[client], want, client)
		}
	}
	before := w.recorded()["eab.create"]
	for field, body := range map[string]string{
		"/domains/1": `{"name":"x","domains":["www.example.org","not a name"]}`,
		"/domains/0": `{"name":"x","domains":["*.example.org"]}`,
	} {
		problem := w.ask("operator", http.MethodPost, "/v1/apps/demo/eab", body).problem(t, ca.KindInvalid)
		require.Equal(t, field, problem.Errors[0].Pointer)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/v1/apps/demo/eab", strings.NewReader(`{"name":"x"}`))
	require.NoError(t, err)
	r.Host = "ca.example.org$(reboot)"
	r.Header = http.Header{"Authorization": {"Bearer " + w.security["operator"]}, "Content-Type": {"application/json"}}
	refused, err := w.base.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, refused.Body.Close())
	require.Equal(t, http.StatusBadRequest, refused.StatusCode)
	require.Equal(t, before, w.recorded()["eab.create"])
}
