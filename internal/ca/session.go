package ca

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
)

// How long things last that sign somebody in to the web pages.
const (
	SignInLinkLife = 30 * time.Minute // of a link that nobody opens
	SessionIdle    = 30 * time.Minute // of a session that nobody uses
	SessionLife    = 12 * time.Hour   // of any session
)

// Session is somebody's being signed in to the web pages, as it is kept: all but the secret. One that has not begun is a sign-in link, which becomes a
// session, with another secret, when it is opened.
type Session struct {
	ID     string   // "ses_…", public
	Hash   [32]byte // SHA-256 over the secret as handed out: of the link, then of the cookie
	Token  string   // the ID of the token that was shown, or what stands in its place (Principal.Token)
	Name   string   // the principal's, like those below
	Role   Role
	App    string
	Scopes Scopes

	CreatedAt time.Time
	BegunAt   time.Time // zero: a link that nobody has opened
	LastUsed  time.Time // within a minute
	EndsAt    time.Time // at the latest
}

// What secrets begin with, so that scanners find those that leak, and request logs hide them.
const (
	linkPrefix    = tokenPrefix + "link_"
	sessionPrefix = tokenPrefix + "session_"
)

// SignIn begins a session of the caller, who has shown a token, and returns the secret for the cookie.
func (c *CA) SignIn(ctx context.Context, p Principal) (secret string, s Session, err error) {
	s, secret, act, err := c.newSession(ctx, p, ActSignIn, sessionPrefix)
	if err != nil {
		return "", Session{}, err
	}
	s.BegunAt, s.EndsAt = s.CreatedAt, s.CreatedAt.Add(SessionLife)
	if err := c.store.CreateSession(context.WithoutCancel(ctx), s, act); err != nil {
		return "", Session{}, fmt.Errorf("recording the session %s: %w", s.ID, err)
	}
	return secret, s, nil
}

// SignInLink makes a secret that signs its bearer in, once, as the caller: for an address that a person opens.
func (c *CA) SignInLink(ctx context.Context, p Principal) (secret string, s Session, err error) {
	s, secret, act, err := c.newSession(ctx, p, ActLinkSession, linkPrefix)
	if err != nil {
		return "", Session{}, err
	}
	s.EndsAt = s.CreatedAt.Add(SignInLinkLife)
	if err := c.store.CreateSession(context.WithoutCancel(ctx), s, act); err != nil {
		return "", Session{}, fmt.Errorf("recording the sign-in link %s: %w", s.ID, err)
	}
	return secret, s, nil
}

func (c *CA) newSession(ctx context.Context, p Principal, a Action, prefix string) (Session, string, Act, error) {
	now := c.clock()
	id := "ses_" + randomText(9)
	act, err := c.authorize(ctx, now, p, a, target{app: p.App, object: id})
	if err != nil {
		return Session{}, "", Act{}, err
	}
	if p.Token == "" {
		return Session{}, "", Act{}, c.refused(ctx, act, refuse(KindForbidden, "", "Only somebody who has a token, or is known to the identity provider, can sign in: make a token first (imca token create)."))
	}
	secret := prefix + randomText(32)
	return Session{
		ID: id, Hash: sha256.Sum256([]byte(secret)), Token: p.Token, Name: p.Name, Role: p.Role, App: p.App, Scopes: p.Scopes, CreatedAt: now, LastUsed: now,
	}, secret, act, nil
}

// OpenSignInLink makes a session of a link, for whoever shows it first. A link that is none is refused, with an event.
func (c *CA) OpenSignInLink(ctx context.Context, link, address, requestID string) (secret string, s Session, err error) {
	now := c.clock()
	nobody := Nobody(address, requestID)
	act := Act{Event: c.event(now, nobody, ActSignIn, target{})}
	over := refuse(KindUnauthenticated, "", "This link is no good: each works once, for %d minutes. Get a new one (imca console link), or sign in another way.", SignInLinkLife/time.Minute)
	if !strings.HasPrefix(link, linkPrefix) || len(link) > 200 {
		return "", Session{}, c.refused(ctx, act, over)
	}
	hash := sha256.Sum256([]byte(link))
	s, err = c.store.SessionByHash(ctx, hash)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return "", Session{}, fmt.Errorf("looking up a sign-in link: %w", err)
	}
	if err != nil || !s.BegunAt.IsZero() || !now.Before(s.EndsAt) {
		return "", Session{}, c.refused(ctx, act, over)
	}
	if err := c.stands(ctx, s, now); err != nil {
		return "", Session{}, c.answer(ctx, act, err)
	}
	p := s.principal(address, requestID)
	if act, err = c.authorize(ctx, now, p, ActSignIn, target{app: p.App, object: s.ID}); err != nil {
		return "", Session{}, err
	}
	secret = sessionPrefix + randomText(32)
	s.Hash = sha256.Sum256([]byte(secret))
	s.BegunAt, s.LastUsed, s.EndsAt = now, now, now.Add(SessionLife)
	switch err := c.store.BeginSession(context.WithoutCancel(ctx), hash, s, act); {
	case errors.Is(err, ErrChanged):
		return "", Session{}, c.refused(ctx, act, over) // another was faster
	case err != nil:
		return "", Session{}, fmt.Errorf("beginning the session %s: %w", s.ID, err)
	}
	return secret, s, nil
}

// Session turns the secret of a session's cookie into the principal whose session it is. One that is none, or is over, is a refusal without an event: a
// cookie that has had its time is nothing that anybody tried.
func (c *CA) Session(ctx context.Context, secret, address, requestID string) (Principal, error) {
	now := c.clock()
	s, err := c.session(ctx, secret, now)
	if err != nil {
		return Principal{}, err
	}
	if now.Sub(s.LastUsed) >= time.Minute {
		if err := c.store.TouchSession(ctx, s.ID, now); err != nil {
			c.log.WarnContext(ctx, "remembering the use of a session", "session", s.ID, "error", err)
		}
	}
	return s.principal(address, requestID), nil
}

func (c *CA) session(ctx context.Context, secret string, now time.Time) (Session, error) {
	if !strings.HasPrefix(secret, sessionPrefix) || len(secret) > 200 {
		return Session{}, refuse(KindUnauthenticated, "", "Nobody is signed in: sign in first.")
	}
	s, err := c.store.SessionByHash(ctx, sha256.Sum256([]byte(secret)))
	switch {
	case errors.Is(err, ErrNotFound):
		return Session{}, refuse(KindUnauthenticated, "", "This session has ended: sign in again.")
	case err != nil:
		return Session{}, fmt.Errorf("looking up a session: %w", err)
	case s.BegunAt.IsZero() || !now.Before(s.EndsAt) || now.Sub(s.LastUsed) >= SessionIdle:
		return Session{}, refuse(KindUnauthenticated, "", "This session is over, as every one is after %d minutes without use and after %d hours at the latest: sign in again.",
			SessionIdle/time.Minute, SessionLife/time.Hour)
	}
	return s, c.stands(ctx, s, now)
}

// stands tells whether what a session stands on is still good: a token that has ended takes its sessions along.
func (c *CA) stands(ctx context.Context, s Session, now time.Time) error {
	if !strings.HasPrefix(s.Token, tokenIDPrefix) {
		return nil
	}
	t, err := c.store.Token(ctx, s.Token)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("looking up the token of a session: %w", err)
	}
	if err != nil {
		return refuse(KindUnauthenticated, "", "The token of this session is not known: sign in with another one.")
	}
	if why := t.ended(now); why != "" {
		return refuse(KindUnauthenticated, "", "%s", why)
	}
	return nil
}

func (s Session) principal(address, requestID string) Principal {
	return Principal{Name: s.Name, Role: s.Role, App: s.App, Scopes: s.Scopes, Token: s.Token, Address: address, RequestID: requestID}
}

// SignOut ends a session. Whoever is signed in no more is signed out already.
func (c *CA) SignOut(ctx context.Context, secret, address, requestID string) error {
	now := c.clock()
	s, err := c.session(ctx, secret, now)
	var refusal *Error
	switch {
	case errors.As(err, &refusal):
		return nil
	case err != nil:
		return err
	}
	p := s.principal(address, requestID)
	act, err := c.authorize(ctx, now, p, ActSignOut, target{app: p.App, object: s.ID})
	if err != nil {
		return err
	}
	if err := c.store.EndSession(context.WithoutCancel(ctx), s.ID, act); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("ending the session %s: %w", s.ID, err)
	}
	return nil
}

// EndSessions signs somebody out everywhere, and makes their sign-in links useless: who is the ID of a token, or who somebody is for the identity
// provider ("oidc:…", as events tell). It returns how many sessions and links that were.
func (c *CA) EndSessions(ctx context.Context, p Principal, who string) (int, error) {
	act, err := c.authorize(ctx, c.clock(), p, ActEndSessions, target{object: who})
	if err != nil {
		return 0, err
	}
	if who == "" {
		return 0, c.refused(ctx, act, refuse(KindInvalid, "/token_id", "Say whose sessions: the ID of a token, or who it is for the identity provider (oidc:…), as events tell."))
	}
	n, err := c.store.EndSessions(context.WithoutCancel(ctx), who, act)
	if err != nil {
		return 0, fmt.Errorf("ending the sessions of %s: %w", who, err)
	}
	return n, nil
}
