package bounded

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFileIsReadWholeUpToItsLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("12345"), 0o600))
	for most, fits := range map[int64]bool{0: false, 4: false, 5: true, 6: true} {
		content, err := ReadFile(path, most)
		if fits {
			require.NoError(t, err)
			require.Equal(t, "12345", string(content))
		} else {
			require.ErrorContains(t, err, "-byte limit")
			require.ErrorContains(t, err, path)
			require.Nil(t, content)
		}
	}
	_, err := ReadFile(filepath.Join(t.TempDir(), "none"), 5)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = ReadFile(t.TempDir(), 5)
	require.Error(t, err, "a directory")
}

// A file of a terabyte that holds nothing costs no more than the limit.
func TestNoMoreIsReadThanShowsThatItIsTooMuch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sparse")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 1<<40))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := ReadFile(path, Text)
	runtime.ReadMemStats(&after)
	require.ErrorContains(t, err, "exceeds the 8388608-byte limit")
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(16*Text))
}
