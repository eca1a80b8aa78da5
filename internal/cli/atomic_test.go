package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFileIsThereWholeOrNotAtAll(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "x.csv")
	text := func(w io.Writer) error {
		_, err := io.WriteString(w, "rows")
		return err
	}
	require.NoError(t, writeWhole(path, text))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "rows", string(b))

	broken := errors.New("the log is gone")
	require.ErrorIs(t, writeWhole(path, func(w io.Writer) error {
		return errors.Join(text(w), broken)
	}), broken)
	b, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "rows", string(b), "the old one stays")

	// What cannot be written is named as it was asked for, not as the neighbour.
	missing := filepath.Join(folder, "nowhere", "x.csv")
	err = writeWhole(missing, text)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.EqualError(t, err, "writing "+missing+": no such file or directory")
	occupied := filepath.Join(folder, "occupied")
	require.NoError(t, os.MkdirAll(filepath.Join(occupied, "by"), 0o700))
	err = writeWhole(occupied, text)
	require.ErrorContains(t, err, "writing "+occupied+": ")
	require.NotContains(t, err.Error(), ".occupied.")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 2, "no neighbour is left")
}
