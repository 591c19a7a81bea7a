// Package keep keeps files on a machine fresh that a server there loads: revocation lists (CRLs), and the pair of a client certificate and
// its key.
//
// It holds to one thing: what is in place is never exchanged for something worse. A file is judged before it is installed, by the certificate
// of its authority and by what is there; it is installed whole or not at all, also when the power fails; the server is told to load it when it
// has changed, and told again when that did not work. When nothing better can be had, what is there stays, and the caller is told, long
// before it lapses.
//
// It opens no connection and knows no server: how to fetch, issue and reload is given to it.
package keep
