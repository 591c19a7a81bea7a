package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// revocation serves those who have a token, and those who show instead that they hold the certificate's key.
func (d *door) revocation() http.Handler {
	byToken, byKey := d.private(d.revokeCertificate), d.frame.Public(d.revokeByKey)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			byToken.ServeHTTP(w, r)
			return
		}
		byKey.ServeHTTP(w, r)
	})
}

func (d *door) revokeCertificate(c *call) error {
	serial, err := c.serial()
	if err != nil {
		return err
	}
	req := RevokeRequest{Reason: pki.Unspecified.String()}
	if err := c.optionalBody(&req); err != nil {
		return err
	}
	if req.Proof != "" {
		return &ca.Error{Kind: ca.KindInvalid, Field: "/proof", Detail: "A proof stands in for a token: leave it out, or the header Authorization."}
	}
	reason, err := parseReason(req.Reason)
	if err != nil {
		return err
	}
	cert, err := d.ca.Revoke(c.r.Context(), c.principal, serial, reason)
	if err != nil {
		return err
	}
	return d.answerFull(c, cert)
}

func parseReason(text string) (pki.Reason, error) {
	reason, err := pki.ParseReason(text)
	if err != nil {
		return 0, &ca.Error{Kind: ca.KindBadReason, Field: "/reason", Detail: sentence(err), Err: err}
	}
	return reason, nil
}

func (d *door) answerFull(c *call, cert *ca.Certificate) error {
	by, err := d.desk.Authority(cert)
	if err != nil {
		return err
	}
	answer, err := full(cert, by, d.frame.Now())
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, answer)
}

// revokeByKey needs no token, and tells nothing of the certificate: whoever holds the key need not be who it belongs to.
func (d *door) revokeByKey(w http.ResponseWriter, r *http.Request) error {
	query, err := readQuery(r.URL.RawQuery, nil)
	if err != nil {
		return err
	}
	c := &call{w: w, r: r, query: query}
	req := RevokeRequest{Reason: pki.KeyCompromise.String()}
	if err := c.optionalBody(&req); err != nil {
		return err
	}
	if req.Proof == "" {
		_, err := d.frame.Principal(r) // there is no token, which it says
		return err
	}
	serial, err := c.serial()
	if err != nil {
		return err
	}
	return d.frame.Stranger(r, func(p ca.Principal) error {
		reason, err := parseReason(req.Reason)
		switch {
		case err != nil:
			return err
		case reason != pki.KeyCompromise:
			return &ca.Error{Kind: ca.KindBadReason, Field: "/reason", Detail: "By a proof of holding the key a certificate is revoked for keyCompromise: say that, or nothing."}
		}
		key, err := pki.ParseProof(req.Proof, serial)
		if err != nil {
			return &ca.Error{Kind: ca.KindBadCSR, Field: "/proof", Detail: sentence(err), Err: err}
		}
		if err := d.ca.RevokeByKey(r.Context(), p, serial, key); err != nil {
			return err
		}
		return c.write(http.StatusNoContent, nil)
	})
}

func (d *door) releaseCertificate(c *call) error {
	serial, err := c.serial()
	if err != nil {
		return err
	}
	cert, err := d.ca.Release(c.r.Context(), c.principal, serial)
	if err != nil {
		return err
	}
	return d.answerFull(c, cert)
}

func (d *door) revokeFound(c *call) error {
	req := RevocationRequest{Reason: pki.Unspecified.String()}
	if err := c.body(&req); err != nil {
		return err
	}
	search, err := req.search()
	if err != nil {
		return err
	}
	reason, err := parseReason(req.Reason)
	if err != nil {
		return err
	}
	var step *ca.RevocationStep
	if req.DryRun {
		step, err = d.ca.CountRevocations(c.r.Context(), c.principal, search, reason, req.Cursor)
	} else {
		step, err = d.ca.RevokeFound(c.r.Context(), c.principal, search, reason, req.Confirm, req.Cursor)
	}
	if err != nil {
		return err
	}
	answer := Revocations{Matched: step.Matched, RevokedBefore: step.Before, Revoked: step.Revoked, Next: step.Next, Confirm: step.Confirm}
	now := d.frame.Now()
	for _, cert := range step.First {
		answer.First = append(answer.First, summary(cert, now))
	}
	for _, serial := range step.Missing {
		answer.Missing = append(answer.Missing, serial.String())
	}
	return c.answer(http.StatusOK, answer)
}

// search reads what to search for, and tells all that is wrong with it at once.
func (r *RevocationRequest) search() (ca.RevocationSearch, error) {
	s := ca.RevocationSearch{App: r.App, Authority: r.Authority, Profile: r.Profile}
	var wrong faults
	read := func(field, text string, into func() error) {
		if text == "" {
			return
		}
		if err := into(); err != nil {
			wrong.add(ca.KindInvalid, field, "%s", sentence(err))
		}
	}
	read("/suffix", r.Suffix, func() (err error) { s.Suffix, err = parseSuffix(r.Suffix); return err })
	read("/spki_sha256", r.SPKISHA256, func() (err error) { s.SPKIHash, err = parseHash(r.SPKISHA256); return err })
	for _, t := range []struct {
		field, text string
		into        *time.Time
	}{{"/issued_after", r.IssuedAfter, &s.IssuedAfter}, {"/issued_before", r.IssuedBefore, &s.IssuedBefore}} {
		read(t.field, t.text, func() (err error) { *t.into, err = parseTime(t.text); return err })
	}
	for i, text := range r.Serials {
		serial, err := pki.ParseSerial(text)
		if err != nil {
			wrong.add(ca.KindInvalid, "/serials/"+strconv.Itoa(i), "%s", sentence(err))
		}
		s.Serials = append(s.Serials, serial)
	}
	if r.DryRun && r.Confirm != "" {
		wrong.add(ca.KindInvalid, "/confirm", "A dry run needs no confirmation: leave it out, or \"dry_run\".")
	}
	return s, wrong.err()
}
