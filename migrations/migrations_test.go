package migrations_test

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/migrations"
)

// TestTwins holds the two directories to each other: the same files, and in them the same statements but for the names of types, the collation
// that only PostgreSQL needs, and how SQLite shall store a table.
func TestTwins(t *testing.T) {
	postgres, err := fs.Glob(migrations.Files, "postgres/*")
	require.NoError(t, err)
	lite, err := fs.Glob(migrations.Files, "sqlite/*")
	require.NoError(t, err)
	require.NotEmpty(t, postgres)
	require.Len(t, lite, len(postgres))

	for i, path := range postgres {
		name := strings.TrimPrefix(path, "postgres/")
		require.Equal(t, "sqlite/"+name, lite[i])
		require.Regexp(t, `^\d{6}_[a-z_]+\.(up|down)\.sql$`, name)
		require.Equal(t, statements(t, path, strings.NewReplacer("BYTEA", "BLOB", "TIMESTAMPTZ", "INTEGER", "BIGINT", "INTEGER", "BOOLEAN", "INTEGER", `COLLATE "C"`, "")),
			statements(t, lite[i], strings.NewReplacer(", WITHOUT ROWID", "", ") STRICT", ")")), name)
	}
}

// TestDownUndoesUp: what a migration creates, its way back drops.
func TestDownUndoesUp(t *testing.T) {
	ups, err := fs.Glob(migrations.Files, "postgres/*.up.sql")
	require.NoError(t, err)
	for _, up := range ups {
		down := statements(t, strings.Replace(up, ".up.", ".down.", 1), strings.NewReplacer())
		for _, s := range statements(t, up, strings.NewReplacer()) {
			if table, ok := strings.CutPrefix(s, "CREATE TABLE "); ok {
				require.Contains(t, down, "DROP TABLE "+strings.Fields(table)[0])
			}
		}
	}
}

// TestStrict: SQLite stores anything in any column, unless the table says STRICT.
func TestStrict(t *testing.T) {
	ups, err := fs.Glob(migrations.Files, "sqlite/*.up.sql")
	require.NoError(t, err)
	for _, up := range ups {
		for _, s := range statements(t, up, strings.NewReplacer()) {
			if strings.HasPrefix(s, "CREATE TABLE") {
				require.Contains(t, s, ") STRICT", "%s: %s", up, s)
			}
		}
	}
}

var (
	comment = regexp.MustCompile(`--[^\n]*`)
	space   = regexp.MustCompile(`\s+`)
)

// statements are those of a file, without comments and in single spaces.
func statements(t *testing.T, path string, replace *strings.Replacer) []string {
	t.Helper()
	text, err := fs.ReadFile(migrations.Files, path)
	require.NoError(t, err)
	var all []string
	for _, s := range strings.Split(comment.ReplaceAllString(string(text), ""), ";") {
		s = strings.TrimSpace(space.ReplaceAllString(replace.Replace(space.ReplaceAllString(s, " ")), " "))
		if s != "" {
			all = append(all, strings.NewReplacer(" ,", ",", " )", ")").Replace(s))
		}
	}
	return all
}
