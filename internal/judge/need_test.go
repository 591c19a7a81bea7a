package judge

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// verdict is a testing.TB that notes how it was ended.
type verdict struct {
	testing.TB
	skipped, failed string
}

func (v *verdict) Skip(args ...any) {
	v.skipped = fmt.Sprint(args...)
	runtime.Goexit()
}

func (v *verdict) Fatal(args ...any) {
	v.failed = fmt.Sprint(args...)
	runtime.Goexit()
}

// judge runs what may end the test, in a goroutine of its own as the testing package does.
func (v *verdict) judge(body func(testing.TB)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		body(v)
	}()
	<-done
}

func TestNeed(t *testing.T) {
	for _, test := range []struct {
		name, ci, tool string
		skips, fails   bool
	}{
		{name: "there at home", tool: "sh"},
		{name: "there in CI", ci: "true", tool: "sh"},
		{name: "missing at home", tool: "imca-no-such-tool", skips: true},
		{name: "missing in CI", ci: "true", tool: "imca-no-such-tool", fails: true},
		{name: "a path that is not there", ci: "1", tool: "/nowhere/sh", fails: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("CI", test.ci)
			v := &verdict{TB: t}
			v.judge(func(t testing.TB) { Need(t, "true", test.tool) })
			require.Equal(t, test.skips, v.skipped != "")
			require.Equal(t, test.fails, v.failed != "")
			if test.skips || test.fails {
				require.Contains(t, v.skipped+v.failed, test.tool+" is not installed")
			}
		})
	}
}

func TestPathLooksWhereServersAre(t *testing.T) {
	Need(t, "apache2")
	t.Setenv("PATH", "/nowhere")
	require.True(t, filepath.IsAbs(Path(t, "apache2")))
	_, err := exec.LookPath("apache2")
	require.Error(t, err, "the test proves nothing when PATH has it")
}

func TestPostgresIsMissingWithoutACluster(t *testing.T) {
	t.Setenv(PostgresEnv, "")
	t.Setenv("CI", "true")
	v := &verdict{TB: t}
	v.judge(func(t testing.TB) { Postgres(t) })
	require.Contains(t, v.failed, "with-postgres")
}
