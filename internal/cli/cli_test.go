package cli

import (
	"bytes"
	"strings"
	"testing"
)

// creditstream runs the program in this process.
func creditstream(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(t.Context(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}
