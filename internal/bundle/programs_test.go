package bundle_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// programs start the servers beside Apache and nginx on an unpacked bundle, as the first lines of its configuration say.
var programs = map[string]func(*testing.T, *site) *exec.Cmd{
	"haproxy": func(t *testing.T, s *site) *exec.Cmd {
		return exec.Command(judge.Path(t, "haproxy"), "-db", "-f", s.line(t, "haproxy", ` -f (/etc/haproxy/haproxy/.*)"`, "/etc/haproxy"))
	},
	"caddy": func(t *testing.T, s *site) *exec.Cmd {
		file := filepath.Join(s.dir, "Caddyfile")
		text := "{\nadmin off\nskip_install_trust\nauto_https disable_redirects\n}\n" + s.before + s.line(t, "caddy", `(?m)^#   (import .*)$`, "") + "\n"
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		cmd := exec.Command(judge.Path(t, "caddy"), "run", "--config", file, "--adapter", "caddyfile")
		home := t.TempDir()
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home, "IMCA_DIR="+s.dir)
		return cmd
	},
	"tomcat": startTomcat,
	"node": func(t *testing.T, s *site) *exec.Cmd {
		cmd := exec.Command(judge.Path(t, "node"), s.line(t, "node", `(?m)^//   node (.*)$`, ""))
		cmd.Dir = s.dir
		return cmd
	},
	"go": func(t *testing.T, s *site) *exec.Cmd {
		// What "go run" starts does not end with it.
		source, program := s.line(t, "go", `(?m)^//\tgo run (.*)$`, ""), filepath.Join(t.TempDir(), "program")
		build := exec.Command(judge.Path(t, "go"), "build", "-ldflags=-s -w", "-o", program, source)
		build.Dir = s.dir
		output, err := build.CombinedOutput()
		require.NoError(t, err, string(output))
		cmd := exec.Command(program)
		cmd.Dir = s.dir
		return cmd
	},
}

// line is what the configuration says to write or run, and where folder, if not empty, stands for the unpacked bundle.
func (s *site) line(t *testing.T, server, pattern, folder string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(s.configuration(t, server))
	require.NotNil(t, found, pattern)
	if folder == "" {
		return found[1]
	}
	return strings.Replace(found[1], folder, s.dir, 1)
}

func startTomcat(t *testing.T, s *site) *exec.Cmd {
	judge.Need(t, "java", "/usr/share/tomcat10/bin/catalina.sh")
	base := filepath.Dir(s.dir) // the bundle is in its folder conf
	for _, dir := range []string{"temp", "work", "logs"} {
		require.NoError(t, os.MkdirAll(filepath.Join(base, dir), 0o755))
	}
	text := s.configuration(t, "tomcat")
	first := regexp.MustCompile(`(<!DOCTYPE .*)FILE(.*)`).FindStringSubmatch(text)
	second := regexp.MustCompile(`(?m)^ *(&.*;)$`).FindStringSubmatch(text)
	require.NotNil(t, first)
	require.NotNil(t, second)
	name := strings.TrimSuffix(filepath.Base(s.file(t, "tomcat")), ".xml")
	server := first[1] + name + first[2] + "\n<Server port=\"-1\">\n" + second[1] + "\n</Server>\n"
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "server.xml"), []byte(server), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "web.xml"), []byte(tomcatDefaults), 0o600))
	return exec.Command(judge.Path(t, "java"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx128m",
		"-Dcatalina.home=/usr/share/tomcat10", "-Dcatalina.base="+base, "-Djava.io.tmpdir="+filepath.Join(base, "temp"),
		"-cp", "/usr/share/tomcat10/bin/bootstrap.jar:/usr/share/tomcat10/bin/tomcat-juli.jar", "org.apache.catalina.startup.Bootstrap", "start")
}

// tomcatDefaults is what every Tomcat has in conf/web.xml, without what only makes it slow to start.
const tomcatDefaults = `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0">
<servlet><servlet-name>default</servlet-name><servlet-class>org.apache.catalina.servlets.DefaultServlet</servlet-class><load-on-startup>1</load-on-startup></servlet>
<servlet-mapping><servlet-name>default</servlet-name><url-pattern>/</url-pattern></servlet-mapping>
</web-app>
`
