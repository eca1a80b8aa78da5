package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// writeOut writes a file, whole or not at all; - is the standard output.
func writeOut(p *process, path string, write func(io.Writer) error) error {
	if path == "-" {
		return write(p.stdout)
	}
	return writeWhole(path, write)
}

// writeWhole writes a file that is there whole or not at all: write fills a
// neighbour, which then takes its place. Only its owner may read it.
func writeWhole(path string, write func(io.Writer) error) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return notWritten(path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	err = write(file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return notWritten(path, err)
	}
	return nil
}

// notWritten says why a file could not be made, by the name that was asked for and
// not by its neighbour's.
func notWritten(path string, err error) error {
	var of *fs.PathError
	var between *os.LinkError
	switch {
	case errors.As(err, &of):
		err = of.Err
	case errors.As(err, &between):
		err = between.Err
	}
	return fmt.Errorf("writing %s: %w", path, err)
}
