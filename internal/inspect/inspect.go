package inspect

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// Config is what an inspection stands on. Only Server and Path are needed.
type Config struct {
	Server Product
	// Path is the server's configuration: its first file, or the folder in which that has its usual name.
	Path string
	// Name chooses one site by its name; "": all that are for the platform.
	Name string

	// ClientCAs are the roots of the platform's certificates; empty: whether the server has the right ones is not told.
	ClientCAs []*x509.Certificate
	// Roots are what servers' certificates lead to; nil: chains are only looked at in themselves.
	Roots *x509.CertPool
	// Platform is the common name of the platform's certificate. Default: callback.platform.internal.
	Platform string
	// Depth is how many certificates lead from the platform's to its root, the root included. Default: 1.
	Depth int

	// User starts the server and opens its files. Default: root.
	User string
	// Dial connects to the addresses at which the sites listen; nil: what they serve is not looked at.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Run runs the server's own program, for its opinion of the configuration; nil: it is not asked.
	Run func(ctx context.Context, c Command) (output string, err error)

	Now func() time.Time // default: time.Now
	// ExpiresSoon is how long before its end a certificate or a list is warned of. Default: 14 days.
	ExpiresSoon time.Duration
}

// Command is a program to run.
type Command struct {
	Program string
	Args    []string
	Env     []string // beside the usual: NAME=VALUE
}

func (c Config) withDefaults() Config {
	c.Platform = cmp.Or(c.Platform, "callback.platform.internal")
	c.Depth = cmp.Or(c.Depth, 1)
	c.User = cmp.Or(c.User, "root")
	c.ExpiresSoon = cmp.Or(c.ExpiresSoon, 14*24*time.Hour)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// usual are the names of the first file, by their folder.
var usual = map[Product][]string{
	Apache: {"apache2.conf", "httpd.conf", "conf/httpd.conf"},
	Nginx:  {"nginx.conf", "conf/nginx.conf"},
}

// Find is the first file of a server's configuration: path itself, or the file of the usual name in it. The error is for the user.
func Find(server Product, path string) (string, error) {
	names, ok := usual[server]
	if !ok {
		return "", fmt.Errorf("%q is no server that can be inspected: choose apache or nginx", server)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("finding the configuration of %s: %w: give its folder, or its first file", server, err)
	}
	if !info.IsDir() {
		return filepath.Abs(path)
	}
	for _, name := range names {
		if file := filepath.Join(path, name); exists(file) {
			return filepath.Abs(file)
		}
	}
	return "", fmt.Errorf("there is no %s in %s: give the folder of the configuration of %s, or its first file", names[0], path, server)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// Inspect reads a server's configuration and holds the rules against it. An error means that nothing was inspected.
func Inspect(ctx context.Context, c Config) (*Report, error) {
	c = c.withDefaults()
	file, err := Find(c.Server, c.Path)
	if err != nil {
		return nil, err
	}
	i := &inspection{Config: c, file: file, now: c.Now()}
	if i.reader, err = findReader(c.User); err != nil {
		return nil, err
	}
	var top []*directive
	if c.Server == Apache {
		top, i.reading = readApache(file)
	} else {
		top, i.reading = readNginx(file)
	}
	if len(top) == 0 && len(i.reading.faults) > 0 {
		return nil, fmt.Errorf("reading the configuration: %w", i.reading.faults[0])
	}
	i.ask(ctx, top)
	switch {
	case i.reading.broken:
		i.cannotTell("what the sites are: first mend what cannot be read")
		return i.report(ctx), nil
	case c.Server == Apache:
		i.sites = apacheSites(i.inForce(top), i.reading)
	default:
		i.sites = nginxSites(top, i.reading)
	}
	return i.report(ctx), nil
}

// inspection is one run over one configuration.
type inspection struct {
	Config
	file    string
	now     time.Time
	reader  reader
	reading *reading
	sites   []*site

	complaint string            // what the server's own program says against the configuration
	complains Position          // where; its File is empty if the program does not say
	effective map[Position]bool // the lines that Apache says are in force; nil: it does not say
	untold    []string
}

func (i *inspection) cannotTell(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(i.untold, text) {
		i.untold = append(i.untold, text)
	}
}

// findReader looks up who opens the files.
func findReader(name string) (reader, error) {
	if name == "root" {
		return reader{name: name}, nil
	}
	account, err := user.Lookup(name)
	if err != nil {
		return reader{}, fmt.Errorf("looking up who starts the server: %w: give a user of this machine", err)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return reader{}, fmt.Errorf("looking up %s: its number %q: %w", name, account.Uid, err)
	}
	r := reader{name: name, uid: uint32(uid)}
	groups, err := account.GroupIds()
	if err != nil {
		return reader{}, fmt.Errorf("looking up the groups of %s: %w", name, err)
	}
	for _, group := range groups {
		if gid, err := strconv.ParseUint(group, 10, 32); err == nil {
			r.groups = append(r.groups, uint32(gid))
		}
	}
	return r, nil
}

// chosen are the sites to inspect: the one that was asked for, those for the platform, or all that speak TLS where none is.
func (i *inspection) chosen() []*site {
	var named, meant, secure []*site
	for _, s := range i.sites {
		if !s.tls && (s.block == nil || !s.own(s.of(certificate))) {
			continue // a site for plain HTTP, as it is meant to be
		}
		if slices.Contains(s.names, i.Name) {
			named = append(named, s)
		}
		if s.forPlatform() {
			meant = append(meant, s)
		}
		if s.tls {
			secure = append(secure, s)
		}
	}
	switch {
	case i.Name != "":
		return named
	case len(meant) > 0:
		return meant
	}
	return secure
}
