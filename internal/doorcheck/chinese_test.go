package doorcheck

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/phrasebook"
)

// requireChinese: a report, as it came of a real server, can be read in Chinese from one end to the other. That each sentence has a translation is
// held elsewhere; here it is found again in the texts that were put together of several.
func requireChinese(t *testing.T, r *Report) {
	t.Helper()
	book, err := phrasebook.Open("zh-CN")
	require.NoError(t, err)
	whole := append([]string{}, r.Untold...)
	var evidence []string
	for _, v := range []Verdict{r.AdmitsPlatform, r.RefusesStrangers, r.RefusesRevoked} {
		whole, evidence = append(whole, v.Reason), append(evidence, v.Evidence...)
	}
	for _, f := range r.Findings {
		whole, evidence = append(whole, f.Title, f.Advice), append(evidence, f.Evidence...)
	}
	for _, text := range whole {
		for _, part := range book.Translate(text) {
			require.False(t, part.Foreign, "%q: %q is not understood", text, part.Text)
		}
	}
	for _, text := range evidence { // which may end in the words of a library
		require.False(t, book.Translate(text)[0].Foreign, "%q is not understood", text)
	}
}
