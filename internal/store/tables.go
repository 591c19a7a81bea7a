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
	inOrders
	inAuthorizations
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
	inOrders: {"acme_orders", []column{
		{"id", "text"}, {"account", "text"}, {"names", "text"}, {"profile", "text"}, {"replaces", "bytea"}, {"not_before", "timestamptz"},
		{"not_after", "timestamptz"}, {"created_at", "timestamptz"}, {"expires_at", "timestamptz"},
	}},
	inAuthorizations: {"acme_authorizations", []column{
		{"id", "text"}, {"account", "text"}, {`"order"`, "text"}, {"place", "integer"}, {"name", "text"}, {"status", "text"}, {"token", "text"},
		{"method", "text"}, {"attempted_at", "timestamptz"}, {"failure", "text"}, {"detail", "text"}, {"validated_at", "timestamptz"},
		{"created_at", "timestamptz"}, {"expires_at", "timestamptz"}, {"version", "integer"},
	}},
}

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
