package cli

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/creditstream/creditstream/internal/cli/flags"
)

// sharedFlags are those that keep one variable for all commands that have them,
// CREDITSTREAM_<FLAG>: they say where a deployment is, how it is reached, and how any
// process of it listens, logs and is named, and mean the same everywhere. A name that
// ends with a dash stands for all that begin with it.
var sharedFlags = []string{
	"config", "log-level", "log-format",
	"brokers", "prefix", "tls", "tls-", "sasl-", "insecure", "schema-registry", "schema-registry-",
	"redis", "redis-",
	"listen", "api-listen", "api-keys", "api-tls-", "shutdown-delay", "trusted-proxies", "instance",
	"engine", "model",
	"alert-webhook", "alert-webhook-",
}

// unsetFlags have no variable: they say what one call does, and a value that is left
// in an environment would say it for the next one, too.
var unsetFlags = []string{"yes", "expect", "json", "limit", "from", "to"}

// unfiledFlags are in no settings file either: they answer a question that a command
// asks before it changes something.
var unfiledFlags = []string{"yes", "expect", "help"}

// foreignVariables begin with the prefix and set no flag: what the ONNX engine, the
// client examples, training, tests and chaos read. A name that ends with an
// underscore stands for all that begin with it.
var foreignVariables = []string{
	flags.VariablePrefix + "ONNXRUNTIME", flags.VariablePrefix + "BINARY", flags.VariablePrefix + "URL", flags.VariablePrefix + "API_KEY",
	flags.VariablePrefix + "SCREENSHOTS", flags.VariablePrefix + "TEST_", flags.VariablePrefix + "CHAOS_",
}

// serviceLink is a variable that Kubernetes sets in every pod for a service that is
// named creditstream or creditstream-….
var serviceLink = regexp.MustCompile(`^CREDITSTREAM(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// among says whether a name, or what it begins with, is in a list whose entries end
// with mark where they stand for many.
func among(name string, in []string, mark string) bool {
	return slices.ContainsFunc(in, func(one string) bool {
		return name == one || strings.HasSuffix(one, mark) && strings.HasPrefix(name, one)
	})
}

func isShared(flag string) bool { return among(flag, sharedFlags, "-") }

// variableOf is the variable that sets a flag of a command, empty where none does.
func variableOf(command []string, flag string) string {
	switch {
	case slices.Contains(unsetFlags, flag) || flag == "help":
		return ""
	case isShared(flag) || len(command) == 0:
		return flags.Variable(flag)
	}
	return flags.Variable(append(slices.Clone(command), flag)...)
}

// nameVariables tells each flag which variable sets it. The value is read by settings,
// not by kong, so that there is one order for all of them.
func nameVariables(app *kong.Application) {
	for _, node := range nodes(app) {
		for _, flag := range node.Flags {
			flag.Envs = nil
			if name := variableOf(words(node), flag.Name); name != "" && !flag.Hidden {
				flag.Envs = []string{name}
			}
		}
	}
}

// environment is the variable that sets a flag and what it says, if one does. Empty
// means unset; a line's end is not part of a value: a secret that was made with echo
// has one.
func environment(flag *kong.Flag) (name, value string, ok bool) {
	for _, name := range flag.Envs {
		if value := trimLineEnd(os.Getenv(name)); value != "" {
			return name, value, true
		}
	}
	return "", "", false
}

func trimLineEnd(text string) string { return strings.TrimRight(text, "\r\n") }

// variables are the names that there are, and those that there were.
type variables struct {
	known map[string]bool
	// By the name that was once read for a flag of every command: the flag, and where
	// it is found now.
	old map[string]*renamed
}

// renamed is a variable that several commands once read.
type renamed struct {
	flag     string
	commands []string
	names    []string // of the commands, empty where the flag has none now
}

// variablesOf are those of a program.
func variablesOf(app *kong.Application) *variables {
	v := &variables{known: map[string]bool{}, old: map[string]*renamed{}}
	for _, node := range nodes(app) {
		command := words(node)
		for _, flag := range node.Flags {
			if flag.Hidden || flag.Name == "help" {
				continue
			}
			name, before := variableOf(command, flag.Name), flags.Variable(flag.Name)
			if name == before {
				v.known[name] = true
				continue
			}
			if name != "" {
				v.known[name] = true
			}
			one := v.old[before]
			if one == nil {
				one = &renamed{flag: flag.Name}
				v.old[before] = one
			}
			one.commands = append(one.commands, strings.Join(command, " "))
			one.names = append(one.names, name)
		}
	}
	return v
}

// checkOld refuses a variable that once set a flag and no longer does: whoever set it
// would go on believing that it counts.
func (v *variables) checkOld(set []string, command string) error {
	var wrong []string
	for _, name := range set {
		was := v.old[name]
		if was == nil {
			continue
		}
		at := slices.Index(was.commands, command)
		if v.known[name] && at < 0 { // another command's variable today
			continue
		}
		if at >= 0 {
			was = &renamed{flag: was.flag, commands: was.commands[at : at+1], names: was.names[at : at+1]}
		}
		wrong = append(wrong, fmt.Sprintf("%s is no longer read: %s", name, was.instead()))
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("environment: %s", strings.Join(wrong, "; "))
}

// instead says what to do.
func (r *renamed) instead() string {
	if r.names[0] == "" {
		return fmt.Sprintf("--%s has no variable; unset it and say --%s where it is meant", r.flag, r.flag)
	}
	ways := make([]string, len(r.names))
	for i, name := range r.names {
		ways[i] = fmt.Sprintf("%s for %s", name, r.commands[i])
	}
	return fmt.Sprintf("unset it and set %s", strings.Join(ways, ", or "))
}

// unknown are variables with the prefix that nothing reads.
func (v *variables) unknown(set []string) (names []string) {
	for _, name := range set {
		if !v.known[name] && v.old[name] == nil && !among(name, foreignVariables, "_") && !serviceLink.MatchString(name) {
			names = append(names, name)
		}
	}
	return names
}

// warnUnknown names those that nothing reads, and what may have been meant.
func (v *variables) warnUnknown(set []string, log *slog.Logger) {
	for _, name := range v.unknown(set) {
		attributes := []any{"variable", name}
		if near := flags.Nearest(name, slices.Sorted(maps.Keys(v.known))); near != "" {
			attributes = append(attributes, "did_you_mean", near)
		}
		log.Warn("environment variable ignored: nothing reads it", attributes...)
	}
}

// setVariables are the variables with the prefix that are not empty, sorted.
func setVariables() (names []string) {
	for _, one := range os.Environ() {
		name, value, _ := strings.Cut(one, "=")
		if strings.HasPrefix(name, flags.VariablePrefix) && trimLineEnd(value) != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
