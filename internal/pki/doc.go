// Package pki is the vocabulary of X.509 that the rest of imca speaks: serial
// numbers, revocation reasons, key types, names, certificate signing requests
// and PEM.
//
// It holds to one form of everything. A name, a serial or a key that has passed
// through here is in normal form, so two of them are the same thing exactly when
// they compare equal; whatever has no normal form is refused with a sentence that
// says what to write instead. Bytes of strangers are bounded before they are
// parsed.
//
// It signs nothing, knows no policy of an authority, and touches neither
// network, file nor clock.
package pki
