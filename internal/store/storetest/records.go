package storetest

import (
	"crypto/rand"
	"time"

	"github.com/google/uuid"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// Epoch is when the records of the suite are made, unless they say otherwise.
var Epoch = time.Date(2026, 3, 14, 9, 26, 53, 589793000, time.UTC)

// NewEvent is an event of an action at a time.
func NewEvent(at time.Time, action ca.Action) ca.Event {
	id := ca.FirstEventID(at)
	random := random(7)
	copy(id[9:], random)
	return ca.Event{
		ID: id, At: at, Action: action, Outcome: ca.OutcomeDone, Actor: "ci of alpha", Role: ca.RoleDeveloper, Token: "tok_AAAAAAAAAAAA",
		Address: "192.0.2.7", RequestID: uuid.NewString(), App: "alpha", Object: "thing", Detail: map[string]string{"why": "the suite"},
	}
}

// NewAct is an act without a claim.
func NewAct(at time.Time) ca.Act { return ca.Act{Event: NewEvent(at, ca.ActIssueServer)} }

// NewCertificate is a certificate of an app, about to be signed at a time; of the platform's, when app is empty.
func NewCertificate(app string, at time.Time, names ...string) *ca.Certificate {
	c := &ca.Certificate{
		Serial: pki.NewSerial(), Authority: "TencentQQAuthCA", Profile: "server", Usage: ca.UsageServerAuth, App: app, RequestedBy: "ci of " + app,
		KeyType: pki.ECDSAP256, SPKIHash: [32]byte(random(32)),
		NotBefore: at.Add(-5 * time.Minute).Truncate(time.Second), NotAfter: at.Add(90 * 24 * time.Hour).Truncate(time.Second),
		CreatedAt: at, TBS: random(480),
	}
	if app == "" {
		c.Profile, c.Usage = "client", ca.UsageClientAuth
	}
	for _, text := range names {
		name, err := pki.ParseName(text)
		if err != nil {
			panic(err)
		}
		c.Names = append(c.Names, name)
	}
	return c
}

// Sign gives a certificate a signature and a fingerprint of its own.
func Sign(c *ca.Certificate) {
	c.Signature = random(71)
	c.Fingerprint = [32]byte(random(32))
}

// NewApp is an app that may ask for anything.
func NewApp(id string) ca.App {
	return ca.App{ID: id, Name: "The app " + id, Policy: ca.PolicyOpen, CreatedAt: Epoch, Version: 1}
}

// NewToken is a developer's token of an app, or an operator's when app is empty.
func NewToken(id, app string) ca.Token {
	t := ca.Token{ID: id, Hash: [32]byte(random(32)), Name: "token " + id, Role: ca.RoleDeveloper, App: app, CreatedAt: Epoch, CreatedBy: "olga"}
	if app == "" {
		t.Role = ca.RoleOperator
	}
	return t
}

// NewClaim is a claim on an object.
func NewClaim(key, object string) *ca.Claim {
	return &ca.Claim{Scope: "token:tok_AAAAAAAAAAAA", Key: key, Request: [32]byte(random(32)), Object: object, At: Epoch}
}

// WithClaim is an act that makes a claim.
func WithClaim(at time.Time, c *ca.Claim) ca.Act {
	act := NewAct(at)
	act.Claim = c
	return act
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
