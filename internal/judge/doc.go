// Package judge lets tests ask the real thing: Debian's Apache and nginx, openssl, keytool, a PostgreSQL cluster, and
// imca's own binary, as processes on loopback.
//
// It holds to three rules. What a test needs and the machine lacks skips the test at home and fails it where CI is set,
// so that a green run has judged everything. Whatever it starts writes below the test's own temporary folder, listens where the
// test told it to, and is ended with its whole process group before the test returns. What a process printed is shown when the test fails.
//
// It never touches /etc, never uses a service manager and never installs anything (make test does that). Only tests import it.
package judge
