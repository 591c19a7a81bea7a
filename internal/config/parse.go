package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Fault is one thing that is wrong with a configuration.
type Fault struct {
	Path   string // the setting, such as "listen.https", or "line 3"
	Detail string // what is wrong with it, and what to do
}

// Faults is everything that is wrong with a configuration.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Path + ": " + fault.Detail
	}
	return strings.Join(lines, "\n")
}

// Add puts a fault on the list.
func (f *Faults) Add(path, format string, args ...any) {
	*f = append(*f, Fault{Path: path, Detail: fmt.Sprintf(format, args...)})
}

// Err is the list as an error: nil when it is empty.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// Load reads a configuration file. Relative paths in it start at its folder. The error is Faults when the file could be read and
// is wrong; the configuration is then what could be made of it.
func Load(path string) (Config, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Config{}, fmt.Errorf("there is no configuration file %s: copy deploy/imca.yaml, or name another file with --config", path)
	}
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	folder, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return Config{}, fmt.Errorf("finding the folder of %s: %w", path, err)
	}
	c, err := Parse(text)
	c.startPathsAt(folder)
	return c, err
}

// Parse reads the text of a configuration file, fills in the defaults and checks it. The error is Faults.
func Parse(text []byte) (Config, error) {
	var (
		c      Config
		faults Faults
	)
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	err := decoder.Decode(&c)
	var wrong *yaml.TypeError
	switch {
	case errors.As(err, &wrong):
		for _, message := range wrong.Errors {
			faults = append(faults, translated(message))
		}
	case errors.Is(err, io.EOF): // an empty file: all defaults
	case err != nil:
		faults.Add("the file", "It is no YAML (%s): compare it with deploy/imca.yaml.", strings.TrimPrefix(err.Error(), "yaml: "))
		return c, faults
	default:
		if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
			faults.Add("the file", "It has more than one document: take out the line \"---\".")
		}
	}
	c.fill()
	return c, append(faults, c.check()...).Err()
}

// Encode writes a configuration as YAML. Parse reads it back as it was.
func (c Config) Encode() ([]byte, error) {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(c); err != nil {
		return nil, fmt.Errorf("encoding the configuration: %w", err)
	}
	return b.Bytes(), nil
}

var (
	unknownField = regexp.MustCompile(`^(line \d+): field (.*) not found in type config\.(\w+)$`)
	wrongType    = regexp.MustCompile(`^(line \d+): cannot unmarshal !!(\w+)(?: (.*))? into (.*)$`)
	twice        = regexp.MustCompile(`^(line \d+): mapping key (.*) already defined at (line \d+)$`)
)

// translated is a message of the YAML library for somebody who does not know this program's types.
func translated(message string) Fault {
	if m := unknownField.FindStringSubmatch(message); m != nil {
		return Fault{m[1], fmt.Sprintf("There is no setting %q here: correct it after docs/configuration.md, or take it out.", m[2])}
	}
	if m := twice.FindStringSubmatch(message); m != nil {
		return Fault{m[1], fmt.Sprintf("The setting %s is there already (%s): keep one.", m[2], m[3])}
	}
	if m := wrongType.FindStringSubmatch(message); m != nil {
		kinds := map[string]string{"int": "a whole number", "float64": "a number", "string": "a text", "bool": "true or false", "[]string": "a list of texts"}
		wanted, simple := kinds[m[4]]
		if !simple {
			wanted = "a block of settings"
		}
		return Fault{m[1], fmt.Sprintf("%s does not fit: give %s.", strings.Trim(m[3]+" (a "+m[2]+")", " "), wanted)}
	}
	return Fault{"the file", message + "."}
}

// startPathsAt makes relative paths start at a folder, wherever the program was started.
func (c *Config) startPathsAt(folder string) {
	place := func(path, prefix string) string {
		rest, ok := strings.CutPrefix(path, prefix)
		if !ok || rest == "" || filepath.IsAbs(rest) {
			return path
		}
		return prefix + filepath.Join(folder, rest)
	}
	c.Database = place(c.Database, "sqlite:")
	c.DatabasePassword = place(c.DatabasePassword, "file:")
	c.TLS.Certificate = place(c.TLS.Certificate, "")
	c.TLS.Key = place(c.TLS.Key, "")
	c.OIDC.CA = place(c.OIDC.CA, "")
	c.OIDC.ClientSecret = place(c.OIDC.ClientSecret, "file:")
	c.Machines.CA = place(c.Machines.CA, "")
	c.CA.Keys = place(c.CA.Keys, "")
	c.CA.Passphrase = place(c.CA.Passphrase, "file:")
}
