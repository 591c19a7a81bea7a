package judge

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// servers are the two, each with a site that serves a folder, and one with an error on its only line.
var servers = []struct {
	name             string
	start            func(testing.TB, Site) *Process
	startErr         func(testing.TB, Site) (*Process, error)
	site             string // formats: address, folder
	wrong, complaint string
	reload           syscall.Signal
}{
	{
		name: "apache", start: Apache, startErr: ApacheErr,
		site:  "Listen %s\nDocumentRoot %s\n",
		wrong: "SSLEngine on # really\n", complaint: "SSLEngine takes one argument",
		reload: syscall.SIGUSR1,
	},
	{
		name: "nginx", start: Nginx, startErr: NginxErr,
		site:  "server {\n listen %s;\n root %s;\n}\n",
		wrong: "ssl_verify_client require;", complaint: `invalid value "require"`,
		reload: syscall.SIGHUP,
	},
}

func TestServers(t *testing.T) {
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			addr, folder := FreeAddr(t), t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(folder, "index.html"), []byte("here I am"), 0o644))
			p := server.start(t, Site{Config: fmt.Sprintf(server.site, addr, folder), Addrs: []string{addr}})

			require.Equal(t, "here I am", fetch(t, addr))
			require.NoError(t, p.Signal(server.reload))
			require.Equal(t, "here I am", fetch(t, addr), "after a reload")
			require.NoError(t, p.Stop())
			require.Error(t, Listening(addr)())
		})
	}
}

func TestServersRefuse(t *testing.T) {
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			_, err := server.startErr(t, Site{Config: server.wrong, Addrs: []string{FreeAddr(t)}})
			require.ErrorContains(t, err, server.complaint)
		})
	}
}

func fetch(t *testing.T, addr string) string {
	t.Helper()
	response, err := http.Get("http://" + addr + "/index.html")
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	require.Equal(t, http.StatusOK, response.StatusCode)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(body)
}
