package api_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/ca"
)

func TestReplacements(t *testing.T) {
	w := newWorld(t)
	operator, developer := w.as("operator"), w.as("developer")
	cert, err := developer.Issue(t.Context(), api.IssueRequest{Domain: "replaced.example.com"})
	require.NoError(t, err)
	step, err := operator.PlanReplacements(t.Context(), api.ReplacementRequest{Serials: []string{cert.Serial, "01" + cert.Serial[2:32] + "00"}, ReplaceBy: "2098-01-01"})
	require.NoError(t, err)
	require.Equal(t, 1, step.Planned)
	require.Len(t, step.Missing, 1)
	page, err := developer.Replacements(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	require.Equal(t, cert.Serial, page.Items[0].Certificate.Serial)
	require.Equal(t, time.Date(2098, 1, 1, 0, 0, 0, 0, time.UTC), page.Items[0].ReplaceBy)

	_, err = developer.Replacements(t.Context(), api.Filter{"app": "other"})
	refusal(t, err, ca.KindNotFound)
	_, err = operator.Replacements(t.Context(), api.Filter{"cursor": "x"})
	refusal(t, err, ca.KindInvalid)
	for _, req := range []api.ReplacementRequest{
		{ReplaceBy: "2098-01-01"}, {Suffix: "example.com", ReplaceBy: "soon"}, {Suffix: "example.com", ReplaceBy: "2001-01-01"}, {Serials: []string{"x"}},
	} {
		_, err = operator.PlanReplacements(t.Context(), req)
		refusal(t, err, ca.KindInvalid)
	}
	_, err = operator.PlanReplacements(t.Context(), api.ReplacementRequest{Serials: []string{cert.Serial}})
	require.NoError(t, err)
	page, err = operator.Replacements(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, page.Items)
}
