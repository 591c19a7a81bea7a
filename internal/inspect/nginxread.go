package inspect

import (
	"path/filepath"
	"slices"
	"strings"
)

// readNginx reads file and all that it includes.
func readNginx(file string) (directives []*directive, r *reading) {
	r = &reading{root: filepath.Dir(file)}
	return r.nginxFile(file, nil, Position{File: file}), r
}

func (r *reading) nginxFile(file string, up *directive, from Position) []*directive {
	src := r.open(file, from)
	if src == nil {
		return nil
	}
	read, err := parseNginx(src)
	r.note(err)
	return r.nginx(read, up)
}

func (r *reading) nginx(read []*directive, up *directive) []*directive {
	var effective []*directive
	for _, d := range read {
		d.up = up
		if d.name != "include" {
			d.block = r.nginx(d.block, d)
			effective = append(effective, d)
			continue
		}
		pattern := r.path(d.arg(0))
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 && !strings.ContainsAny(pattern, "*?[") {
			r.fault(d.at(), "there is no %s to include", pattern)
		}
		slices.Sort(files)
		for _, file := range files {
			effective = append(effective, r.nginxFile(file, up, d.at())...)
		}
	}
	return effective
}
