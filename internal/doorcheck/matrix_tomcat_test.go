package doorcheck

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

var tomcatRows = []row{
	{name: "as handed out", admits: Yes, refuses: Yes},
	{name: "with a revocation list", lines: []string{`<SSLHostConfig certificateRevocationListFile="{dir}/TencentQQAuthCA.crl">`}, alter: withRevoked,
		admits: Yes, refuses: Yes, revoked: Yes},
	{name: "platform behind an intermediate CA", alter: platformBehind, admits: Yes, refuses: Yes},
	{name: "optional", lines: []string{`<SSLHostConfig certificateVerification="optional">`}, admits: Yes, refuses: No, codes: "not_required", mend: "not_required"},
	{name: "optional, no CA", lines: []string{`<SSLHostConfig certificateVerification="optionalNoCA">`}, admits: Yes, refuses: No, codes: "not_required", mend: "not_required"},
	{name: "none", lines: []string{`<SSLHostConfig certificateVerification="none">`}, admits: Yes, refuses: No, codes: "not_asked", mend: "not_asked"},
	{name: "trust store made by openssl", lines: []string{`<SSLHostConfig truststoreFile="{dir}/openssl.p12">`}, admits: No, refuses: Unknown, codes: "unreachable",
		// Java sees no CA in it, and Tomcat does not open the port.
		cure: func(conf string) string { return strings.ReplaceAll(conf, "openssl.p12", "TencentQQAuthCA.p12") }},
	{name: "not ready for the next root", alter: withNext, admits: Yes, refuses: Yes, ready: No, codes: "next_root_refused",
		cure: instead("TencentQQAuthCA.p12", "both.p12")},
	{name: "ready for an intermediate CA, as it is", alter: withIntermediate, admits: Yes, refuses: Yes, ready: Yes},
	{name: "another CA", lines: []string{`<SSLHostConfig truststoreFile="{dir}/next.p12">`}, admits: No, refuses: Unknown, codes: "ca_not_ours", mend: "ca_not_ours"},
	{name: "an older CA of the same name", lines: []string{`<SSLHostConfig truststoreFile="{dir}/twin.p12">`}, admits: No, refuses: Unknown,
		codes: "ca_stale revocation_list_expired", mend: "ca_stale"}, // Java has one alert for everything
	{name: "revocation list expired", lines: []string{`<SSLHostConfig certificateRevocationListFile="{dir}/expired.crl">`}, alter: withRevoked, admits: No, refuses: Unknown,
		codes: "ca_stale revocation_list_expired", mend: "revocation_list_expired"},
	{name: "no revocation list", alter: withRevoked, admits: Yes, refuses: Yes, revoked: No, codes: "revocation_not_checked", mend: "revocation_not_checked"},
	{name: "expired", lines: []string{`<Certificate certificateFile="{dir}/lapsed.crt" certificateKeyFile="{dir}/lapsed.key" type="EC" />`}, admits: No, refuses: Yes,
		codes: "served_expired", mend: "served_expired"},
}

const tomcatConnector = `<Connector port="{port}" address="127.0.0.1" protocol="org.apache.coyote.http11.Http11NioProtocol" SSLEnabled="true" maxThreads="8" minSpareThreads="1">
<SSLHostConfig certificateVerification="required" truststoreFile="{dir}/TencentQQAuthCA.p12" truststorePassword="changeit" truststoreType="PKCS12">
<Certificate certificateFile="{dir}/www.example.com.crt" certificateKeyFile="{dir}/www.example.com.key" type="EC" />
</SSLHostConfig>
</Connector>
`

// TestTomcat is the matrix for Tomcat. A Java machine is slow to start: one holds all wrong configurations, another all mended ones.
func TestTomcat(t *testing.T) {
	t.Parallel()
	judge.Need(t, "java", "keytool", "openssl")
	w := newWorld(t)
	w.writeStores(t)
	ports := make([]int, len(tomcatRows))
	confs := make([]string, len(tomcatRows))
	for i, r := range tomcatRows {
		ports[i] = judge.FreePort(t)
		confs[i] = applyTomcat(tomcatConnector, r.lines)
	}
	found := make([]*Report, len(tomcatRows))
	t.Run("wrong", func(t *testing.T) {
		startTomcat(t, w, confs, ports)
		for i, r := range tomcatRows {
			t.Run(r.name, func(t *testing.T) {
				found[i] = r.check(t, w, ports[i])
				r.expect(t, found[i])
				require.Contains(t, []Product{Tomcat, Unrecognised}, found[i].Server.Product)
			})
		}
	})
	for i, r := range tomcatRows {
		if r.mend != "" {
			confs[i] = applyTomcat(confs[i], mendLines(t, found[i], r.mend, Tomcat))
		}
		if r.cure != nil {
			confs[i] = r.cure(confs[i])
		}
	}
	t.Run("mended", func(t *testing.T) {
		startTomcat(t, w, confs, ports)
		for i, r := range tomcatRows {
			t.Run(r.name, func(t *testing.T) { requireGreen(t, r.check(t, w, ports[i])) })
		}
	})
}

func startTomcat(t *testing.T, w *world, connectors []string, ports []int) {
	t.Helper()
	if _, err := os.Stat("/usr/share/tomcat10/bin/bootstrap.jar"); err != nil {
		judge.Need(t, "/usr/share/tomcat10/bin/bootstrap.jar")
	}
	base := t.TempDir()
	for _, dir := range []string{"conf", "webapps/ROOT", "temp", "work", "logs"} {
		require.NoError(t, os.MkdirAll(filepath.Join(base, dir), 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(base, "webapps/ROOT/callback"), []byte(`{"ActionStatus":"OK"}`), 0o644))
	var server strings.Builder
	server.WriteString(`<Server port="-1"><Service name="Catalina">` + "\n")
	var addrs []string
	for i, connector := range connectors {
		server.WriteString(fill(connector, w, ports[i]))
		if !strings.Contains(connector, "openssl.p12") {
			addrs = append(addrs, addr(ports[i]))
		}
	}
	server.WriteString(`<Engine name="Catalina" defaultHost="localhost"><Host name="localhost" appBase="webapps" autoDeploy="false" /></Engine></Service></Server>`)
	require.NoError(t, os.WriteFile(filepath.Join(base, "conf/server.xml"), []byte(server.String()), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(base, "conf/web.xml"), []byte(tomcatWeb), 0o600))
	cmd := exec.Command(judge.Path(t, "java"), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m",
		"-Dcatalina.home=/usr/share/tomcat10", "-Dcatalina.base="+base, "-Djava.io.tmpdir="+filepath.Join(base, "temp"),
		"-cp", "/usr/share/tomcat10/bin/bootstrap.jar:/usr/share/tomcat10/bin/tomcat-juli.jar", "org.apache.catalina.startup.Bootstrap", "start")
	judge.Start(t, "Tomcat", cmd, judge.Listening(addrs...))
}

const tomcatWeb = `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0">
<servlet><servlet-name>default</servlet-name><servlet-class>org.apache.catalina.servlets.DefaultServlet</servlet-class><load-on-startup>1</load-on-startup></servlet>
<servlet-mapping><servlet-name>default</servlet-name><url-pattern>/</url-pattern></servlet-mapping>
</web-app>
`

// writeStores makes Java's key stores.
func (w *world) writeStores(t testing.TB) {
	t.Helper()
	in := func(name string) string { return filepath.Join(w.dir, name) }
	for _, name := range []string{caName, "next", "twin"} {
		judge.Run(t, "keytool", "-importcert", "-noprompt", "-alias", name, "-file", in(name+".crt"), "-keystore", in(name+".p12"), "-storetype", "PKCS12", "-storepass", "changeit")
	}
	for _, name := range []string{caName, caName + "-G2"} { // as the mend for the next root says
		judge.Run(t, "keytool", "-importcert", "-noprompt", "-alias", name, "-file", in(name+".crt"), "-keystore", in("both.p12"), "-storetype", "PKCS12", "-storepass", "changeit")
	}
	judge.Run(t, "openssl", "pkcs12", "-export", "-nokeys", "-in", in(caName+".crt"), "-out", in("openssl.p12"), "-passout", "pass:changeit")
	judge.Run(t, "openssl", "pkcs12", "-export", "-in", in(host+".crt"), "-inkey", in(host+".key"), "-out", in(host+".p12"), "-passout", "pass:changeit")
}

// applyTomcat sets the attributes of SSLHostConfig, and replaces Certificate.
func applyTomcat(conf string, lines []string) string {
	attribute := regexp.MustCompile(`(\w+)="([^"]*)"`)
	for _, line := range lines {
		line = handedOver.ReplaceAllString(line, "$1{dir}/$2")
		switch {
		case strings.HasPrefix(line, "<SSLHostConfig"):
			for _, set := range attribute.FindAllStringSubmatch(line, -1) {
				old := regexp.MustCompile(fmt.Sprintf(`(<SSLHostConfig[^>]* )%s="[^"]*"`, set[1]))
				if old.MatchString(conf) {
					conf = old.ReplaceAllString(conf, "${1}"+set[0])
				} else {
					conf = strings.Replace(conf, "<SSLHostConfig", "<SSLHostConfig "+set[0], 1)
				}
			}
		case strings.HasPrefix(line, "<Certificate"):
			conf = regexp.MustCompile(`<Certificate [^>]*/>`).ReplaceAllString(conf, line)
		}
	}
	return conf
}
