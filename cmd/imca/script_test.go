package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/imca-project/imca/internal/judge"
)

func TestMain(m *testing.M) {
	testscript.Main(withBinary{m}, map[string]func(){"imca-echo": echoMain})
}

// withBinary builds imca and puts it into PATH, so that the tests judge what users get: without the race detector, under which each of the many
// starts would take seconds to derive a key from its passphrase. Races are looked for in the servers that tests start in their own process.
type withBinary struct{ *testing.M }

func (w withBinary) Run() int {
	folder, err := os.MkdirTemp("", "imca-test.")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if output, err := exec.Command("go", "build", "-o", filepath.Join(folder, "imca"), ".").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("building imca: %v\n%s", err, output))
	}
	if err := os.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		panic(err)
	}
	return w.M.Run()
}

// TestScripts runs the commands as their users do: the scripts of testdata, each in a folder of its own, with addresses of its own.
func TestScripts(t *testing.T) {
	judge.Need(t, "openssl", "curl", "unzip")
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"HTTPS", "HTTP", "OPS", "HTTPS2", "HTTP2", "OPS2"} {
				env.Setenv(name, judge.FreeAddr(t))
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ready": scriptReady,
			"mode":  scriptMode,
			"json":  scriptJSON,
			"set":   scriptSet,
		},
	})
}

// scriptReady waits until the server at an address of plain HTTP is ready: ready HOST:PORT.
func scriptReady(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: ready HOST:PORT")
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		response, err := http.Get("http://" + args[0] + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
			err = fmt.Errorf("%s", response.Status)
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s is not ready: %v", args[0], err)
		}
	}
}

// scriptMode compares the permissions of files: mode 600 FILE...
func scriptMode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: mode PERM FILE...")
	}
	for _, file := range args[1:] {
		info, err := os.Stat(ts.MkAbs(file))
		ts.Check(err)
		if have := fmt.Sprintf("%o", info.Mode().Perm()); have != args[0] {
			ts.Fatalf("%s has mode %s, want %s", file, have, args[0])
		}
	}
}

// scriptJSON checks that the last standard output is one JSON value, and what it has at a path: json [PATH [VALUE]], with a path such as
// items.0.serial.
func scriptJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		var any any
		ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &any))
		return
	}
	value, found := at(ts, args[0])
	if found == neg {
		ts.Fatalf("%s: found is %v: %s", args[0], found, value)
	}
	if len(args) > 1 && value != args[1] {
		ts.Fatalf("%s is %q, want %q", args[0], value, args[1])
	}
}

// scriptSet puts what the JSON of the last standard output has at a path into a variable: set NAME PATH.
func scriptSet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: set NAME PATH")
	}
	value, found := at(ts, args[1])
	if !found {
		ts.Fatalf("there is no %s", args[1])
	}
	ts.Setenv(args[0], value)
}

func at(ts *testscript.TestScript, path string) (text string, found bool) {
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &value))
	for _, step := range strings.Split(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			if value, found = v[step]; !found {
				return "", false
			}
		case []any:
			var i int
			if _, err := fmt.Sscanf(step, "%d", &i); err != nil || i >= len(v) {
				return "", false
			}
			value = v[i]
		default:
			return "", false
		}
	}
	return fmt.Sprint(value), true
}
