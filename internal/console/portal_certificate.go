package console

import (
	"archive/zip"
	"bytes"
	"crypto/x509"
	"fmt"
	"net/http"
	"slices"

	"github.com/imca-project/imca/internal/bundle"
	"github.com/imca-project/imca/internal/ca"
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
	p := ownPage{certificateLine: v.lines([]*ca.Certificate{cert})[0], Server: v.r.FormValue("server"), Servers: serverKinds(), Stem: stem(cert)}
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
	h.Set("Content-Disposition", `attachment; filename="`+stem(cert)+`.zip"`)
	_, _ = v.w.Write(archive)
	return nil
}

// stem is what the files of a certificate are called, without their ending.
func stem(cert *ca.Certificate) string {
	for _, n := range cert.Names {
		if !n.IsIP() {
			return bundle.Stem(n)
		}
	}
	return bundle.Stem(cert.Names[0])
}

// pack makes the bundle of a certificate for one server; without a key if there is none.
func (v *visit) pack(cert *ca.Certificate, key []byte, server string) ([]byte, error) {
	der, err := cert.DER()
	if err != nil {
		return nil, err
	}
	in := bundle.Input{Certificate: pki.EncodeCertificate(der), Key: key, ClientName: v.clientName}
	above := chainOf(v.ca, cert.Authority)
	for _, issuer := range above[:len(above)-1] {
		in.Chain = append(in.Chain, pki.EncodeCertificate(issuer.Raw)...)
	}
	in.Root = v.authority(above[len(above)-1])
	for _, i := range v.ca.Issuers() {
		for _, profile := range i.Profiles() {
			if profile.EKU == x509.ExtKeyUsageClientAuth {
				path := append([]*x509.Certificate{i.Certificate()}, i.Chain()...)
				in.ClientCA, in.VerifyDepth, in.CRLURLs = v.authority(i.Root()), len(path), v.listsOf(path)
			}
		}
	}
	if in.ClientCA.Name == "" {
		return nil, &ca.Error{Kind: ca.KindUnavailable, Detail: "No authority here issues the platform's client certificate, so no configuration can be made that admits it: ask the operator."}
	}
	files, err := bundle.Files(in, server)
	if err != nil {
		return nil, fmt.Errorf("packing the certificate %s: %w", cert.Serial, err)
	}
	return v.zip(files)
}

func (v *visit) zip(files []bundle.File) ([]byte, error) {
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	for _, file := range files {
		header := &zip.FileHeader{Name: file.Name, Method: zip.Deflate, Modified: v.now}
		header.SetMode(file.Mode)
		entry, err := archive.CreateHeader(header)
		if err == nil {
			_, err = entry.Write(file.Content)
		}
		if err != nil {
			return nil, fmt.Errorf("zipping %s: %w", file.Name, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("zipping: %w", err)
	}
	return buffer.Bytes(), nil
}

// authority is a root as a bundle names it.
func (v *visit) authority(root *x509.Certificate) bundle.Authority {
	for _, i := range v.ca.Issuers() {
		if i.Certificate().Equal(root) {
			return bundle.Authority{Name: i.Name(), Certificates: pki.EncodeCertificate(root.Raw)}
		}
	}
	return bundle.Authority{Name: "CA", Certificates: pki.EncodeCertificate(root.Raw)}
}

// listsOf are where the revocation lists of the authorities on a path are; none, unless all of them have one.
func (v *visit) listsOf(path []*x509.Certificate) (list []string) {
	for _, certificate := range path {
		for _, i := range v.ca.Issuers() {
			if i.Certificate().Equal(certificate) && i.CRLURL() != "" {
				list = append(list, i.CRLURL())
			}
		}
	}
	if len(list) != len(path) {
		return nil
	}
	return list
}
