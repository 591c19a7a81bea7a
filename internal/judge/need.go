package judge

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Need says which programs the test cannot do without. One that is missing skips the test, or fails it where the
// environment sets CI.
func Need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		Path(t, tool)
	}
}

// Long marks a test that takes longer than one likes to wait between edits: 'go test -short', as make check runs it, leaves it out. In CI nothing is.
func Long(t testing.TB) {
	t.Helper()
	if testing.Short() && os.Getenv("CI") == "" {
		t.Skip("it takes long, and -short is set")
	}
}

// Path is Need for one program, and where it is: in PATH, or in the folders for servers, which the PATH of an ordinary Debian user leaves out.
func Path(t testing.TB, tool string) string {
	t.Helper()
	path, ok := find(tool)
	if !ok {
		missing(t, tool+" is not installed; scripts/install-test-tools installs what the tests need")
	}
	return path
}

func find(tool string) (path string, ok bool) {
	if path, err := exec.LookPath(tool); err == nil {
		return path, true
	}
	if strings.ContainsRune(tool, filepath.Separator) {
		return "", false
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, tool)); err == nil {
			return path, true
		}
	}
	return "", false
}

func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// NeedIPv6 skips a test where the loopback interface has no IPv6 address, and fails it where CI is set.
func NeedIPv6(t testing.TB) {
	t.Helper()
	listener, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		missing(t, "this machine has no IPv6 on loopback: "+err.Error())
	}
	require.NoError(t, listener.Close())
}
