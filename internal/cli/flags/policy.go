package flags

import (
	"fmt"

	"github.com/alecthomas/kong"

	"github.com/creditstream/creditstream/internal/bounded"
	"github.com/creditstream/creditstream/policy"
)

// Policy says which policy a command decides under.
type Policy struct {
	File string `name:"policy" help:"File with the policy (YAML: threshold, approve_below, decline_from, max_missing, points), or default: the default policy. Not set: that of the current route where the cluster is asked, else the default." xor:"policy" placeholder:"FILE|default"`
}

// defaultPolicy names the default policy; a file of that name is ./default.
const defaultPolicy = "default"

// Text is the policy's text, checked; the default policy's where none is named.
func (f Policy) Text() (string, error) {
	if f.File == "" || f.File == defaultPolicy {
		return policy.DefaultText, nil
	}
	text, err := bounded.ReadFile(kong.ExpandPath(f.File), bounded.Text)
	if err != nil {
		return "", fmt.Errorf("--policy: %w", err)
	}
	if _, err := policy.Parse(string(text)); err != nil {
		return "", fmt.Errorf("--policy %s: %w", f.File, err)
	}
	return string(text), nil
}
