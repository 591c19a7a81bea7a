package judge

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// servers are the two, each with a site that serves a folder, and one with an error on its only line.
var servers = []struct {
	name             string
	start            func(testing.TB, Site) *WebServer
	startErr         func(testing.TB, Site) (*WebServer, error)
	include          string // format: file
	site             string // format: address, folder
	wrong, complaint string
}{
	{
		name: "apache", start: Apache, startErr: ApacheErr,
		include: "Include %s\n",
		site:    "Listen %s\nDocumentRoot %s\n",
		wrong:   "SSLEngine on # really\n", complaint: "SSLEngine takes one argument",
	},
	{
		name: "nginx", start: Nginx, startErr: NginxErr,
		include: "include %s;",
		site:    "server {\n listen %s;\n root %s;\n}\n",
		wrong:   "ssl_verify_client require;", complaint: `invalid value "require"`,
	},
}

func TestServers(t *testing.T) {
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			addr, conf := FreeAddr(t), filepath.Join(t.TempDir(), "site.conf")
			serve := func(answer string) {
				folder := t.TempDir()
				require.NoError(t, os.WriteFile(filepath.Join(folder, "index.html"), []byte(answer), 0o644))
				require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, server.site, addr, folder), 0o644))
			}
			serve("here I am")
			p := server.start(t, Site{Config: fmt.Sprintf(server.include, conf), Addrs: []string{addr}})
			require.Equal(t, "here I am", fetch(t, addr))
			serve("I have moved")
			p.Reload(t)
			require.Equal(t, "I have moved", fetch(t, addr))
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
