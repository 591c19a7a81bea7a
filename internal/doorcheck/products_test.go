package doorcheck

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// software is a real server: its configuration as a developer would have it from us, how lines are worked into it, and how it is started.
// {dir} stands for the folder of the world, {port} for the port.
type software struct {
	base  string
	apply func(conf string, lines []string) string
	start func(t testing.TB, w *world, conf string, port int)
}

var softwares = map[Product]software{
	Apache: {
		base: `Listen 127.0.0.1:{port}
<VirtualHost *:{port}>
ServerName www.example.com
DocumentRoot {dir}/htdocs
SSLEngine on
SSLCertificateFile {dir}/www.example.com.crt
SSLCertificateKeyFile {dir}/www.example.com.key
SSLCACertificateFile {dir}/TencentQQAuthCA.crt
SSLVerifyClient require
</VirtualHost>
`,
		apply: func(conf string, lines []string) string {
			return replaceDirectives(conf, lines, "</VirtualHost>", regexp.MustCompile(`^<(Location|Directory|If)`), regexp.MustCompile(`^</(Location|Directory|If)`))
		},
		start: func(t testing.TB, w *world, conf string, port int) {
			judge.Apache(t, judge.Site{Config: conf, Addrs: []string{addr(port)}, Modules: []string{"http2", "proxy", "proxy_http"}})
		},
	},
	Nginx: {
		base: `server {
listen 127.0.0.1:{port} ssl;
server_name www.example.com;
root {dir}/htdocs;
ssl_certificate {dir}/www.example.com.crt;
ssl_certificate_key {dir}/www.example.com.key;
ssl_client_certificate {dir}/TencentQQAuthCA.crt;
ssl_verify_client on;
}
`,
		apply: func(conf string, lines []string) string {
			return replaceDirectives(conf, lines, "}", regexp.MustCompile(`^location `), regexp.MustCompile(`^}`))
		},
		start: func(t testing.TB, w *world, conf string, port int) {
			judge.Nginx(t, judge.Site{Config: conf, Addrs: []string{addr(port)}})
		},
	},
	HAProxy: {
		base: `global
maxconn 100
defaults
mode http
timeout connect 2s
timeout client 5s
timeout server 5s
retries 0
frontend door
bind 127.0.0.1:{port} ssl crt {dir}/www.example.com.pem ca-file {dir}/TencentQQAuthCA.crt verify required
http-request return status 200 content-type application/json string "{\"ActionStatus\":\"OK\"}"
`,
		apply: func(conf string, lines []string) string {
			return replaceDirectives(conf, lines, "http-request return", nil, nil)
		},
		start: func(t testing.TB, w *world, conf string, port int) {
			file := filepath.Join(t.TempDir(), "haproxy.cfg")
			require.NoError(t, os.WriteFile(file, []byte(conf), 0o600))
			judge.Start(t, "HAProxy", exec.Command(judge.Path(t, "haproxy"), "-db", "-f", file), judge.Listening(addr(port)))
		},
	},
	Caddy: {
		base: `{
admin off
auto_https off
skip_install_trust
}
https://www.example.com:{port} {
bind 127.0.0.1
tls {dir}/www.example.com.crt {dir}/www.example.com.key {
client_auth {
mode require_and_verify
trusted_ca_cert_file {dir}/TencentQQAuthCA.crt
}
}
root * {dir}/htdocs
file_server
}
`,
		apply: applyCaddy,
		start: func(t testing.TB, w *world, conf string, port int) {
			dir := t.TempDir()
			file := filepath.Join(dir, "Caddyfile")
			require.NoError(t, os.WriteFile(file, []byte(conf), 0o600))
			cmd := exec.Command(judge.Path(t, "caddy"), "run", "--config", file, "--adapter", "caddyfile")
			cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
			judge.Start(t, "Caddy", cmd, judge.Listening(addr(port)))
		},
	},
	Node: {
		base: `const fs = require('fs'), https = require('https'), http = require('http');
const answer = (q, a) => { a.setHeader('X-Powered-By', 'Express'); a.end('{"ActionStatus":"OK"}'); };
const options = {
cert: fs.readFileSync('{dir}/www.example.com.crt'),
key: fs.readFileSync('{dir}/www.example.com.key'),
ca: fs.readFileSync('{dir}/TencentQQAuthCA.crt'),
requestCert: true,
rejectUnauthorized: true,
};
https.createServer(options, answer).listen({port}, '127.0.0.1');
`,
		apply: func(conf string, lines []string) string {
			return replaceDirectives(conf, lines, "};", nil, nil)
		},
		start: func(t testing.TB, w *world, conf string, port int) {
			file := filepath.Join(t.TempDir(), "server.js")
			require.NoError(t, os.WriteFile(file, []byte(conf), 0o600))
			judge.Start(t, "Node", exec.Command(judge.Path(t, "node"), file), judge.Listening(addr(port)))
		},
	},
}

func addr(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// handedOver finds the files of the bundle in a mend's lines, which name them without the folder or in conf/.
var handedOver = regexp.MustCompile(`(^|[ "'(])(?:conf/)?((?:www\.example\.com|TencentQQAuthCA(?:-G2)?)\.(?:crt|key|pem|crl|p12))`)

// directive is the first word of a line, a "-" before it included.
var directive = regexp.MustCompile(`^-?[\w-]+:?`)

// replaceDirectives works lines into a configuration as an administrator would: a directive that is there is replaced, at the outer level of the
// first block; another one is added before end. A line that begins with "-" takes the directive away. Comments are left to the reader.
func replaceDirectives(conf string, lines []string, end string, inner, innerEnd *regexp.Regexp) string {
	have := strings.Split(conf, "\n")
	for _, line := range lines {
		line = strings.TrimSpace(handedOver.ReplaceAllString(line, "$1{dir}/$2"))
		name := directive.FindString(line)
		if strings.HasPrefix(line, "<") {
			name = "<" // a whole block, always added
		}
		if name == "" {
			continue
		}
		remove := strings.HasPrefix(name, "-")
		name = strings.TrimPrefix(name, "-")
		if name == "bind" {
			line = regexp.MustCompile(`^bind :\d+`).ReplaceAllString(line, "bind 127.0.0.1:{port}")
		}
		if name == "listen" || name == "Listen" {
			continue // the test's port stays
		}
		at, last, depth := -1, -1, 0 // of http-request there are many: another one is added
		for i, old := range have {
			old = strings.TrimSpace(old)
			switch {
			case inner != nil && inner.MatchString(old) && !strings.HasSuffix(old, "}"):
				depth++
			case depth > 0 && innerEnd.MatchString(old):
				depth--
			case depth == 0 && last < 0 && name != "http-request" && directive.FindString(old) == name && at < 0:
				at = i
			case depth == 0 && strings.HasPrefix(old, end) && last < 0:
				last = i
			}
		}
		switch {
		case remove && at >= 0:
			have = slices.Delete(have, at, at+1)
		case remove:
		case at >= 0:
			have[at] = line
		default:
			have = slices.Insert(have, last, line)
		}
	}
	return strings.Join(have, "\n")
}

// applyCaddy replaces the blocks tls and client_auth.
func applyCaddy(conf string, lines []string) string {
	text := handedOver.ReplaceAllString(strings.Join(lines, "\n"), "$1{dir}/$2")
	switch {
	case strings.HasPrefix(text, "client_auth"):
		if old := regexp.MustCompile(`(?s)client_auth \{.*?\n\}`); old.MatchString(conf) {
			return old.ReplaceAllString(conf, text)
		}
		return regexp.MustCompile(`(?m)^(tls \S+ \S+)( \{)?$`).ReplaceAllString(conf, "$1 {\n"+text+"\n}")
	case strings.HasPrefix(text, "tls"):
		return regexp.MustCompile(`(?m)^tls \S+ \S+`).ReplaceAllString(conf, text)
	}
	return conf
}

func fill(conf string, w *world, port int) string {
	return strings.NewReplacer("{dir}", w.dir, "{port}", strconv.Itoa(port)).Replace(conf)
}

func urlAt(port int) string { return fmt.Sprintf("https://%s:%d/callback?SdkAppid=1", host, port) }
