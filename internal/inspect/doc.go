// Package inspect reads the configuration of a web server on its own machine, with the files that it names, and says what will keep the platform
// out, let others in, or end soon; each with file and line, the reason, and the lines that mend it.
//
// It is the other half of internal/doorcheck, which sees the same server from outside: what only the disk tells is here. The configuration is
// read as the server reads it (includes, conditions, variables, inheritance) into sites, and a table of rules (rules_*.go), each of which is one
// known failure, is held against each of them. The server's own program, where it can be run, tells what it refuses, and what is served at the
// site's address is compared with what is on the disk: a certificate that was renewed and never loaded looks right in every file.
//
// It holds to these:
//
//   - It changes nothing. A mend is said, as an edit of a file or as a command, and never carried out.
//   - A configuration that the server would refuse is read as far as it goes: what stops a server is what people look for.
//   - No private key, and no part of one, stands in a report. Text from a configuration is freed of control characters before it does.
//   - What could not be told is said.
//
// It does not fetch our CA's certificates, which are given to it, and connects only through the function that it is given.
package inspect
