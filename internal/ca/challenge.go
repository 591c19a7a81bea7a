package ca

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"time"
)

// Challenge is one way to prove a name, with everything that it takes.
type Challenge struct {
	Method           Method
	Token            string // empty for a standing record
	KeyAuthorization string

	URL string // http-01: what shows the key authorization

	RecordName, RecordValue string // dns-01, dns-persist-01: a TXT record

	Until        time.Time // of an unproven claim
	Instructions string    // what to do, for a person: lines
}

// Challenges are the ways to prove a claim, the chosen one first. There are none where nothing is left to prove.
func (c *CA) Challenges(d Domain) []Challenge {
	if d.State == DomainRejected || d.State == DomainAwaiting && d.ProvenBy == "" && d.Flag == "" || d.ProvenBy == MethodApproved && d.State == DomainValid {
		return nil
	}
	challenges := []Challenge{c.challenge(d, d.Method)}
	for _, m := range []Method{MethodHTTP, MethodDNS, MethodStanding} {
		if m != d.Method && m.fits(d.Name, d.Wildcard) && (m != MethodStanding || c.offersStanding()) {
			challenges = append(challenges, c.challenge(d, m))
		}
	}
	return challenges
}

// StandingIdentity is the name by which standing records call this CA; empty where there are none.
func (c *CA) StandingIdentity() string {
	if !c.offersStanding() {
		return ""
	}
	return c.rules.Identity
}

func (c *CA) offersStanding() bool { return c.rules.Standing != nil && c.rules.Identity != "" }

func (c *CA) challenge(d Domain, m Method) Challenge {
	ch := Challenge{Method: m, Token: d.Token, KeyAuthorization: KeyAuthorization(d.Token, Thumbprint(d.App)), Until: d.ChallengeUntil}
	verify := fmt.Sprintf("Then: imca domain verify %s --method %s", d.Name, m)
	switch m {
	case MethodHTTP:
		ch.URL = "http://" + hostPort(d, c.rules.HTTPPort, 80) + "/.well-known/acme-challenge/" + d.Token
		ch.Instructions = fmt.Sprintf(`Let %s show this text: %s
On a web server for %s whose DocumentRoot is /var/www/html, say:
  mkdir -p /var/www/html/.well-known/acme-challenge
  printf %%s '%s' > /var/www/html/.well-known/acme-challenge/%s
%s`, ch.URL, ch.KeyAuthorization, d.Name, ch.KeyAuthorization, d.Token, verify)
	case MethodDNS:
		digest := sha256.Sum256([]byte(ch.KeyAuthorization)) // RFC 8555, Section 8.4.
		ch.RecordName, ch.RecordValue = "_acme-challenge."+d.Name.String(), base64.RawURLEncoding.EncodeToString(digest[:])
		ch.Instructions = fmt.Sprintf("Publish this DNS record, and leave it there: %s. TXT %q\n%s", ch.RecordName, ch.RecordValue, verify)
	case MethodStanding:
		ch.Token, ch.KeyAuthorization = "", ""
		ch.RecordName, ch.RecordValue = "_validation-persist."+d.Name.String(), c.rules.Identity+"; accounturi="+c.AccountURI(d.App)
		if d.Wildcard {
			ch.RecordValue += "; policy=wildcard"
		}
		ch.Instructions = fmt.Sprintf("Publish this DNS record, once and for all: %s. TXT %q\n%s", ch.RecordName, ch.RecordValue, verify)
	case MethodTLSALPN:
		ch.Instructions = fmt.Sprintf("Let port %d of %s answer acme-tls/1 (RFC 8737) with the key authorization %s\n%s", c.rules.TLSPort, d.Name, ch.KeyAuthorization, verify)
	}
	return ch
}

// hostPort is a name as it stands in a URL.
func hostPort(d Domain, port, usual uint16) string {
	host := d.Name.String()
	if d.Name.Addr().Is6() {
		host = "[" + host + "]"
	}
	if port != usual {
		host += ":" + strconv.Itoa(int(port))
	}
	return host
}

// NextStep says in one sentence or two what there is to do about a claim now, for a person.
func (c *CA) NextStep(d Domain, now time.Time) string {
	switch {
	case d.Usable(now):
		return fmt.Sprintf("Ask for the certificate: imca issue %s", quoted(d.fullName()))
	case d.State == DomainRejected:
		return "Ask an operator, if you think that this is a mistake."
	case d.State == DomainConflict:
		return "Another app has the name: its developers or an operator have to decide. Tell an operator that it is yours now."
	case d.State == DomainAwaiting && d.Flag != "" && d.ProvenBy == "":
		return "Prove the name by one of the challenges, and wait for an operator's approval."
	case d.State == DomainAwaiting:
		return fmt.Sprintf("Wait for an operator's approval: imca domain show %s tells when it is there.", d.Name)
	case d.State == DomainPending && !now.Before(d.ChallengeUntil):
		return fmt.Sprintf("The challenge is over: imca domain add %s makes a new one.", quoted(d.fullName()))
	}
	return fmt.Sprintf("Prove the name by one of the challenges, then: imca domain verify %s", d.Name)
}
