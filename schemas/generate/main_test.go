package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What other languages read must say what the Go rules say.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := Files()
	require.NoError(t, err)
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
		require.NoError(t, err, "run: make generate")
		require.Equal(t, string(want), string(got), "%s is stale; run: make generate", name)
	}
	for _, dir := range []string{"jsonschema", "avro"} {
		require.NoError(t, filepath.WalkDir(filepath.Join("..", dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				require.Contains(t, files, strings.TrimPrefix(filepath.ToSlash(path), "../"), "nothing generates it any more")
			}
			return err
		}))
	}
}
