package store

import (
	"fmt"
	"strings"
)

// table is one that many writes insert into at once.
type table struct {
	name    string
	columns []column
}

// column is a name and what PostgreSQL calls the type.
type column struct{ name, kind string }

// Places in groupTables.
const (
	inCertificates = iota
	inNames
	inPending
	inEvents
	inClaims
)

// groupTables are what a group of writes inserts into.
var groupTables = [...]table{
	inCertificates: {"certificates", []column{
		{"serial", "bytea"}, {"authority", "text"}, {"profile", "text"}, {"usage", "text"}, {"app", "text"}, {"requested_by", "text"},
		{"names", "text"}, {"key_type", "text"}, {"spki_hash", "bytea"}, {"not_before", "timestamptz"}, {"not_after", "timestamptz"},
		{"created_at", "timestamptz"}, {"replaces", "bytea"}, {"tbs", "bytea"},
	}},
	inNames: {"certificate_names", []column{
		{"reversed", "text"}, {"created_at", "timestamptz"}, {"serial", "bytea"}, {"app", "text"}, {"previous", "text"},
	}},
	inPending: {"pending", []column{{"created_at", "timestamptz"}, {"serial", "bytea"}}},
	inEvents: {"events", []column{
		{"id", "bytea"}, {"at", "timestamptz"}, {"action", "text"}, {"outcome", "text"}, {"actor", "text"}, {"role", "text"}, {"token", "text"},
		{"address", "text"}, {"request_id", "text"}, {"app", "text"}, {"object", "text"}, {"detail", "text"},
	}},
	inClaims: {"claims", []column{
		{"scope", "text"}, {"key", "bytea"}, {"request", "bytea"}, {"object", "text"}, {"at", "timestamptz"},
	}},
}

// nonceTable has the nonces that were spent.
var nonceTable = table{"acme_nonces", []column{{"nonce", "bytea"}, {"until", "timestamptz"}}}

// insert is the statement for one row, its values as $1, $2 …
func (t table) insert() string {
	var names, values []string
	for i, c := range t.columns {
		names = append(names, c.name)
		values = append(values, fmt.Sprintf("$%d", i+1))
	}
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", t.name, strings.Join(names, ", "), strings.Join(values, ", "))
}

// insertArrays is PostgreSQL's statement for many rows, each column an array, the first of them parameter number first.
func (t table) insertArrays(first int) string {
	var names, arrays []string
	for i, c := range t.columns {
		names = append(names, c.name)
		arrays = append(arrays, fmt.Sprintf("$%d::%s[]", first+i, c.kind))
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT * FROM unnest(%s)", t.name, strings.Join(names, ", "), strings.Join(arrays, ", "))
}

// unlessThere ends an insertion that leaves out the rows whose key, the first column, is there, and returns the keys of the others.
func (t table) unlessThere() string {
	key := t.columns[0].name
	return fmt.Sprintf(" ON CONFLICT (%s) DO NOTHING RETURNING %s", key, key)
}
