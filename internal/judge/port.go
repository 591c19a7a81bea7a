package judge

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"testing"
)

// Ports are taken from below Linux's range for outgoing connections (32768 and up), so that no client on this machine can be
// given one between the moment it is found free and the moment the test's server listens on it.
const (
	firstPort = 10000
	portCount = 22000
)

// FreePort is a TCP port of 127.0.0.1 on which nothing listens, and which no other test, in this process or a parallel one, is given
// before this one has ended.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := firstPort + rand.IntN(portCount)
		if reserve(t, port) {
			return port
		}
	}
	t.Fatalf("no free port in %d to %d on 127.0.0.1: what listens on all of them?", firstPort, firstPort+portCount-1)
	return 0
}

// FreeAddr is 127.0.0.1 with a FreePort, as host:port.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}

func reserve(t testing.TB, port int) bool {
	// Test binaries of several packages run side by side. An abstract socket is a lock that all of them see and that goes with its process;
	// other systems have none, and there a coincidence stays possible.
	if runtime.GOOS == "linux" {
		lock, err := net.Listen("unix", fmt.Sprintf("@imca-judge-port-%d", port))
		if err != nil {
			return false
		}
		probe, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			_ = lock.Close()
			return false
		}
		_ = probe.Close()
		t.Cleanup(func() { _ = lock.Close() })
		return true
	}
	probe, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false
	}
	_ = probe.Close()
	return true
}
