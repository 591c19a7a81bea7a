package judge

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
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

// WebServer is a running Apache or nginx.
type WebServer struct {
	*Process

	reload syscall.Signal // has it read its files again, in good order
}

// apacheModules are what Debian enables by default and a TLS site with access rules needs.
var apacheModules = [...]string{"mpm_event", "authn_core", "authz_core", "authz_host", "alias", "dir", "mime", "env", "setenvif", "headers",
	"rewrite", "socache_shmcb", "ssl"}

// Apache starts Debian's Apache on a site, ready to be connected to. As root its children run as www-data, as usual.
func Apache(t testing.TB, site Site) *WebServer {
	t.Helper()
	server, err := ApacheErr(t, site)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// ApacheErr is Apache for a configuration that may be refused: the error then carries Apache's own words.
func ApacheErr(t testing.TB, site Site) (*WebServer, error) {
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
	return site.start(t, "Apache", filepath.Join(dir, "httpd.conf"), conf.String(), syscall.SIGUSR1,
		exec.Command(apache, "-D", "FOREGROUND", "-d", dir, "-f", filepath.Join(dir, "httpd.conf")))
}

// Nginx starts Debian's nginx on a site, ready to be connected to. As root its workers run as www-data, as usual.
func Nginx(t testing.TB, site Site) *WebServer {
	t.Helper()
	server, err := NginxErr(t, site)
	if err != nil {
		t.Fatal(err)
	}
	return server
}

// NginxErr is Nginx for a configuration that may be refused: the error then carries nginx's own words.
func NginxErr(t testing.TB, site Site) (*WebServer, error) {
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
	return site.start(t, "nginx", filepath.Join(dir, "nginx.conf"), conf.String(), syscall.SIGHUP,
		exec.Command(nginx, "-e", "stderr", "-p", dir, "-c", filepath.Join(dir, "nginx.conf")))
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

func (s Site) start(t testing.TB, name, file, conf string, reload syscall.Signal, cmd *exec.Cmd) (*WebServer, error) {
	t.Helper()
	if len(s.Addrs) == 0 {
		t.Fatalf("a Site for %s needs Addrs: without them nobody knows when it is ready", name)
	}
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := StartErr(t, name, cmd, Listening(s.Addrs...))
	if err != nil {
		return nil, err
	}
	return &WebServer{Process: p, reload: reload}, nil
}

// Reload has the server read its configuration, certificates and revocation lists again, and returns when only those are in use. A server that
// refuses them fails the test with its own words.
func (s *WebServer) Reload(t testing.TB) {
	t.Helper()
	before := s.workers(t)
	if err := s.Signal(s.reload); err != nil {
		t.Fatalf("%s: reloading: %v", s.Name, err)
	}
	// New workers have the new files, old ones end when they have answered.
	err := s.await(func() error {
		now := s.workers(t)
		if len(now) == 0 || slices.ContainsFunc(now, func(pid string) bool { return slices.Contains(before, pid) }) {
			return fmt.Errorf("workers before the reload: %v, now: %v", before, now)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: reloading: %v\n%s", s.Name, err, s.Output())
	}
}

// workers are the ids of the processes that the server has started.
func (s *WebServer) workers(t testing.TB) []string {
	t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", s.PID()))
	if errors.Is(err, os.ErrNotExist) {
		return nil // the server has ended
	}
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(children))
}
