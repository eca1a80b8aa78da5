package flags

import (
	"fmt"
	"os/user"
	"strings"
)

// Sign says who changes what serves, and why.
type Sign struct {
	Expect *int64 `help:"Revision that is current as far as you know; refused when another one is. Not needed for the first route." placeholder:"REVISION"`
	By     string `help:"Who does this (default: the system's user)." placeholder:"NAME"`
	Why    string `help:"Why, for those who read the history." required:"" placeholder:"TEXT"`
}

// Signer is who does it; the reason must be given.
func (f Sign) Signer() (string, error) {
	if strings.TrimSpace(f.Why) == "" {
		return "", Usagef("--why is empty: expected a reason, for those who read the history")
	}
	return Signer(f.By)
}

// Signer is who is said to act: as told, or the system's user.
func Signer(by string) (string, error) {
	if by != "" {
		return by, nil
	}
	u, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("--by is not set and the system does not say who you are: %w", err)
	}
	return u.Username, nil
}
