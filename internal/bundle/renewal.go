package bundle

import (
	"github.com/imca-project/imca/internal/acmelines"
	"github.com/imca-project/imca/internal/pki"
)

// Renewal is how ACME clients can renew the certificate without a hand.
type Renewal struct {
	Server acmelines.Server // without a Directory, the bundle says nothing about it

	// Bound tells that accounts need a credential, which the lines then leave to be filled in: nobody but who is shown it once has it.
	Bound bool
}

// placeholders stand for the credential.
var placeholders = acmelines.Credential{KeyID: "KEY_ID", HMACKey: "MAC_KEY"}

// renewalFolder has the lines for each client.
const renewalFolder = "renew"

// offered tells whether the lines are for a certificate with such names: they prove host names.
func (r Renewal) offered(names []pki.Name) bool {
	return r.Server.Directory != "" && acmelines.CheckNames(names) == nil
}

// renewal are the lines for every client. Empty for certificates for which there are none.
func renewal(r Renewal, names []pki.Name) ([]File, error) {
	if !r.offered(names) {
		return nil, nil
	}
	var credential acmelines.Credential
	if r.Bound {
		credential = placeholders
	}
	var files []File
	for _, client := range acmelines.Clients() {
		lines, err := acmelines.Lines(client, r.Server, credential, names...)
		if err != nil {
			return nil, err
		}
		files = append(files, File{renewalFolder + "/" + client + ".txt", 0o644, []byte(lines)})
	}
	return files, nil
}
