package judge

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Machine is a Debian of its own for programs that keep to the usual places: its /etc is a copy of this machine's, its /var and /run are empty
// but for the usual folders, and so are the certificates that are added to its trust. The rest, network and programs included, is this
// machine's. Nothing that is done there is done here.
type Machine struct {
	dir string
	env []string
}

// own are the folders that a Machine has for itself.
var own = [...]string{"etc", "var", "run", "usr/local/share/ca-certificates"}

// mounted runs a program with the folders of a machine in place of this one's.
const mounted = `machine=$1; shift
for folder in etc var run usr/local/share/ca-certificates; do mount --bind "$machine/$folder" "/$folder"; done
exec "$@"`

// NewMachine makes one. It needs root, or a kernel that lets everyone have namespaces of their own.
func NewMachine(t testing.TB) *Machine {
	t.Helper()
	Need(t, "unshare", "mount")
	m := &Machine{dir: t.TempDir()}
	m.env = append(os.Environ(), "HOME="+filepath.Join(m.dir, "home"))
	for _, folder := range append(own[1:], "home", "run/lock", "var/www/html", "var/log/apache2", "var/log/letsencrypt", "var/lib/letsencrypt", "var/lib/apache2",
		"var/cache/apache2", "var/tmp", "run/apache2", "run/lock/apache2") {
		if err := os.MkdirAll(filepath.Join(m.dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"var/run": "/run", "var/lock": "/run/lock"} {
		if err := os.Symlink(to, filepath.Join(m.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, folder := range []string{m.dir, filepath.Dir(m.dir)} { // servers' workers walk through them
		if err := os.Chmod(folder, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	_ = exec.Command("cp", "-a", "/etc", m.dir).Run() // it misses what only root may read, where somebody else runs the test
	if output, err := m.Command("test", "-d", "/var/www/html").CombinedOutput(); err != nil {
		missing(t, "a program cannot be given folders of its own here ("+err.Error()+": "+string(output)+"): run the tests as root")
	}
	return m
}

// Command is a program of the machine, with its arguments.
func (m *Machine) Command(program string, args ...string) *exec.Cmd {
	wrapped := []string{"--mount"}
	if os.Geteuid() != 0 {
		wrapped = append(wrapped, "--map-root-user")
	}
	wrapped = append(wrapped, "sh", "-euc", mounted, "sh", m.dir, program)
	cmd := exec.Command("unshare", append(wrapped, args...)...)
	cmd.Env = m.env
	cmd.Dir = filepath.Join(m.dir, "home")
	return cmd
}

// Path is where a file of the machine, such as /etc/hosts, is found from outside.
func (m *Machine) Path(file string) string { return filepath.Join(m.dir, file) }
