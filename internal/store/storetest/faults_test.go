package storetest_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imca-project/imca/internal/acme"
	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/store/storetest"
)

// TestMethods: a method that a contract gains is walked too.
func TestMethods(t *testing.T) {
	for contract, methods := range map[reflect.Type][]string{reflect.TypeFor[ca.Store](): storetest.Methods(), reflect.TypeFor[acme.Store](): storetest.ACMEMethods()} {
		require.Len(t, methods, contract.NumMethod(), contract.String())
		for _, name := range methods {
			_, found := contract.MethodByName(name)
			require.True(t, found, name)
		}
	}
}

// pinged is a store that counts its pings and can do nothing else.
type pinged struct {
	ca.Store
	n int
}

func (p *pinged) Ping(context.Context) error {
	p.n++
	return nil
}

func TestFaults(t *testing.T) {
	inner := new(pinged)
	f := storetest.NewFaults(inner)
	require.NoError(t, f.Ping(t.Context()))
	require.Equal(t, 1, inner.n)

	f.Arm("Ping", storetest.DidNotHappen)
	require.ErrorIs(t, f.Ping(t.Context()), storetest.ErrFault)
	require.Equal(t, 1, inner.n, "did not happen")

	f.Arm("Ping", storetest.DidHappen)
	require.ErrorIs(t, f.Ping(t.Context()), storetest.ErrFault)
	require.Equal(t, 2, inner.n, "did happen")

	require.NoError(t, f.Ping(t.Context()), "a fault strikes once")
	require.Equal(t, []string{"Ping", "Ping", "Ping", "Ping"}, f.Called())
	require.Empty(t, f.Called())
	require.Panics(t, func() { f.Arm("Pong", storetest.DidHappen) })
}
