package flags

import (
	"fmt"
	"time"

	"github.com/alecthomas/kong"
)

// Wait says whether a new route is waited for.
type Wait struct {
	Within WaitTime `name:"wait" help:"Wait until every running scorer and API serves it, for a minute or the time given (--wait 30s); exit code 1 when one does not." placeholder:"[DURATION]"`
}

// defaultWait is what --wait alone means: opening bundles takes less than a second.
const defaultWait = time.Minute

// WaitTime is a duration that may be left out; 0: not to wait.
type WaitTime time.Duration

// String is the flag as it would be given.
func (f WaitTime) String() string {
	if f == 0 {
		return ""
	}
	return time.Duration(f).String()
}

// IsBool lets the flag stand without a value.
func (*WaitTime) IsBool() bool { return true }

// Decode is how the flag is read: --wait, --wait=30s or --wait 30s.
func (f *WaitTime) Decode(ctx *kong.DecodeContext) error {
	next := ctx.Scan.Peek()
	text := fmt.Sprint(next.Value)
	d, err := time.ParseDuration(text)
	isDuration := err == nil && next.Type != kong.EOLToken
	switch {
	case isDuration && d > 0:
		*f = WaitTime(d)
	case isDuration, next.Type == kong.FlagValueToken:
		return fmt.Errorf("%q: expected a duration above 0, as 30s", text)
	default: // the next flag, or nothing
		*f = WaitTime(defaultWait)
		return nil
	}
	ctx.Scan.Pop()
	return nil
}
