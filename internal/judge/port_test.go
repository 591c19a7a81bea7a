package judge

import (
	"net"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFreeAddr(t *testing.T) {
	var port int
	t.Run("is free and kept", func(t *testing.T) {
		port = FreePort(t)
		if runtime.GOOS == "linux" {
			require.False(t, reserve(t, port), "a second test is given the same port")
		}
		listener, err := net.Listen("tcp", FreeAddr(t))
		require.NoError(t, err)
		defer func() { require.NoError(t, listener.Close()) }()
		require.False(t, reserve(t, listener.Addr().(*net.TCPAddr).Port), "a port in use is given out")
	})
	require.True(t, reserve(t, port), "the port is not given back when its test ends")
}
