// Package bounded reads files whole that have a largest sensible size: of one that
// is larger, or never ends, no more is read than shows that.
package bounded

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Text is the most bytes that files written by people may have: settings, policies,
// keys, certificates, secrets.
const Text = 8 << 20

// ReadFile is a file's content, or an error where that has more than most bytes.
func ReadFile(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(file, most+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	if int64(len(content)) > most {
		return nil, fmt.Errorf("%s exceeds the %d-byte limit", path, most)
	}
	return content, nil
}
