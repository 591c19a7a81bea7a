package ca_test

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ocsp"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/issuer"
	"github.com/imca-project/imca/internal/pki"
	"github.com/imca-project/imca/internal/store/storetest"
)

// authority is the issuer of that name.
func (f *fixture) authority(name string) *issuer.Issuer {
	f.t.Helper()
	for _, i := range f.Issuers() {
		if i.Name() == name {
			return i
		}
	}
	require.Fail(f.t, "no such authority", name)
	return nil
}

// question is the DER of a request about a serial number.
func (f *fixture) question(authority string, serial *big.Int, hash crypto.Hash) []byte {
	f.t.Helper()
	der, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: serial}, f.authority(authority).Certificate(), &ocsp.RequestOptions{Hash: hash})
	require.NoError(f.t, err)
	return der
}

// ask asks by OCSP about a serial number, and checks the answer as a stranger would.
func (f *fixture) ask(authority string, serial *big.Int) *ocsp.Response {
	f.t.Helper()
	answer, err := f.OCSP(f.t.Context(), authority, f.question(authority, serial, crypto.SHA1))
	require.NoError(f.t, err)
	read, err := ocsp.ParseResponse(answer.DER, f.authority(authority).Certificate())
	require.NoError(f.t, err)
	require.Zero(f.t, read.SerialNumber.Cmp(serial))
	now := f.clock.Now()
	require.False(f.t, read.ThisUpdate.After(now))
	require.True(f.t, read.NextUpdate.After(now.Add(time.Hour)))
	require.False(f.t, read.NextUpdate.After(read.Certificate.NotAfter))
	require.False(f.t, read.Certificate.NotBefore.After(now))
	require.Equal(f.t, read.ThisUpdate, answer.ThisUpdate)
	require.Equal(f.t, read.NextUpdate, answer.NextUpdate)
	return read
}

// asked is the status alone, ocsp.Good, Revoked or Unknown.
func (f *fixture) asked(serial pki.Serial) int {
	f.t.Helper()
	return f.ask(rootName, serial.Int()).Status
}

// requireOCSPError asserts that an answer is an error.
func requireOCSPError(t *testing.T, answer ca.OCSPResponse, want ocsp.ResponseStatus) {
	t.Helper()
	_, err := ocsp.ParseResponse(answer.DER, nil)
	var refused ocsp.ResponseError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, want, refused.Status)
	require.True(t, answer.NextUpdate.IsZero(), "nobody may keep it")
}

func TestOCSPStatus(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		for _, reason := range pki.LeafReasons() {
			serial := f.issue("www.example.com").Certificate.Serial
			require.Equal(t, ocsp.Good, f.asked(serial))
			_, err := f.Revoke(t.Context(), operator, serial, reason)
			require.NoError(t, err)
			at := f.clock.Now()
			f.clock.advance(time.Minute)
			read := f.ask(rootName, serial.Int())
			require.Equal(t, ocsp.Revoked, read.Status)
			require.Equal(t, int(reason), read.RevocationReason)
			require.Equal(t, at.Truncate(time.Second), read.RevokedAt)
			require.False(t, read.ThisUpdate.Before(read.RevokedAt))
			if reason != pki.KeyCompromise {
				_, err := f.Revoke(t.Context(), developer, serial, pki.KeyCompromise)
				require.NoError(t, err)
				require.Equal(t, ocsp.KeyCompromise, f.ask(rootName, serial.Int()).RevocationReason, "a raised reason")
			}
		}
		for _, serial := range []*big.Int{pki.NewSerial().Int(), big.NewInt(1), big.NewInt(0), big.NewInt(-5), new(big.Int).Lsh(big.NewInt(1), 150)} {
			require.Equal(t, ocsp.Unknown, f.ask(rootName, serial).Status, serial)
		}
		serial := f.issue("www.example.com").Certificate.Serial
		f.clock.advance(100 * 24 * time.Hour)
		require.Equal(t, ocsp.Good, f.asked(serial), "expired, and not revoked")
	})
}

// A certificate whose issuance stopped half-way may exist: it counts by its row.
func TestOCSPOfPending(t *testing.T) {
	f := newFixture(t)
	f.issue("www.example.com")
	f.asked(pki.NewSerial()) // makes the responder
	sabotage(t, f.url)
	_, err := f.Issue(t.Context(), developer, ca.IssueRequest{Domains: []string{"www.example.com"}})
	require.Error(t, err)
	serial := f.all(ca.StatusPending)[0].Serial
	require.Equal(t, ocsp.Good, f.asked(serial))
	_, err = f.Revoke(t.Context(), developer, serial, pki.Superseded)
	require.NoError(t, err)
	require.Equal(t, ocsp.Revoked, f.asked(serial))
}

// Each authority answers for its own: its leaves, and the authorities that it has certified.
func TestOCSPOfAuthorities(t *testing.T) {
	f := newFixtureOn(t, databases["sqlite"](t), ca.HierarchyIssuing)
	issuing := f.authority(rootName + "-Issuing")
	leaf := f.issue("www.example.com").Certificate.Serial.Int()
	require.Equal(t, ocsp.Good, f.ask(issuing.Name(), leaf).Status)
	require.Equal(t, ocsp.Unknown, f.ask(rootName, leaf).Status, "the root did not issue it")
	require.Equal(t, ocsp.Good, f.ask(rootName, issuing.Certificate().SerialNumber).Status)
	require.Equal(t, ocsp.Good, f.ask(rootName, issuing.Root().SerialNumber).Status)
	require.Equal(t, ocsp.Unknown, f.ask(issuing.Name(), issuing.Certificate().SerialNumber).Status)

	// A question to one about the certificates of another.
	answer, err := f.OCSP(t.Context(), issuing.Name(), f.question(rootName, leaf, crypto.SHA256))
	require.NoError(t, err)
	requireOCSPError(t, answer, ocsp.Unauthorized)
	answer, err = f.OCSP(t.Context(), issuing.Name(), f.question(issuing.Name(), leaf, crypto.SHA512))
	require.NoError(t, err)
	requireOCSPError(t, answer, ocsp.Unauthorized)
	for _, malformed := range [][]byte{nil, []byte("GET /"), f.question(rootName, leaf, crypto.SHA1)[1:]} {
		answer, err = f.OCSP(t.Context(), rootName, malformed)
		require.NoError(t, err)
		requireOCSPError(t, answer, ocsp.Malformed)
	}
	_, err = f.OCSP(t.Context(), "Nobody", f.question(rootName, leaf, crypto.SHA1))
	refusal(t, err, ca.KindNotFound)

	resting, err := issuer.New(issuer.Config{Name: rootName, Certificate: f.authority(rootName).Certificate()})
	require.NoError(t, err)
	f.CA, err = ca.New(ca.Config{Store: f.store, Issuers: []*issuer.Issuer{resting}, Now: f.now})
	require.NoError(t, err)
	answer, err = f.OCSP(t.Context(), rootName, f.question(rootName, leaf, crypto.SHA1))
	require.NoError(t, err)
	requireOCSPError(t, answer, ocsp.Unauthorized)
}

// Signed answers are kept, and the revocation of a certificate shows in the next answer of every server all the same.
func TestNoStaleGood(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		f := newFixtureOn(t, url, ca.HierarchyDirect)
		other := *f
		other.open()
		other.load(other.store)
		serial := f.issue("www.example.com").Certificate.Serial
		answer := func(server *fixture, hash crypto.Hash) []byte {
			t.Helper()
			answer, err := server.OCSP(t.Context(), rootName, f.question(rootName, serial.Int(), hash))
			require.NoError(t, err)
			return answer.DER
		}
		var before [][]byte
		for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
			for _, server := range []*fixture{f, &other} {
				first := answer(server, hash)
				f.clock.advance(time.Second)
				require.Equal(t, first, answer(server, hash), "kept")
				before = append(before, first)
			}
		}
		_, err := f.Revoke(t.Context(), developer, serial, pki.KeyCompromise)
		require.NoError(t, err)
		for i, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA1, crypto.SHA256, crypto.SHA256} {
			after := answer([]*fixture{f, &other}[i%2], hash)
			require.NotContains(t, before, after)
			read, err := ocsp.ParseResponse(after, f.authority(rootName).Certificate())
			require.NoError(t, err)
			require.Equal(t, ocsp.Revoked, read.Status)
		}
		first := answer(f, crypto.SHA1)
		f.clock.advance(59 * time.Minute)
		require.Equal(t, first, answer(f, crypto.SHA1))
		f.clock.advance(time.Minute)
		require.NotEqual(t, first, answer(f, crypto.SHA1), "long before it lapses it is signed anew")
	})
}

// The answer to a nonce, and the answer to several questions, are for the one who asked.
func TestOCSPNonce(t *testing.T) {
	f := newFixture(t)
	a, b := f.issue("a.example.com").Certificate.Serial, f.issue("b.example.com").Certificate.Serial
	_, err := f.Revoke(t.Context(), developer, b, pki.Superseded)
	require.NoError(t, err)
	type certID struct {
		Hash      asn1.RawValue
		Name, Key []byte
		Serial    *big.Int
	}
	type one struct{ ID certID }
	type extension struct {
		ID    asn1.ObjectIdentifier
		Value []byte
	}
	type request struct {
		TBS struct {
			List       []one
			Extensions []extension `asn1:"explicit,tag:2,optional"`
		}
	}
	var both request
	for _, serial := range []pki.Serial{a, b} {
		var r request
		_, err := asn1.Unmarshal(f.question(rootName, serial.Int(), crypto.SHA1), &r)
		require.NoError(t, err)
		both.TBS.List = append(both.TBS.List, r.TBS.List...)
	}
	ask := func(r request) ca.OCSPResponse {
		t.Helper()
		der, err := asn1.Marshal(r)
		require.NoError(t, err)
		answer, err := f.OCSP(t.Context(), rootName, der)
		require.NoError(t, err)
		require.True(t, answer.NextUpdate.IsZero(), "nobody may keep it")
		return answer
	}
	answer := ask(both)
	for serial, want := range map[pki.Serial]int{a: ocsp.Good, b: ocsp.Revoked} {
		read, err := ocsp.ParseResponseForCert(answer.DER, &x509.Certificate{SerialNumber: serial.Int()}, f.authority(rootName).Certificate())
		require.NoError(t, err)
		require.Equal(t, want, read.Status)
	}
	nonce := []byte("\x04\x200123456789abcdef0123456789abcdef")
	single := both
	single.TBS.List = both.TBS.List[:1]
	single.TBS.Extensions = []extension{{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, nonce}}
	first, second := ask(single), ask(single)
	require.NotEqual(t, first.DER, second.DER, "signed for each")
	for _, answer := range []ca.OCSPResponse{first, second} {
		require.Contains(t, string(answer.DER), string(nonce))
		read, err := ocsp.ParseResponse(answer.DER, f.authority(rootName).Certificate())
		require.NoError(t, err)
		require.Equal(t, ocsp.Good, read.Status)
	}
}

// The responder is recorded like every certificate, is nobody's to ask for, and is replaced in time, for months.
func TestResponderRotates(t *testing.T) {
	f := newFixture(t)
	serial := f.issue("www.example.com").Certificate.Serial
	responders := make(map[string]bool)
	const days = 60
	for range days * 4 {
		read := f.ask(rootName, serial.Int())
		responders[read.Certificate.SerialNumber.String()] = true
		require.NoError(t, issuer.CheckStored(read.Certificate.Raw, issuer.OCSPProfile))
		f.clock.advance(6 * time.Hour)
	}
	require.InDelta(t, days/5+1, len(responders), 2)
	for text := range responders {
		number, _ := new(big.Int).SetString(text, 10)
		responder, ok := pki.SerialFromInt(number)
		require.True(t, ok)
		cert, err := f.Certificate(t.Context(), auditor, responder)
		require.NoError(t, err)
		require.Equal(t, ca.UsageOCSPSigning, cert.Usage)
		require.Equal(t, issuer.OCSPProfile, cert.Profile)
		require.Empty(t, cert.App)
		require.NotEmpty(t, cert.Signature)
		_, err = f.Certificate(t.Context(), developer, responder)
		refusal(t, err, ca.KindNotFound)
		_, err = f.Renew(t.Context(), operator, responder, ca.RenewRequest{})
		require.Error(t, err)
	}
	for _, p := range []ca.Principal{developer, operator, admin} {
		_, err := f.Issue(t.Context(), p, ca.IssueRequest{App: "demo", Profile: issuer.OCSPProfile, Domains: []string{"www.example.com"}})
		refusal(t, err, ca.KindInvalid)
	}
	findings, err := f.Examine(t.Context(), auditor, nil)
	require.NoError(t, err)
	require.Empty(t, findings)
}

// Many ask a server that has just started: one responder.
func TestOneResponderForMany(t *testing.T) {
	f := newFixture(t)
	serial := f.issue("www.example.com").Certificate.Serial
	question := f.question(rootName, serial.Int(), crypto.SHA1)
	var crowd sync.WaitGroup
	for range 50 {
		crowd.Go(func() {
			answer, err := f.OCSP(t.Context(), rootName, question)
			if err != nil {
				t.Error(err)
			} else if _, err := ocsp.ParseResponse(answer.DER, f.authority(rootName).Certificate()); err != nil {
				t.Error(err)
			}
		})
	}
	crowd.Wait()
	made := 0
	for _, c := range f.all("") {
		if c.Usage == ca.UsageOCSPSigning {
			made++
		}
	}
	require.Equal(t, 1, made)
}

// The database is away: no status is told, above all not the last one that was known; and while a new responder cannot be had, the old serves.
func TestOCSPFaults(t *testing.T) {
	f := newFixture(t)
	serial := f.issue("www.example.com").Certificate.Serial
	faults := storetest.NewFaults(f.store)
	f.load(faults)
	require.Equal(t, ocsp.Good, f.asked(serial))
	faults.Arm("Standing", storetest.DidNotHappen)
	answer, err := f.OCSP(t.Context(), rootName, f.question(rootName, serial.Int(), crypto.SHA1))
	require.NoError(t, err)
	requireOCSPError(t, answer, ocsp.TryLater)

	for _, method := range []string{"RecordCertificate", "CommitSignature"} {
		for _, how := range []storetest.Fault{storetest.DidNotHappen, storetest.DidHappen} {
			f.clock.advance(5 * 24 * time.Hour)
			faults.Arm(method, how)
			before := f.ask(rootName, serial.Int()).Certificate.SerialNumber
			f.clock.advance(2 * time.Hour)
			after := f.ask(rootName, serial.Int()).Certificate.SerialNumber
			require.NotEqual(t, before, after, "it is tried again at once")
		}
	}
	f.load(faults)
	faults.Arm("RecordCertificate", storetest.DidNotHappen)
	answer, err = f.OCSP(t.Context(), rootName, f.question(rootName, serial.Int(), crypto.SHA1))
	require.NoError(t, err)
	requireOCSPError(t, answer, ocsp.TryLater)
	require.Equal(t, ocsp.Good, f.asked(serial))
}
