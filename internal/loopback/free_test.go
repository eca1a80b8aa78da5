package loopback

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddressesAreFreeAndGivenOnce(t *testing.T) {
	seen := map[int]bool{}
	for i := range 300 {
		n := 1 + i%3
		at, p, err := Free(n)
		require.NoError(t, err)
		require.Equal(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(p)), at)
		require.GreaterOrEqual(t, p, first)
		require.Less(t, p+n, end+1)
		for k := range n {
			require.False(t, seen[p+k], "given twice")
			seen[p+k] = true
			l, err := net.Listen("tcp", address(p+k))
			require.NoError(t, err)
			require.False(t, areFree(p+k, 1), "given before")
			require.NoError(t, l.Close())
		}
	}
}

func TestWhatIsListenedOnIsNotFree(t *testing.T) {
	_, p, err := Free(2)
	require.NoError(t, err)
	mu.Lock()
	defer mu.Unlock()
	delete(taken, p)
	delete(taken, p+1)
	require.True(t, areFree(p, 2))
	l, err := net.Listen("tcp", address(p+1))
	require.NoError(t, err)
	require.False(t, areFree(p, 2))
	require.True(t, areFree(p, 1))
	require.NoError(t, l.Close())
}

func TestNothingIsFreeWhereAllIsTaken(t *testing.T) {
	mu.Lock()
	before := taken
	taken = map[int]bool{}
	for p := first; p < end; p++ {
		taken[p] = true
	}
	mu.Unlock()
	_, _, err := Free(1)
	require.ErrorContains(t, err, "no free port")
	mu.Lock()
	taken = before
	mu.Unlock()
}
