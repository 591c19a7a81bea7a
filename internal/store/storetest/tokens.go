package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/ca"
)

var tokenTests = map[string]func(*testing.T, *suite){
	"a token comes back":             tokenComesBack,
	"there is none":                  noToken,
	"a token needs its app":          tokenNeedsApp,
	"a developer's token has an app": tokenRoles,
	"a hash is taken once":           tokenHashOnce,
	"last used goes forward only":    tokenTouched,
	"a token is revoked once":        tokenRevokedOnce,
	"a token is rotated":             tokenRotated,
	"lists go by bytes":              tokensByBytes,
}

func tokenComesBack(t *testing.T, s *suite) {
	full := NewToken("tok_full", "alpha")
	full.Name, full.CreatedBy = "Zoë", "olga\nthe second"
	full.Scopes, full.SupersededAt = "certificate.issue domain.read", Epoch.Add(time.Hour)
	full.ExpiresAt, full.RevokedAt, full.LastUsed = Epoch.Add(time.Hour), Epoch.Add(time.Minute), Epoch.Add(time.Second)
	for _, token := range []ca.Token{NewToken("tok_1", "alpha"), NewToken("tok_2", ""), full} {
		s.must(s.CreateToken(t.Context(), token, NewAct(Epoch)))
		byHash, err := s.TokenByHash(t.Context(), token.Hash)
		s.must(err)
		require.Equal(t, token, byHash)
		byID, err := s.Token(t.Context(), token.ID)
		s.must(err)
		require.Equal(t, token, byID)
	}
}

func tokenRotated(t *testing.T, s *suite) {
	end := Epoch.Add(time.Hour)
	unending, ending, ended, revoked := NewToken("tok_1", "alpha"), NewToken("tok_2", "alpha"), NewToken("tok_3", "alpha"), NewToken("tok_4", "alpha")
	ending.ExpiresAt, ended.ExpiresAt, revoked.RevokedAt = Epoch.Add(time.Minute), Epoch, Epoch
	for _, token := range []ca.Token{unending, ending, ended, revoked} {
		s.must(s.CreateToken(t.Context(), token, NewAct(Epoch)))
	}
	for i, token := range []ca.Token{unending, ending} {
		successor := NewToken([]string{"tok_5", "tok_6"}[i], "alpha")
		before := s.events()
		s.must(s.RotateToken(t.Context(), token.ID, Epoch, end, successor, NewAct(Epoch)))
		require.Equal(t, before+1, s.events())
		got, err := s.Token(t.Context(), successor.ID)
		s.must(err)
		require.Equal(t, successor, got)
		token.SupersededAt = end
		got, err = s.Token(t.Context(), token.ID)
		s.must(err)
		require.Equal(t, token, got)
	}
	sooner := NewToken("tok_8", "alpha")
	s.must(s.RotateToken(t.Context(), unending.ID, Epoch, Epoch.Add(time.Minute), sooner, NewAct(Epoch)))
	s.must(s.RotateToken(t.Context(), unending.ID, Epoch, end, NewToken("tok_9", "alpha"), NewAct(Epoch)))
	got, err := s.Token(t.Context(), unending.ID)
	s.must(err)
	require.Equal(t, Epoch.Add(time.Minute), got.SupersededAt, "the earlier end stands")
	require.ErrorIs(t, s.RotateToken(t.Context(), unending.ID, Epoch.Add(time.Minute), end, NewToken("tok_7", "alpha"), NewAct(Epoch)), ca.ErrChanged)
	for _, id := range []string{ended.ID, revoked.ID, "tok_none"} {
		s.unchanged(func() {
			require.ErrorIs(t, s.RotateToken(t.Context(), id, Epoch, end, NewToken("tok_7", "alpha"), NewAct(Epoch)), ca.ErrChanged, id)
		})
	}
	_, err = s.Token(t.Context(), "tok_7")
	require.ErrorIs(t, err, ca.ErrNotFound)
}

func noToken(t *testing.T, s *suite) {
	_, err := s.TokenByHash(t.Context(), [32]byte{})
	require.ErrorIs(t, err, ca.ErrNotFound)
	for _, id := range []string{"", "tok_none", "\x00", "\xff\xff", "' OR 1=1 --"} {
		_, err = s.Token(t.Context(), id)
		require.ErrorIs(t, err, ca.ErrNotFound, "%q", id)
		s.unchanged(func() {
			require.ErrorIs(t, s.RevokeToken(t.Context(), id, Epoch, NewAct(Epoch)), ca.ErrNotFound, "%q", id)
		})
	}
}

func tokenNeedsApp(t *testing.T, s *suite) {
	s.unchanged(func() {
		require.ErrorIs(t, s.CreateToken(t.Context(), NewToken("tok_1", "none"), WithClaim(Epoch, NewClaim("k", "x"))), ca.ErrNotFound)
	})
	_, err := s.Token(t.Context(), "tok_1")
	require.ErrorIs(t, err, ca.ErrNotFound)
	s.must(s.CreateToken(t.Context(), NewToken("tok_1", "alpha"), WithClaim(Epoch, NewClaim("k", "x")))) // the claim is free
}

func tokenRoles(t *testing.T, s *suite) {
	for _, spoil := range []func(*ca.Token){
		func(k *ca.Token) { k.App = "" },
		func(k *ca.Token) { k.Role = ca.RoleAdmin },
	} {
		token := NewToken("tok_1", "alpha")
		spoil(&token)
		s.unchanged(func() { require.Error(t, s.CreateToken(t.Context(), token, NewAct(Epoch))) })
	}
}

func tokenHashOnce(t *testing.T, s *suite) {
	a, b := NewToken("tok_1", "alpha"), NewToken("tok_2", "beta")
	b.Hash = a.Hash
	s.must(s.CreateToken(t.Context(), a, NewAct(Epoch)))
	s.unchanged(func() { require.Error(t, s.CreateToken(t.Context(), b, NewAct(Epoch))) })
	got, err := s.TokenByHash(t.Context(), a.Hash)
	s.must(err)
	require.Equal(t, a, got)
}

func tokenTouched(t *testing.T, s *suite) {
	s.must(s.CreateToken(t.Context(), NewToken("tok_1", "alpha"), NewAct(Epoch)))
	used := func() time.Time {
		got, err := s.Token(t.Context(), "tok_1")
		s.must(err)
		return got.LastUsed
	}
	for _, step := range []struct{ at, want time.Duration }{{time.Hour, time.Hour}, {time.Minute, time.Hour}, {2 * time.Hour, 2 * time.Hour}} {
		s.must(s.TouchToken(t.Context(), "tok_1", Epoch.Add(step.at)))
		require.Equal(t, Epoch.Add(step.want), used())
	}
	for _, err := range together(20, func(i int) error { return s.TouchToken(t.Context(), "tok_1", Epoch.Add(time.Duration(3+i)*time.Hour)) }) {
		require.NoError(t, err)
	}
	require.Equal(t, Epoch.Add(22*time.Hour), used())
	s.must(s.TouchToken(t.Context(), "tok_none", Epoch))
}

func tokenRevokedOnce(t *testing.T, s *suite) {
	token := NewToken("tok_1", "alpha")
	s.must(s.CreateToken(t.Context(), token, NewAct(Epoch)))
	s.must(s.RevokeToken(t.Context(), token.ID, Epoch.Add(time.Hour), NewAct(Epoch)))
	s.unchanged(func() {
		require.ErrorIs(t, s.RevokeToken(t.Context(), token.ID, Epoch.Add(2*time.Hour), NewAct(Epoch)), ca.ErrChanged)
	})
	got, err := s.TokenByHash(t.Context(), token.Hash)
	s.must(err)
	require.Equal(t, Epoch.Add(time.Hour), got.RevokedAt)
}

func tokensByBytes(t *testing.T, s *suite) {
	ids := []string{"tok_a", "tok_B", "tok_-a", "tok__a", "tok_0", "tok_Z", "tok_z", "tok_aa"}
	for _, app := range []string{"alpha", "beta", ""} {
		for _, id := range ids {
			s.must(s.CreateToken(t.Context(), NewToken(id+"."+app, app), NewAct(Epoch)))
		}
	}
	for _, app := range []string{"alpha", "beta", ""} {
		var want []string
		for _, id := range ids {
			want = append(want, id+"."+app)
		}
		slices.Sort(want)
		for _, limit := range []int{1, 3, 8, 100} {
			var listed []string
			for after := ""; ; {
				page, err := s.ListTokens(t.Context(), app, after, limit)
				s.must(err)
				require.LessOrEqual(t, len(page), limit)
				if len(page) == 0 {
					break
				}
				for _, k := range page {
					require.Equal(t, app, k.App)
					listed = append(listed, k.ID)
				}
				after = page[len(page)-1].ID
			}
			require.Equal(t, want, listed, "app %q", app)
		}
	}
	page, err := s.ListTokens(t.Context(), "none", "", 10)
	s.must(err)
	require.Empty(t, page)
}
