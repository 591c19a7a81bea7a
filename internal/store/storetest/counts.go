package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

var countTests = map[string]func(*testing.T, *suite){
	"what is counted":   counted,
	"nothing to count":  countedNothing,
	"a count of others": countedOthers,
}

func counted(t *testing.T, s *suite) {
	const day = 24 * time.Hour
	at := func(days int) *ca.Certificate {
		return NewCertificate("alpha", Epoch.Add(time.Duration(days)*day), "www.example.com")
	}
	pending, first, second, again, last := at(0), at(0), at(1), at(1), at(3)
	s.record(pending)
	s.sign(first, second, again, last)
	bounds := func(from time.Time, days ...int) (all []time.Time) {
		for _, d := range days {
			all = append(all, from.Add(time.Duration(d)*day))
		}
		return all
	}
	count := func(what ca.Occurrence, bounds []time.Time) []int {
		counts, err := s.CountCertificates(t.Context(), what, bounds)
		s.must(err)
		return counts
	}
	require.Equal(t, []int{2, 2, 0, 1}, count(ca.WasIssued, bounds(Epoch, 0, 1, 2, 3, 4)))
	require.Equal(t, []int{4, 1}, count(ca.WasIssued, bounds(Epoch, 0, 2, 9)), "stretches of any length")
	require.Equal(t, []int{2}, count(ca.WasIssued, []time.Time{Epoch.Add(time.Microsecond), Epoch.Add(day + time.Microsecond)}), "from one on, and before the other")
	require.Equal(t, []int{1, 2, 0, 1}, count(ca.WillEnd, bounds(first.NotAfter, 0, 1, 2, 3, 4)), "what is pending does not end")
	require.Equal(t, []int{0, 0}, count(ca.WasRevoked, bounds(Epoch, 0, 5, 9)))

	s.revoke(ca.Revocation{At: Epoch.Add(5 * day), Reason: pki.Superseded, By: "olga"}, second, pending)
	require.Equal(t, []int{0, 2}, count(ca.WasRevoked, bounds(Epoch, 0, 5, 9)))
	require.Equal(t, []int{1, 1, 0, 1}, count(ca.WillEnd, bounds(first.NotAfter, 0, 1, 2, 3, 4)), "nor does what is revoked")
	require.Equal(t, []int{2, 2, 0, 1}, count(ca.WasIssued, bounds(Epoch, 0, 1, 2, 3, 4)), "but issued it was")

	s.revoke(ca.Revocation{At: Epoch.Add(6 * day), Reason: pki.CertificateHold, By: "olga"}, again)
	require.Equal(t, []int{2, 1}, count(ca.WasRevoked, bounds(Epoch, 5, 6, 9)))
	s.must(s.ReleaseCertificate(t.Context(), again.Serial, NewAct(Epoch.Add(7*day))))
	require.Equal(t, []int{2, 0}, count(ca.WasRevoked, bounds(Epoch, 5, 6, 9)), "what was released is not revoked")
	require.Equal(t, []int{1, 1, 0, 1}, count(ca.WillEnd, bounds(first.NotAfter, 0, 1, 2, 3, 4)))
}

func countedNothing(t *testing.T, s *suite) {
	for _, bounds := range [][]time.Time{nil, {Epoch}} {
		counts, err := s.CountCertificates(t.Context(), ca.WasIssued, bounds)
		s.must(err)
		require.Empty(t, counts)
	}
	counts, err := s.CountCertificates(t.Context(), ca.WillEnd, []time.Time{Epoch, Epoch.Add(time.Hour)})
	s.must(err)
	require.Equal(t, []int{0}, counts)
}

func countedOthers(t *testing.T, s *suite) {
	_, err := s.CountCertificates(t.Context(), "lost", []time.Time{Epoch, Epoch.Add(time.Hour)})
	require.Error(t, err)
}
