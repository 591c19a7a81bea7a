// Package store keeps the records of the CA in PostgreSQL or SQLite. It has all of the project's SQL.
//
// It holds to these promises:
//
//   - One method is one atomic change, its event included. Races are decided by constraints and compare-and-swap, never by reading first, so any
//     number of processes may share a database.
//   - Both databases run the same text. The few statements that must differ are in postgres.go and sqlite.go.
//   - Issuances and refusals, which come many at a time, share their commits (group.go); a commit returns when the disk has it.
//   - Every list is read from an index in its order (plan.go): its first page takes as long among five million rows as among ten thousand.
//   - Times are UTC in microseconds, and no statement asks a clock.
//
// It knows no rules: what may be recorded is decided in package ca, whose Store this is.
package store
