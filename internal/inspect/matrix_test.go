package inspect

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// row is one configuration and what has to be found in it. {dir} is the folder of the files, {port} the port of the site.
type row struct {
	name string
	// lines go into the site, each in the place of the directive of its name; "-SSLEngine" takes one away.
	lines []string
	conf  string // instead of the base
	files func(t *testing.T, w *world, dir string)
	alter func(c *Config, w *world)
	codes string // faults and warnings, the gravest first
	// refused: the server itself does not start with it.
	refused bool
	// mended: the mends turn it green, and let the platform in and nobody else.
	mended bool
	// cure does what the advice says, where no mend can know it: which file is the right one.
	cure func(conf string) string
}

// software is a server, as the matrix runs it.
type software struct {
	product Product
	base    string
	file    string
	end     string // of a directive
	start   func(testing.TB, judge.Site) (*judge.WebServer, error)
}

var softwares = []software{
	{Apache, apacheBase, "httpd.conf", "", judge.ApacheErr},
	{Nginx, nginxBase, "nginx.conf", ";", judge.NginxErr},
}

const apacheBase = `Listen 127.0.0.1:{port}
<VirtualHost *:{port}>
    ServerName www.example.com
    SSLEngine on
    SSLProtocol -all +TLSv1.2 +TLSv1.3
    SSLCertificateFile "{dir}/www.example.com.crt"
    SSLCertificateKeyFile "{dir}/www.example.com.key"
    SSLCACertificateFile "{dir}/TencentQQAuthCA.crt"
    SSLVerifyClient require
    SSLVerifyDepth 1
    <Location "/">
        Require expr "%{SSL_CLIENT_S_DN_CN} == 'callback.platform.internal' && -z %{SSL_CLIENT_S_DN_CN_1}"
        ErrorDocument 200 "in"
        Redirect 200 "/"
    </Location>
</VirtualHost>
`

const nginxBase = `server {
    listen 127.0.0.1:{port} ssl;
    server_name www.example.com;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {dir}/www.example.com.crt;
    ssl_certificate_key {dir}/www.example.com.key;
    ssl_client_certificate {dir}/TencentQQAuthCA.crt;
    ssl_verify_client on;
    ssl_verify_depth 1;
    if ($ssl_client_s_dn !~ "^CN=callback\.platform\.internal(,(?!.*CN=)|$)") {
        return 403;
    }
    location / { return 200 "in"; }
}
`

// configuration is the base with the row's lines.
func (s software) configuration(r row) string {
	conf := r.conf
	if conf == "" {
		conf = s.base
	}
	lines := strings.Split(conf, "\n")
	for _, line := range r.lines {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "-"), " ")
		at := -1
		for i, have := range lines {
			if strings.HasPrefix(strings.TrimSpace(have), name+" ") {
				at = i
				break
			}
		}
		switch {
		case strings.HasPrefix(line, "-"):
			lines = append(lines[:at], lines[at+1:]...)
		case at >= 0:
			lines[at] = "    " + line
		default: // behind the site's name
			lines = append(lines[:3], append([]string{"    " + line}, lines[3:]...)...)
		}
	}
	return strings.Join(lines, "\n")
}

func TestMatrix(t *testing.T) {
	w := newWorld(t)
	for _, s := range softwares {
		rows := apacheRows
		if s.product == Nginx {
			rows = nginxRows
		}
		for _, r := range rows {
			t.Run(string(s.product)+"/"+r.name, func(t *testing.T) {
				t.Parallel()
				w.try(t, s, r)
			})
		}
	}
}

// try inspects one configuration, mends it as it is told to, and has callers try the door of what came of it.
func (w *world) try(t *testing.T, s software, r row) {
	dir, port := t.TempDir(), judge.FreePort(t)
	require.NoError(t, os.CopyFS(filepath.Join(dir, "files"), os.DirFS(w.dir)))
	for _, key := range globbed(t, filepath.Join(dir, "files", "*.key")) {
		require.NoError(t, os.Chmod(key, 0o600)) // CopyFS minds the umask alone
	}
	if r.files != nil {
		r.files(t, w, filepath.Join(dir, "files"))
	}
	places := strings.NewReplacer("{dir}", filepath.Join(dir, "files"), "{port}", fmt.Sprint(port))
	site := judge.Site{Config: places.Replace(s.configuration(r)), Dir: dir, Addrs: []string{fmt.Sprintf("127.0.0.1:%d", port)}}
	server, err := s.start(t, site)
	if r.refused && err == nil { // Apache listens before it looks at keys
		select {
		case <-server.Exited():
			server = nil
		case <-time.After(10 * time.Second):
			require.Fail(t, "the server takes it")
		}
	} else if !r.refused {
		require.NoError(t, err)
	}
	c := w.reference
	c.Server, c.Path = s.product, dir
	if r.alter != nil {
		r.alter(&c, w)
	}
	report, err := Inspect(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, r.codes, strings.TrimSpace(strings.Replace(codes(report), "not_served", "", 1)), "%s", Render(report, Style{}))
	for _, f := range report.Findings {
		requireFinding(t, f)
	}
	file := filepath.Join(dir, s.file)
	if r.cure != nil {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, []byte(r.cure(string(text))), 0o600))
	}
	if !r.mended && r.cure == nil {
		return
	}
	mend(t, c, report)
	if server != nil {
		server.Reload(t)
	} else {
		w.restart(t, s, dir, site)
	}
	requireGreen(t, c)
	require.Equal(t, http.StatusOK, w.call(t, port, &w.platform))
	require.NotEqual(t, http.StatusOK, w.call(t, port, nil))
}

// requireGreen waits until nothing is found any more: a worker of before a reload may still answer once.
func requireGreen(t *testing.T, c Config) {
	t.Helper()
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		report, err := Inspect(context.Background(), c)
		require.NoError(t, err)
		require.Empty(t, codes(report), "%s", Render(report, Style{}))
		require.Equal(t, Healthy, report.Summary)
	}, 10*time.Second, 100*time.Millisecond)
}

// restart starts a server that was refused with the file as it is now.
func (w *world) restart(t *testing.T, s software, dir string, site judge.Site) {
	t.Helper()
	file := filepath.Join(dir, s.file)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	cmd := exec.Command(judge.Path(t, "apache2"), "-D", "FOREGROUND", "-d", dir, "-f", file)
	if s.product == Nginx {
		cmd = exec.Command(judge.Path(t, "nginx"), "-e", "stderr", "-p", dir, "-c", file)
	}
	_, err = judge.StartErr(t, string(s.product), cmd, judge.Listening(site.Addrs...))
	require.NoError(t, err, "%s", text)
}

// mend carries out what a report says until there is nothing more to carry out.
func mend(t *testing.T, c Config, report *Report) {
	t.Helper()
	for range 5 {
		done := true
		for _, f := range report.Findings {
			for _, command := range f.Run {
				if strings.HasPrefix(command, "chmod ") {
					judge.Run(t, "sh", "-c", command)
				}
			}
			if len(f.Mends) == 0 || f.Severity == Note {
				continue
			}
			text, err := os.ReadFile(f.Mends[0].File)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(f.Mends[0].File, []byte(apply(t, string(text), f.Mends...)), 0o600))
			done = false
			break // the lines of the other mends have moved
		}
		if done {
			return
		}
		var err error
		report, err = Inspect(t.Context(), c)
		require.NoError(t, err)
	}
	require.Fail(t, "the mends never end", "%s", Render(report, Style{}))
}

// requireFinding holds a finding to what every one has to say.
func requireFinding(t *testing.T, f Finding) {
	t.Helper()
	require.NotEmpty(t, f.Title)
	require.NotEmpty(t, f.Why)
	require.NotEmpty(t, f.Advice)
	text, err := os.ReadFile(f.File)
	require.NoError(t, err, f.Code)
	require.LessOrEqual(t, f.Line, strings.Count(string(text), "\n")+1)
	require.NotRegexp(t, `\{[a-z ]+\}`, f.Advice+strings.Join(f.Evidence, ""), "a name is not filled in")
}

// call is what becomes of a request: the status of its answer, or 0 if it was refused before.
func (w *world) call(t *testing.T, port int, certificate *tls.Certificate) int {
	t.Helper()
	config := &tls.Config{ServerName: "www.example.com", RootCAs: w.reference.Roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if certificate == nil {
			return &tls.Certificate{}, nil
		}
		return certificate, nil
	}}
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), config)
	if err != nil {
		return 0
	}
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	request, err := http.NewRequest(http.MethodGet, "https://www.example.com/", nil)
	require.NoError(t, err)
	if request.Write(conn) != nil {
		return 0
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func globbed(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}
