package ca

import "time"

// Authority is a certificate authority as data: what was made or imported, from which a server builds its issuers at start.
type Authority struct {
	Name        string
	Parent      string   // the authority that signed its certificate; empty for a root
	Certificate []byte   // DER
	KeyRef      string   // where the private key is (internal/keys); empty for one whose key rests elsewhere
	Profiles    []string // the names of the profiles that it issues
	StandsBy    []string // those that it is to issue when its time has come: it is trusted already, so that nobody is taken by surprise
	CreatedAt   time.Time
	RetiredAt   time.Time // since when nobody is to trust it; zero: it is trusted
}
