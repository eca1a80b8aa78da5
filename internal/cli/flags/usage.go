package flags

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// UsageError is what whoever typed the command line, or wrote the settings, has to
// change: the program ends with 2. Everything else that fails ends it with 1.
type UsageError struct{ error }

func (e UsageError) Unwrap() error { return e.error }

// Usage marks an error as one of usage; nil stays nil.
func Usage(err error) error {
	if err == nil {
		return nil
	}
	return UsageError{err}
}

// Usagef is fmt.Errorf, as one of usage.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// Nearest is the one of names that was probably meant, empty where none or several are
// as near.
func Nearest(typed string, names []string) string {
	best, found := 3, "" // as many letters wrong, missing or too many are another word
	for _, name := range names {
		if slices.Contains([]string{"", typed}, name) {
			continue
		}
		switch d := levenshtein.ComputeDistance(typed, name); {
		case d < best && d*2 < len(name):
			best, found = d, name
		case d == best && d < 3:
			found = ""
		}
	}
	return found
}

// CheckValue refuses what is none of the names there are; empty is not said at all.
func CheckValue(what, typed string, names []string) error {
	if typed == "" || slices.Contains(names, typed) {
		return nil
	}
	return Usage(errors.New(UnknownValue(what, typed, names)))
}

// UnknownValue is what is said of a value that is none of those there are.
func UnknownValue(what, typed string, names []string) string {
	all := strings.Join(names, ", ")
	if at := strings.LastIndex(all, ", "); at >= 0 {
		all = all[:at] + " or " + all[at+2:]
	}
	text := fmt.Sprintf("%s %s: expected %s", what, typed, all)
	if near := Nearest(typed, names); near != "" {
		text += fmt.Sprintf("; did you mean %s?", near)
	}
	return text
}

// VariablePrefix begins the name of every variable that sets a flag.
const VariablePrefix = "CREDITSTREAM_"

// Variable is the variable that sets a flag of a command, by their names.
func Variable(parts ...string) string {
	return VariablePrefix + strings.ToUpper(strings.ReplaceAll(strings.Join(parts, "_"), "-", "_"))
}
