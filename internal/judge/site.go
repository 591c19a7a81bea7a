package judge

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Site is what a real web server is to serve.
type Site struct {
	// Config holds directives, as an administrator would write them: for Apache at the level of httpd.conf, for nginx inside of http { }.
	// Listen belongs here, with a port from FreePort.
	Config string
	// Addrs are the host:port that must accept connections before the server counts as started; at least one.
	Addrs []string
	// Modules are Apache's modules beyond those that every site gets ("md" for mod_md); nginx ignores them.
	Modules []string
	// Dir is the server's own folder: ServerRoot, nginx's prefix, to which relative paths in Config refer. Default: a new one.
	Dir string
}

// apacheModules are what Debian enables by default and a TLS site with access rules needs.
var apacheModules = [...]string{"mpm_event", "authn_core", "authz_core", "authz_host", "alias", "dir", "mime", "env", "setenvif", "headers",
	"rewrite", "socache_shmcb", "ssl"}

// Apache starts Debian's Apache on a site, ready to be connected to. As root its children run as www-data, as usual.
func Apache(t testing.TB, site Site) *Process {
	t.Helper()
	p, err := ApacheErr(t, site)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ApacheErr is Apache for a configuration that may be refused: the error then carries Apache's own words.
func ApacheErr(t testing.TB, site Site) (*Process, error) {
	t.Helper()
	apache := Path(t, "apache2")
	dir := site.dir(t)
	var conf strings.Builder
	fmt.Fprintf(&conf, "ServerRoot %q\nServerName localhost\nDefaultRuntimeDir %q\nPidFile %q\nErrorLog /dev/stderr\n",
		dir, dir, filepath.Join(dir, "apache2.pid"))
	if os.Geteuid() == 0 {
		conf.WriteString("User www-data\nGroup www-data\n")
	}
	for _, module := range append(apacheModules[:], site.Modules...) {
		fmt.Fprintf(&conf, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
	}
	// Few children: a test has few clients, and two cores.
	conf.WriteString("StartServers 1\nServerLimit 2\nThreadsPerChild 25\nMaxRequestWorkers 50\nTypesConfig /dev/null\n")
	conf.WriteString(site.Config)
	return site.start(t, "Apache", dir, "httpd.conf", conf.String(), func(file string) *exec.Cmd {
		return exec.Command(apache, "-D", "FOREGROUND", "-d", dir, "-f", file)
	})
}

// Nginx starts Debian's nginx on a site, ready to be connected to. As root its workers run as www-data, as usual.
func Nginx(t testing.TB, site Site) *Process {
	t.Helper()
	p, err := NginxErr(t, site)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// NginxErr is Nginx for a configuration that may be refused: the error then carries nginx's own words.
func NginxErr(t testing.TB, site Site) (*Process, error) {
	t.Helper()
	nginx := Path(t, "nginx")
	dir := site.dir(t)
	var conf strings.Builder
	if os.Geteuid() == 0 {
		conf.WriteString("user www-data;\n")
	}
	conf.WriteString("daemon off;\nworker_processes 1;\npid nginx.pid;\nevents {}\nhttp {\naccess_log off;\n")
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&conf, "%s_temp_path %s;\n", kind, kind)
	}
	conf.WriteString(site.Config + "\n}\n")
	return site.start(t, "nginx", dir, "nginx.conf", conf.String(), func(file string) *exec.Cmd {
		return exec.Command(nginx, "-e", "stderr", "-p", dir, "-c", file)
	})
}

// dir is the server's folder. When root starts the server, its workers are somebody else, who must be able to walk through the
// test's temporary folders to the files that they serve.
func (s Site) dir(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		if err := os.Chmod(filepath.Dir(dir), 0o711); err != nil {
			t.Fatal(err)
		}
	}
	if s.Dir != "" {
		return s.Dir
	}
	return dir
}

func (s Site) start(t testing.TB, name, dir, file, conf string, command func(file string) *exec.Cmd) (*Process, error) {
	t.Helper()
	if len(s.Addrs) == 0 {
		t.Fatalf("a Site for %s needs Addrs: without them nobody knows when it is ready", name)
	}
	path := filepath.Join(dir, file)
	if err := os.WriteFile(path, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return StartErr(t, name, command(path), Listening(s.Addrs...))
}
