// Package migrations is the schema of the database: for each change one pair of files in postgres/ and one in sqlite/, of the same number and
// name, in the form that golang-migrate reads. The two directories say the same thing: but for the names of types, a file of one is the file of
// the other, and a test holds them to it.
//
// A file that was ever released is not changed again. It holds no data and runs nothing: see store.Migrate.
package migrations

import "embed"

// Files holds the directories "postgres" and "sqlite".
//
//go:embed postgres/*.sql sqlite/*.sql
var Files embed.FS
