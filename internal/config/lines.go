package config

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Line is one setting as it stands, for people.
type Line struct {
	Path  string // "crl.interval_minutes"
	Value string
}

// Lines are all settings that have a value, in the order of the configuration. Of secrets they tell where they are, never what they are.
func (c Config) Lines() ([]Line, error) {
	text, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("printing the configuration: %w", err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("reading the printed configuration: %w", err)
	}
	var lines []Line
	var walk func(path string, n *yaml.Node)
	walk = func(path string, n *yaml.Node) {
		switch n.Kind {
		case yaml.DocumentNode:
			walk(path, n.Content[0])
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(strings.TrimPrefix(path+"."+n.Content[i].Value, "."), n.Content[i+1])
			}
		case yaml.SequenceNode:
			for i, one := range n.Content {
				walk(fmt.Sprintf("%s[%d]", path, i), one)
			}
		default:
			if n.Value != "" && n.Tag != "!!null" {
				lines = append(lines, Line{path, masked(path, n.Value)})
			}
		}
	}
	walk("", &root)
	return lines, nil
}

// mask is shown instead of a secret.
const mask = "••••••"

var secretName = regexp.MustCompile(`(?i)(password|passphrase|secret|token|credential)[^.]*$`)

// masked is a value without what must stay secret: passwords in addresses, and whatever has such a name and does not say where the secret is.
func masked(path, value string) string {
	if secretName.MatchString(path) && !strings.HasPrefix(value, "file:") && !strings.HasPrefix(value, "env:") {
		return mask
	}
	if !strings.Contains(value, "://") {
		return value
	}
	u, err := url.Parse(value)
	if err != nil {
		return mask // there may be one in it, where nobody can tell
	}
	query := u.Query()
	for name := range query {
		if secretName.MatchString(name) {
			query.Set(name, "xxxxx")
		}
	}
	u.RawQuery = query.Encode()
	return u.Redacted()
}
