package flags

import (
	"fmt"
	"strconv"

	"github.com/alecthomas/kong"
)

// Limit is how many are shown; 0: all. It reads what stands behind the flag
// itself: -1 would be taken for another flag, and the answer speak of syntax.
type Limit int

// Decode is part of kong.MapperValue.
func (f *Limit) Decode(ctx *kong.DecodeContext) error {
	next := ctx.Scan.Pop()
	text := fmt.Sprint(next.Value)
	if next.Type == kong.EOLToken {
		text = ""
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return fmt.Errorf("%q: expected a whole number, 0 or more", text)
	}
	*f = Limit(n)
	return nil
}
