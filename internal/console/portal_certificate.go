package console

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/handover"
	"github.com/imca-project/imca/internal/pki"
)

// ownPage is one certificate of an app, for its developer.
type ownPage struct {
	certificateLine
	Server  string
	Servers []serverKind
	Stem    string
	Reasons []pki.Reason // to revoke it by; none where it is revoked already
	Faults  faults
}

func (ownPage) template() string { return "portal-certificate" }

// Path is where the certificate is.
func (p ownPage) Path() string { return portalPath(p.App, "certificates", p.Serial.String()) }

// ownCertificate is the one in the path, which must be of the app in the path.
func (v *visit) ownCertificate() (*ca.Certificate, error) {
	cert, err := v.certificate()
	if err == nil && cert.App != v.param("app") {
		return nil, &ca.Error{Kind: ca.KindNotFound, Detail: "The app has no such certificate: choose it in the list."}
	}
	return cert, err
}

func (v *visit) ownPage(cert *ca.Certificate) ownPage {
	p := ownPage{certificateLine: v.lines([]*ca.Certificate{cert})[0], Server: v.r.FormValue("server"), Servers: serverKinds(), Stem: handover.FileName(cert)}
	if !slices.ContainsFunc(p.Servers, func(k serverKind) bool { return k.ID == p.Server }) {
		p.Server = p.Servers[0].ID
	}
	if cert.Revocation == nil && v.may(ca.ActRevoke) {
		p.Reasons = slices.DeleteFunc(pki.LeafReasons(), func(r pki.Reason) bool { return r == pki.CertificateHold || r == pki.PrivilegeWithdrawn })
	}
	return p
}

func own(v *visit) error {
	cert, err := v.ownCertificate()
	if err != nil {
		return err
	}
	return v.show(v.ownPage(cert))
}

func revokeOwn(v *visit) error {
	cert, err := v.ownCertificate()
	if err != nil {
		return err
	}
	p := v.ownPage(cert)
	reason, err := pki.ParseReason(v.r.PostFormValue("reason"))
	if err != nil {
		p.Faults = v.fault("reason", "revoke.choose")
		return v.showStatus(http.StatusUnprocessableEntity, p)
	}
	if _, err := v.ca.Revoke(v.context(), v.principal, cert.Serial, reason); err != nil {
		said, again := refusal(err)
		if !again {
			return err
		}
		p.Faults = said
		return v.showStatus(http.StatusUnprocessableEntity, p)
	}
	return v.redirect(done(p.Path(), "revoked"))
}

// downloadBundle gives the files for a server, without a key: that is where it was made.
func downloadBundle(v *visit) error {
	cert, err := v.ownCertificate()
	if err != nil {
		return err
	}
	if len(cert.Signature) == 0 {
		return &ca.Error{Kind: ca.KindConflict, Detail: "This certificate has no signature, so there is nothing to hand over: ask for a new one."}
	}
	archive, err := v.pack(cert, nil, v.ownPage(cert).Server)
	if err != nil {
		return err
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", `attachment; filename="`+handover.FileName(cert)+`.zip"`)
	_, _ = v.w.Write(archive)
	return nil
}

// pack makes the bundle of a certificate for one server; without a key if there is none.
func (v *visit) pack(cert *ca.Certificate, key []byte, server string) ([]byte, error) {
	if !v.desk.Configures() {
		return nil, &ca.Error{Kind: ca.KindUnavailable, Detail: "No authority here issues the platform's client certificate, so no configuration can be made that admits it: ask the operator."}
	}
	in, err := v.desk.Input(cert, key)
	if err != nil {
		return nil, err
	}
	archive, err := handover.Zip(in, v.now, server)
	if err != nil {
		return nil, fmt.Errorf("packing the certificate %s: %w", cert.Serial, err)
	}
	return archive, nil
}
