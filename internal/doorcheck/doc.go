// Package doorcheck stands before a developer's HTTPS endpoint as the platform would, and as those would whom it must keep out, and says who was
// let in, what is wrong, how sure that is, and which lines of configuration mend it.
//
// A check is a series of probes. Each differs from the positive control, which shows the platform's certificate, in one thing: the client
// certificate, the TLS version, the server name (SNI), the protocol (ALPN) or the address. What the probes saw goes through a table of rules
// (rules_*.go), each of which is one known failure: the knowledge of the field, testable without a network.
//
// It holds to these:
//
//   - Strangers count as refused only if all of them were, while the platform was admitted before and after. A door that refuses everyone, or that
//     stopped answering half-way, proves nothing and is called unknown; so is whatever could not be told apart. What was not tried is said.
//   - Nothing that could be a secret (the URL's query, a callback's body) is sent over a connection whose server has not shown a certificate
//     that verifies; nor does a certificate of ours ask for more than "/" where the server has not shown one for the name. Redirects are not followed.
//   - Everything is bounded: each probe and the whole check in time, each connection in bytes, the probes at one time in number.
//   - Text that came from the endpoint is shortened and freed of control characters before it stands in a report.
//
// It does not decide who may ask for a check, dials only through the function that it is given, stores nothing, and issues nothing but the
// certificates of two strangers, whose keys live as long as the check.
package doorcheck
