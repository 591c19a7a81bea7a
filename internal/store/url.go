package store

import (
	"errors"
	"net/url"
	"strings"
)

// address is a database URL, read: one of the two is set.
type address struct {
	postgres string // as it came
	sqlite   string // path of the file
}

// These say nothing of what came, for there may be a password in it.
var (
	errURL = errors.New(`the database URL is neither PostgreSQL's nor SQLite's: write "postgres://USER:PASSWORD@HOST:PORT/DATABASE" or "sqlite:PATH"`)

	errPostgresURL = errors.New(`the database URL cannot be read: write "postgres://USER:PASSWORD@HOST:PORT/DATABASE", with what is not a letter or digit in ` +
		`the user's name and the password as % and two hexadecimal digits ("@" is %40, "/" is %2F), and check the parameters after "?"`)
)

func parseURL(text string) (address, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	switch scheme {
	case "postgres", "postgresql":
		if !strings.HasPrefix(rest, "//") {
			return address{}, errURL
		}
		if _, err := url.Parse(text); err != nil {
			return address{}, errPostgresURL
		}
		return address{postgres: text}, nil
	case "sqlite":
		if path := strings.TrimPrefix(rest, "//"); path != "" {
			return address{sqlite: path}, nil
		}
	}
	return address{}, errURL
}
