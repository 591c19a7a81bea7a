package inspect

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/judge"
)

// What was changed and not loaded looks right in every file.
func TestNotReloaded(t *testing.T) {
	w := newWorld(t)
	for _, s := range softwares {
		for _, test := range []struct {
			name, code string
			severity   Severity
			lines      []string // of the configuration that the server has loaded
			change     func(t *testing.T, dir, conf string)
		}{
			{"certificate", "not_reloaded", Warning, nil, func(t *testing.T, dir, _ string) {
				for _, ending := range []string{".crt", ".key"} {
					require.NoError(t, os.Rename(filepath.Join(dir, "files", "older"+ending), filepath.Join(dir, "files", "www.example.com"+ending)))
				}
			}},
			{"certificate that has expired", "not_reloaded", Fault, map[Product][]string{Apache: own("lapsed"), Nginx: ownNginx("lapsed")}[s.product],
				func(t *testing.T, _, conf string) { edit(t, conf, "lapsed.", "www.example.com.") }},
			{"demand", "not_in_force", Fault, map[Product][]string{Apache: {"SSLVerifyClient none"}, Nginx: {"ssl_verify_client off;"}}[s.product],
				func(t *testing.T, _, conf string) {
					edit(t, conf, "SSLVerifyClient none", "SSLVerifyClient require", "ssl_verify_client off", "ssl_verify_client on")
				}},
			{"CA", "not_in_force", Fault, map[Product][]string{
				Apache: {"SSLCACertificateFile {dir}/stranger.crt"}, Nginx: {"ssl_client_certificate {dir}/stranger.crt;"},
			}[s.product], func(t *testing.T, _, conf string) { edit(t, conf, "stranger.crt", "TencentQQAuthCA.crt") }},
		} {
			t.Run(fmt.Sprintf("%s/%s", s.product, test.name), func(t *testing.T) {
				t.Parallel()
				dir, port := t.TempDir(), judge.FreePort(t)
				require.NoError(t, os.CopyFS(filepath.Join(dir, "files"), os.DirFS(w.dir)))
				for _, key := range globbed(t, filepath.Join(dir, "files", "*.key")) {
					require.NoError(t, os.Chmod(key, 0o600))
				}
				places := strings.NewReplacer("{dir}", filepath.Join(dir, "files"), "{port}", fmt.Sprint(port))
				server, err := s.start(t, judge.Site{
					Config: places.Replace(s.configuration(row{lines: test.lines})), Dir: dir, Addrs: []string{fmt.Sprintf("127.0.0.1:%d", port)},
				})
				require.NoError(t, err)
				w.call(t, port, nil) // Apache listens before it has read everything
				test.change(t, dir, filepath.Join(dir, s.file))
				c := w.reference
				c.Server, c.Path = s.product, dir
				report, err := Inspect(t.Context(), c)
				require.NoError(t, err)
				require.Equal(t, test.code, codes(report), "%s", Render(report, Style{}))
				require.Equal(t, test.severity, report.Findings[0].Severity)
				require.Contains(t, report.Findings[0].Run[0], "reload")

				server.Reload(t)
				requireGreen(t, c)
			})
		}
	}
}

// edit replaces texts in a file, of which one at least is there.
func edit(t *testing.T, file string, pairs ...string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	changed := strings.NewReplacer(pairs...).Replace(string(text))
	require.NotEqual(t, string(text), changed)
	require.NoError(t, os.WriteFile(file, []byte(changed), 0o600))
}

// Every rule is shown a configuration in which it finds its failure.
func TestEveryRuleIsTried(t *testing.T) {
	tried := "not_served not_reloaded not_in_force not_first " // here, and in TestNeighbours
	for _, r := range append(apacheRows, nginxRows...) {
		tried += r.codes + " "
	}
	seen := map[string]bool{}
	for _, r := range rules {
		require.Contains(t, tried, r.code+" ", "no configuration has this failure")
		require.False(t, seen[r.code], "two rules are called %s", r.code)
		seen[r.code] = true
		for _, other := range r.unless {
			require.True(t, seen[other], "%s is to give way to %s, which comes later or does not exist", r.code, other)
		}
	}
}

// The first site of an address is what those meet who give no name: a fault where the site is called by its address.
func TestNeighbours(t *testing.T) {
	w := newWorld(t)
	for _, s := range softwares {
		for name, want := range map[string]Severity{"www.example.com": Note, "192.0.2.7": Fault} {
			dir := t.TempDir()
			conf := map[Product]string{Apache: otherApache + rest, Nginx: "events {}\nhttp {\n" + otherNginx + nginxBase + "}\n"}[s.product]
			conf = strings.NewReplacer("{dir}", w.dir, "{port}", "443", "ServerName www.example.com", "ServerName "+name, "server_name www.example.com", "server_name "+name).Replace(conf)
			require.NoError(t, os.WriteFile(filepath.Join(dir, s.file), []byte(conf), 0o600))
			report, err := Inspect(t.Context(), Config{Server: s.product, Path: dir})
			require.NoError(t, err)
			require.NotNil(t, report.Finding("not_first"), "%s", Render(report, Style{}))
			require.Equal(t, want, report.Finding("not_first").Severity)
			require.Len(t, report.Sites, 2)
			require.False(t, report.Sites[0].ForPlatform)
			require.True(t, report.Sites[1].ForPlatform)
		}
	}
}

// A CA that the main server names is no word of every site: those that ask nobody are neighbours of the one that does.
func TestInheritedCA(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	conf := "SSLCACertificateFile {dir}/TencentQQAuthCA.crt\n" + otherApache + strings.Replace(rest, "    SSLCACertificateFile \"{dir}/TencentQQAuthCA.crt\"\n", "", 1)
	conf = strings.NewReplacer("{dir}", w.dir, "{port}", "443").Replace(conf)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "httpd.conf"), []byte(conf), 0o600))
	c := w.reference
	c.Server, c.Path, c.Dial, c.Run = Apache, dir, nil, nil
	report, err := Inspect(t.Context(), c)
	require.NoError(t, err)
	require.Empty(t, codes(report), "%s", Render(report, Style{}))
	require.False(t, report.Sites[0].ForPlatform)
	require.True(t, report.Sites[1].ForPlatform)
}

// Nothing is left behind: nginx makes its pid file even when it is only asked.
func TestNginxIsAskedAndLeavesNothing(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	conf := "pid {dir}/asked.pid;\nevents {}\nerror_log stderr;\nhttp {\naccess_log off;\n" + nginxBase + "}\n"
	conf = strings.NewReplacer("{dir}", w.dir, "{port}", fmt.Sprint(judge.FreePort(t))).Replace(conf)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600))
	c := w.reference
	asked := false
	c.Server, c.Path, c.Dial = Nginx, dir, nil
	c.Run = func(ctx context.Context, command Command) (string, error) {
		output, err := runs(ctx, command)
		_, made := os.Stat(filepath.Join(w.dir, "asked.pid"))
		asked = err == nil && made == nil
		return output, err
	}
	report, err := Inspect(t.Context(), c)
	require.NoError(t, err)
	require.Empty(t, codes(report))
	require.True(t, asked, "nginx was not asked, or did not make the file")
	require.NoFileExists(t, filepath.Join(w.dir, "asked.pid"))
}
