// Package deploy holds the files that put imca into production to what they say of each other: the container image, the Compose file, the
// systemd unit and their imca.yaml.
package deploy

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/imca-project/imca/internal/config"
	"github.com/imca-project/imca/internal/judge"
)

const configFile = "/etc/imca/imca.yaml"

// compose is what docker-compose.yml may say. A key that is not here is a fault, so nothing in it goes unread.
type compose struct {
	Name     string
	Services map[string]service
	Networks map[string]struct{ Internal bool }
	Volumes  map[string]any
	Secrets  map[string]struct{ File string }
}

type service struct {
	Image       string
	Build       map[string]any
	Command     []string
	Environment map[string]string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Secrets     []string
	Volumes     []string
	Networks    []string
	Ports       []string
	Healthcheck struct {
		Test              []string
		Interval, Timeout string
		Retries           int
		StartPeriod       string `yaml:"start_period"`
	}
	Restart         string
	StopGracePeriod string   `yaml:"stop_grace_period"`
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	CapAdd          []string `yaml:"cap_add"`
	SecurityOpt     []string `yaml:"security_opt"`
	Tmpfs           []string
}

func readCompose(t *testing.T) compose {
	t.Helper()
	file, err := os.Open("../docker-compose.yml")
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	var c compose
	require.NoError(t, decoder.Decode(&c))
	return c
}

func TestComposeServices(t *testing.T) {
	c := readCompose(t)
	require.NotEmpty(t, c.Services)
	for name, s := range c.Services {
		t.Run(name, func(t *testing.T) {
			_, tag, _ := strings.Cut(s.Image, ":")
			require.NotContains(t, []string{"", "latest"}, tag, "the image must be of a chosen version")
			require.NotEmpty(t, s.Healthcheck.Test)
			require.Equal(t, "unless-stopped", s.Restart)
			require.True(t, s.ReadOnly)
			require.Equal(t, []string{"ALL"}, s.CapDrop)
			require.Equal(t, []string{"no-new-privileges:true"}, s.SecurityOpt)
			for variable, value := range s.Environment {
				if strings.Contains(variable, "PASS") {
					require.True(t, strings.HasSuffix(variable, "_FILE") && strings.HasPrefix(value, "/run/secrets/"), "%s must come from a file", variable)
					require.Contains(t, s.Secrets, filepath.Base(value))
				}
			}
			for _, secret := range s.Secrets {
				require.Contains(t, c.Secrets, secret)
			}
			for _, network := range s.Networks {
				require.Contains(t, c.Networks, network)
			}
			for _, volume := range s.Volumes {
				source, _, _ := strings.Cut(volume, ":")
				if strings.HasPrefix(source, ".") {
					require.FileExists(t, filepath.Join("..", source))
				} else {
					require.Contains(t, c.Volumes, source)
				}
			}
		})
	}
	require.Empty(t, c.Services["postgres"].Ports, "the database is reached by imca alone")
	require.Equal(t, []string{"database"}, c.Services["postgres"].Networks)
	require.True(t, c.Networks["database"].Internal)
	require.Equal(t, "service_healthy", c.Services["imca"].DependsOn["postgres"].Condition)
}

func TestComposeSecretsAreMadeOnce(t *testing.T) {
	judge.Need(t, "bash", "od")
	c := readCompose(t)
	folder := filepath.Join(t.TempDir(), "secrets")
	judge.Run(t, "../scripts/compose-secrets", folder)

	made := map[string]string{}
	for name, secret := range c.Secrets {
		require.Equal(t, "deploy/compose/secrets/"+name, secret.File, "where the script makes it")
		content, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		require.Regexp(t, regexp.MustCompile(`^[0-9a-f]{64}$`), string(content))
		require.NotContains(t, made, string(content))
		made[string(content)] = name
	}
	files, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, files, len(c.Secrets), "it makes none that nobody uses")
	info, err := os.Stat(folder)
	require.NoError(t, err)
	require.Equal(t, os.ModeDir|0o700, info.Mode())

	judge.Run(t, "../scripts/compose-secrets", folder)
	for content, name := range made {
		again, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		require.Equal(t, content, string(again), "a second run made a new %s", name)
	}

	ignored, err := os.ReadFile("../.gitignore")
	require.NoError(t, err)
	require.Contains(t, strings.Split(string(ignored), "\n"), "/deploy/compose/secrets/")
}

func TestComposeConfiguration(t *testing.T) {
	c := readCompose(t)
	imca := c.Services["imca"]
	require.Contains(t, imca.Volumes, "./deploy/compose/imca.yaml:"+configFile+":ro")
	settings, err := config.Load("compose/imca.yaml")
	require.NoError(t, err)

	secret, ok := strings.CutPrefix(settings.DatabasePassword, "file:/run/secrets/")
	require.True(t, ok)
	require.Contains(t, imca.Secrets, secret)
	require.Contains(t, c.Services["postgres"].Secrets, secret, "both must know the same password")
	secret, ok = strings.CutPrefix(settings.CA.Passphrase, "file:/run/secrets/")
	require.True(t, ok)
	require.Contains(t, imca.Secrets, secret)
	require.NotContains(t, c.Services["postgres"].Secrets, secret, "the database has no business with the CA's keys")

	database := c.Services["postgres"].Environment
	require.Equal(t, "postgres://"+database["POSTGRES_USER"]+"@postgres:5432/"+database["POSTGRES_DB"], settings.Database)
	require.True(t, strings.HasPrefix(settings.CA.Keys, "/var/lib/imca/"), "keys must be in the volume")
	for _, port := range []string{settings.Listen.HTTPS, settings.Listen.HTTP} {
		require.Contains(t, imca.Ports, strings.TrimPrefix(port, ":")+port)
	}
	require.Len(t, imca.Ports, 2, "nothing else, /metrics least of all, is open to the world")
}

func TestComposeAgreesWithImage(t *testing.T) {
	image := readDockerfile(t)
	imca := readCompose(t).Services["imca"]
	require.Equal(t, imca.Command, list(t, image["CMD"]))
	require.Contains(t, imca.Command, configFile)
	require.Equal(t, append([]string{"CMD"}, list(t, health(t, image))...), imca.Healthcheck.Test)
	require.Equal(t, list(t, image["ENTRYPOINT"])[0], imca.Healthcheck.Test[1])
	require.Contains(t, imca.Volumes, "data:"+image["VOLUME"])
	for _, port := range imca.Ports {
		_, inside, _ := strings.Cut(port, ":")
		require.Contains(t, strings.Fields(image["EXPOSE"]), inside)
	}
}

func TestImage(t *testing.T) {
	image := readDockerfile(t)
	require.Equal(t, "65532:65532", image["USER"], "not root, and by number, so that Kubernetes can tell")
	mod, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	require.NotNil(t, version)
	text, err := os.ReadFile("../Dockerfile")
	require.NoError(t, err)
	require.Contains(t, string(text), "FROM golang:"+string(version[1])+"-", "the image is built by the Go that go.mod asks for")
}

// TestImageContext: .dockerignore leaves out everything but the source; a package or an embedded file that it forgets would break the build of
// the image, where no test sees it.
func TestImageContext(t *testing.T) {
	text, err := os.ReadFile("../.dockerignore")
	require.NoError(t, err)
	lines := strings.Fields(regexp.MustCompile(`(?m)^#.*$`).ReplaceAllString(string(text), ""))
	require.Equal(t, "*", lines[0])
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	needed, err := exec.Command("go", "list", "-f",
		`{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}`, "../...").Output()
	require.NoError(t, err)
	require.NotEmpty(t, needed)
	for _, file := range strings.Fields(string(needed)) {
		path, err := filepath.Rel(root, file)
		require.NoError(t, err)
		top, _, _ := strings.Cut(path, "/")
		listed := slices.Contains(lines, "!"+top) || top == path && filepath.Ext(path) == ".go" && slices.Contains(lines, "!*.go")
		require.True(t, listed, "%s is needed to build imca; list it in .dockerignore", path)
	}
}

// readDockerfile gives the instructions of the last stage; of those that may be repeated, the last.
func readDockerfile(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../Dockerfile")
	require.NoError(t, err)
	image := map[string]string{}
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch instruction {
		case "", "#":
		case "FROM":
			image = map[string]string{}
			fallthrough
		default:
			image[instruction] = rest
		}
	}
	return image
}

// list reads the arguments of an instruction in the form that needs no shell, which the image does not have.
func list(t *testing.T, text string) []string {
	t.Helper()
	var words []string
	require.NoError(t, json.Unmarshal([]byte(text), &words), text)
	require.NotEmpty(t, words)
	return words
}

func health(t *testing.T, image map[string]string) string {
	t.Helper()
	_, command, ok := strings.Cut(image["HEALTHCHECK"], " CMD ")
	require.True(t, ok, "the image has a health check")
	return command
}

func TestUnit(t *testing.T) {
	judge.Need(t, "systemd-analyze")
	text, err := os.ReadFile("imca.service")
	require.NoError(t, err)
	require.Contains(t, string(text), "ExecStart=/usr/local/bin/imca serve --config "+configFile+"\n")

	// systemd insists that the program is there; this machine need not have imca installed.
	unit := filepath.Join(t.TempDir(), "imca.service")
	require.NoError(t, os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/imca", "/bin/true")), 0o644))
	require.Empty(t, judge.Run(t, "systemd-analyze", "verify", "--man=no", unit))
	// The exposure in tenths: 11 is as little as a service on the network has.
	judge.Run(t, "systemd-analyze", "security", "--offline=true", "--threshold=11", unit)
}
