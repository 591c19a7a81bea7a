// Command imca is the certificate authority of an instant-messaging platform: its server, and the commands with which operators and
// developers use it.
//
// It holds nothing but wiring: what the CA does is in internal/ca, what a route does in its door. A command reads its flags, calls a
// door's client or a verb of ca, and prints the answer; Server puts store, authority and doors together.
//
// Read it from newRoot; the server from Server.
package main

import (
	"os"
)

// version is what was built; the Makefile sets it by the linker.
var version = "unknown"

func main() {
	os.Exit(run(os.Args[1:], standardStreams()))
}
