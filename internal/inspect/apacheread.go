package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Bounds of a configuration: a file beyond them, or an include of itself, is an error and not a hang.
const (
	maxFile  = 4 << 20
	maxFiles = 2000
)

// reading is a configuration as the server puts it together from its files.
type reading struct {
	files  int
	faults []*syntaxError
	broken bool   // a file could not be read to its end: what encloses what is not known
	root   string // what relative paths start at
	env    map[string]string
	// loaded are Apache's modules, as <IfModule> may name them.
	loaded  map[string]bool
	modules string // the folder that they come from
}

func (r *reading) open(path string, from Position) *source {
	if r.files++; r.files > maxFiles {
		r.fault(from, "more than %d files are included: does one include itself?", maxFiles)
		return nil
	}
	text, err := readSome(path, maxFile)
	if err != nil {
		r.fault(from, "%v", err)
		return nil
	}
	return &source{path, string(text)}
}

func (r *reading) fault(at Position, format string, args ...any) {
	r.faults = append(r.faults, &syntaxError{at, fmt.Sprintf(format, args...)})
}

func (r *reading) note(err error) {
	if e := (*syntaxError)(nil); errors.As(err, &e) {
		r.faults, r.broken = append(r.faults, e), true
	}
}

// path is a path of the configuration as the server takes it.
func (r *reading) path(text string) string {
	if filepath.IsAbs(text) {
		return filepath.Clean(text)
	}
	return filepath.Join(r.root, text)
}

// readApache reads file and all that it includes. Conditions are decided, variables filled in, includes put in their place.
func readApache(file string) (directives []*directive, r *reading) {
	r = &reading{root: filepath.Dir(file), env: envvars(filepath.Join(filepath.Dir(file), "envvars")), loaded: map[string]bool{}}
	for _, builtIn := range []string{"core", "so", "http", "unixd", "log_config", "version", "watchdog"} {
		r.loaded["mod_"+builtIn+".c"], r.loaded[builtIn+"_module"] = true, true
	}
	return r.apacheFile(file, nil, Position{File: file}), r
}

func (r *reading) apacheFile(file string, up *directive, from Position) []*directive {
	src := r.open(file, from)
	if src == nil {
		return nil
	}
	read, err := parseApache(src)
	r.note(err)
	return r.apache(read, up)
}

// apache decides what of the directives is in force.
func (r *reading) apache(read []*directive, up *directive) []*directive {
	var effective []*directive
	for _, d := range read {
		words, closed := splitApache(r.expand(d.raw))
		d.args, d.up = words, up
		if !closed {
			r.fault(d.at(), "a quote is not closed")
		}
		switch d.name {
		case "define":
			r.env[d.arg(0)] = d.arg(1)
		case "undefine":
			delete(r.env, d.arg(0))
		case "serverroot":
			r.root = filepath.Clean(cmp.Or(d.arg(0), "/"))
		case "loadmodule":
			r.loaded[d.arg(0)] = true
			r.modules = filepath.Dir(r.path(d.arg(1)))
			r.loaded[strings.TrimSuffix(filepath.Base(d.arg(1)), ".so")+".c"] = true
		case "include", "includeoptional":
			effective = append(effective, r.apacheInclude(d, up)...)
			continue
		case "ifmodule", "ifdefine", "iffile", "ifversion", "ifdirective", "ifsection":
			if r.holds(d) {
				effective = append(effective, r.apache(d.block, up)...)
			}
			continue
		}
		d.block = r.apache(d.block, d)
		effective = append(effective, d)
	}
	return effective
}

// holds decides a condition of the start. Those of Apache's version and of what was read before count as fulfilled.
func (r *reading) holds(d *directive) bool {
	what, not := strings.CutPrefix(d.arg(0), "!")
	var holds bool
	switch d.name {
	case "ifmodule":
		holds = r.loaded[what]
	case "ifdefine":
		_, holds = r.env[what]
	case "iffile":
		_, err := os.Stat(r.path(what))
		holds = err == nil
	default:
		return true
	}
	return holds != not
}

// apacheInclude is what an Include names: a file, a folder with all below it, or a pattern.
func (r *reading) apacheInclude(d *directive, up *directive) []*directive {
	var effective []*directive
	pattern := r.path(d.arg(0))
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 && d.name == "include" && !strings.ContainsAny(pattern, "*?[") {
		r.fault(d.at(), "there is no %s to include", pattern)
	}
	slices.Sort(files)
	for _, file := range files {
		walked := filepath.WalkDir(file, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				effective = append(effective, r.apacheFile(path, up, d.at())...)
			}
			return err
		})
		if walked != nil {
			r.fault(d.at(), "%v", walked)
		}
	}
	return effective
}

// variable is ${NAME}. A name that is not defined stays as it is, as in Apache.
var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

func (r *reading) expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		if value, ok := r.env[name[2:len(name)-1]]; ok {
			return value
		}
		return name
	})
}

// export is a line of Debian's envvars, by which its Apache is started.
var export = regexp.MustCompile(`(?m)^\s*(?:export\s+)?([A-Z_]+)=([^\s;]*)$`)

// envvars are the variables of Debian's file of that name; none where there is no such file. $SUFFIX, which tells several Apaches of one machine
// apart, is empty.
func envvars(file string) map[string]string {
	env := map[string]string{}
	text, err := readSome(file, maxFile)
	if err != nil {
		return env
	}
	for _, found := range export.FindAllSubmatch(text, -1) {
		value := strings.Trim(strings.ReplaceAll(string(found[2]), "$SUFFIX", ""), `"'`)
		if !strings.Contains(value, "$") {
			env[string(found[1])] = value
		}
	}
	return env
}

// readSome reads a file that is not larger than it may be.
func readSome(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	if info.Size() > most {
		return nil, fmt.Errorf("%s is larger than %d MB", path, most>>20)
	}
	return os.ReadFile(path)
}
