package ca

import "time"

// Authority is a certificate authority as data: what init made or imported, from which a server builds its issuers at start.
type Authority struct {
	Name        string
	Parent      string   // the authority that signed its certificate; empty for a root
	Certificate []byte   // DER
	KeyRef      string   // where the private key is (internal/keys); empty for one whose key rests elsewhere
	Profiles    []string // the names of the profiles that it issues
	CreatedAt   time.Time
}
