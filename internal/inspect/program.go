package inspect

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// ask has the server's own program read the configuration: what it refuses counts, whatever we think of it, and Apache tells which lines are in
// force.
func (i *inspection) ask(ctx context.Context, top []*directive) {
	if i.Run == nil {
		i.cannotTell("whether %s itself takes the configuration: its program was not asked", i.Server)
		return
	}
	for _, c := range i.commands() {
		tidy := i.withoutTrace(top)
		output, err := i.Run(ctx, c)
		tidy()
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, exec.ErrNotFound) {
			continue
		}
		if err != nil {
			i.complaint, i.complains = complaint(output)
			if i.complaint == "" {
				i.cannotTell("whether %s itself takes the configuration: %s: %v", i.Server, c.Program, err)
			}
			return
		}
		i.effective = dumped(output)
		return
	}
	i.cannotTell("whether %s itself takes the configuration: its program is not on this machine, or not where programs are looked for", i.Server)
}

// withoutTrace returns what is to be called after nginx was asked: nginx makes its pid file even then, which a server that does not run must not have.
func (i *inspection) withoutTrace(top []*directive) func() {
	file := "/run/nginx.pid"
	if d := last(top, "pid"); d != nil {
		file = d.arg(0)
	}
	if i.Server != Nginx || !filepath.IsAbs(file) || exists(file) {
		return func() {}
	}
	return func() {
		if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() && info.Size() == 0 {
			_ = os.Remove(file) // who may not remove it, could not have made it
		}
	}
}

// commands are what asks the program, by each name that it has.
func (i *inspection) commands() []Command {
	folder := filepath.Dir(i.file)
	if i.Server == Nginx {
		args := []string{"-T", "-e", "stderr", "-c", i.file}
		switch {
		case folder == "/etc/nginx": // the packages' nginx has a prefix of its own, where its logs are
		case filepath.Base(folder) == "conf":
			args = append(args, "-p", filepath.Dir(folder))
		default:
			args = append(args, "-p", folder)
		}
		return []Command{{Program: "nginx", Args: args}}
	}
	args := []string{"-t", "-D", "DUMP_CONFIG", "-d", folder, "-f", i.file}
	if module := i.reading.infoModule(); module != "" {
		args = append(args, "-c", "LoadModule info_module "+quoteApache(module)) // it is what dumps
	}
	var env []string
	for name, value := range envvars(filepath.Join(folder, "envvars")) {
		env = append(env, name+"="+value)
	}
	return []Command{{"apache2", args, env}, {"httpd", args, env}}
}

// infoModule is the file of mod_info, if it is there and not loaded yet.
func (r *reading) infoModule() string {
	if r.loaded["info_module"] || r.modules == "" {
		return ""
	}
	if file := filepath.Join(r.modules, "mod_info.so"); exists(file) {
		return file
	}
	return ""
}

var (
	apacheComplaint = regexp.MustCompile(`(?m)Syntax error on line (\d+) of (.+):\n(.+)$`)
	nginxComplaint  = regexp.MustCompile(`(?m)\[emerg\] (?:[\d#*]+: )*(.+)$`)
	nginxPlace      = regexp.MustCompile(`^(.*) in (/.+):(\d+)$`)
)

// complaint is what a program says against a configuration, and where.
func complaint(output string) (string, Position) {
	if found := apacheComplaint.FindStringSubmatch(output); found != nil {
		line, _ := strconv.Atoi(found[1]) // digits; too many of them are no line
		return found[3], Position{found[2], line}
	}
	if found := nginxComplaint.FindStringSubmatch(output); found != nil {
		if place := nginxPlace.FindStringSubmatch(found[1]); place != nil {
			line, _ := strconv.Atoi(place[3])
			return place[1], Position{place[2], line}
		}
		return found[1], Position{}
	}
	first, _, _ := strings.Cut(strings.TrimSpace(output), "\n")
	return first, Position{}
}

// dumped are the lines that mod_info's dump says are in force; nil if there is no dump.
func dumped(output string) map[Position]bool {
	var effective map[Position]bool
	file := ""
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if path, is := strings.CutPrefix(line, "# In file: "); is {
			if file = path; effective == nil {
				effective = map[Position]bool{}
			}
			continue
		}
		number, is := strings.CutSuffix(strings.TrimPrefix(line, "#"), ":")
		if n, err := strconv.Atoi(strings.TrimSpace(number)); is && err == nil && n > 0 && file != "" {
			effective[Position{file, n}] = true
		}
	}
	return effective
}

// inForce leaves out what Apache has not taken up: a condition that was decided otherwise than we thought. Directives that Apache carries out while
// it reads are not in its dump, and none of them matters here.
func (i *inspection) inForce(read []*directive) []*directive {
	if i.effective == nil {
		return read
	}
	var effective []*directive
	for _, d := range read {
		d.block = i.inForce(d.block)
		at := d.at()
		for range 1 + strings.Count(d.String(), "\n") { // a continued line counts by its last
			if i.effective[at] {
				effective = append(effective, d)
				break
			}
			at.Line++
		}
	}
	return effective
}
