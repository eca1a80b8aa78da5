package apptest

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// docs/failures.md names the test that holds each line: every one must exist.
func TestFailuresNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("../docs/failures.md")
	require.NoError(t, err)
	declaration, exists := regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`), map[string]bool{}
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, "_test.go") {
			var b []byte
			b, err = os.ReadFile(path)
			for _, found := range declaration.FindAllSubmatch(b, -1) {
				exists[string(found[1])] = true
			}
		}
		return err
	}))
	named := regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(string(text), -1)
	require.Greater(t, len(named), 30)
	for _, name := range named {
		require.True(t, exists[name], "docs/failures.md names %s", name)
	}
}
