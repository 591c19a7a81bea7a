// Package issuer holds the key of a certificate authority and is the only package
// that signs. What a certificate may be is said by a Profile; one comes about in
// two steps:
//
//	Prepare   builds the to-be-signed certificate, reads it back, holds what was
//	          read against the request and the profile, lints it: a Draft
//	Sign      spends the Draft, signs, and proves that exactly its bytes are signed
//
// so that a caller can make the bytes durable before the key is used. SignCRL signs
// revocation lists, which are kept in parts so that one of a million entries costs
// little more than its hash. A Responder answers OCSP requests with a key of its own,
// for which the authority has signed a certificate in the same two steps.
//
// It holds to this:
//
//   - A signature costs a Draft, which only the checks make, and which pays once.
//   - Every signature of a key is made by signer.sign, the one place that uses it, and
//     of each kind at one place: signDraft, signCRL, Responder.Sign.
//   - A certificate has exactly one extended key usage: a developer's server
//     certificate can never play the platform, nor the other way round.
//   - Nothing comes from a request but the names, the key and the validity.
//   - No certificate outlives its issuer or is valid before it.
//
// It knows no application, no domain's owner, no database and no clock: who may
// have which names is decided by its caller, and so is the time.
package issuer
