package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"

	"github.com/creditstream/creditstream/internal/cli/flags"
)

type configCmd struct {
	Command []string `arg:"" optional:"" passthrough:"partial" help:"The command to look at, with its flags (score --group night); none: every command."`
	JSON    bool     `help:"Print JSON." name:"json"`
}

// Help is the second half of `config --help`.
func (configCmd) Help() string {
	return `Prints every setting of a command with its effective value, where it came from (flag, environment, file or default), and the environment variable that sets it, where there is one. Secrets are masked, also in URLs. An empty value means that the command works it out itself, as with the host name for --instance. Values that cannot be parsed are refused; what a command checks only when it runs is not checked here.

Examples:
  creditstream config score
  creditstream config --json score --brokers kafka:9092
  CREDITSTREAM_CONFIG=prod.yaml creditstream config`
}

// inForce is one setting of one command.
type inForce struct {
	Command string `json:"command"` // empty: of every command
	Setting string `json:"setting"`
	Value   string `json:"value"`
	Origin  string `json:"origin"`
	// Variable is the environment variable that sets it; empty: none does.
	Variable string `json:"variable"`
}

// Run prints what is in force.
func (c *configCmd) Run(p *process, s *settings, parser *kong.Kong) error {
	lines := [][]string{c.Command}
	if group := commandGroup(parser.Model.Node, c.Command); group != nil {
		lines = nil
		for _, leaf := range group.Leaves(true) {
			lines = append(lines, words(leaf))
		}
	}
	var all []inForce
	for _, line := range lines {
		found, err := s.inForce(line)
		if err != nil {
			return err
		}
		for _, one := range found {
			if !contains(all, one) {
				all = append(all, one)
			}
		}
	}
	if len(lines) == 1 { // of several, one may read what another no longer does
		if err := variablesOf(parser.Model).checkOld(setVariables(), all[len(all)-1].Command); err != nil {
			return flags.Usage(err)
		}
	}
	return c.print(p.stdout, all)
}

// commandGroup is the node that the words name when it has commands below it:
// all of the program for no words; nil for a command of its own, or none.
func commandGroup(n *kong.Node, named []string) *kong.Node {
	for _, word := range named {
		i := slices.IndexFunc(n.Children, func(c *kong.Node) bool { return c.Name == word })
		if i < 0 {
			return nil
		}
		n = n.Children[i]
	}
	if len(n.Children) == 0 {
		return nil
	}
	return n
}

// words are a command's name as it is typed.
func words(n *kong.Node) (out []string) {
	for ; n != nil && n.Type == kong.CommandNode; n = n.Parent {
		out = append([]string{n.Name}, out...)
	}
	return out
}

func contains(all []inForce, one inForce) bool {
	return slices.ContainsFunc(all, func(a inForce) bool { return a.Command == one.Command && a.Setting == one.Setting })
}

// inForce parses a command line as Run does, without running it, and reads off
// what every flag came to.
func (s *settings) inForce(args []string) ([]inForce, error) {
	var root grammar
	parser, err := newParser(&root, s, io.Discard, io.Discard, func(int) {})
	if err != nil {
		return nil, err
	}
	ctx, err := kong.Trace(parser, args)
	if err != nil {
		return nil, err
	}
	leaf := ctx.Selected()
	if leaf == nil {
		return nil, flags.Usagef("%q is not a command; creditstream --help lists them", strings.Join(args, " "))
	}
	if ctx.Error != nil {
		return nil, s.explain(ctx.Error, ctx)
	}
	if err := ctx.Reset(); err != nil {
		return nil, s.explain(err, ctx)
	}
	if err := ctx.Resolve(); err != nil {
		return nil, s.explain(err, ctx)
	}
	if _, err := ctx.Apply(); err != nil {
		return nil, s.explain(err, ctx)
	}
	// What is in force can be told without what a command cannot do without.
	if err := ctx.Validate(); err != nil && !strings.HasPrefix(err.Error(), `expected "<`) && !strings.HasPrefix(err.Error(), "missing flags: ") {
		return nil, s.explain(err, ctx)
	}
	if err := s.check(ctx); err != nil {
		return nil, flags.Usage(err)
	}
	if err := flags.Check(leaf); err != nil {
		return nil, err
	}
	given := map[*kong.Flag]bool{}
	for _, step := range ctx.Path {
		if step.Flag != nil && !step.Resolved {
			given[step.Flag] = true
		}
	}
	command := strings.Join(words(leaf), " ")
	var found []inForce
	for _, n := range []*kong.Node{parser.Model.Node, leaf} {
		for _, f := range n.Flags {
			if f.Name == "help" || f.Hidden {
				continue
			}
			one := inForce{Command: command, Setting: f.Name, Value: shown(f), Origin: s.origin(f, leaf, given[f]), Variable: strings.Join(f.Envs, " ")}
			if n.Type == kong.ApplicationNode {
				one.Command = ""
			}
			if f.Name == "config" && s.path != "" { // read before anything was parsed
				one.Value, one.Origin = s.path, s.pathFrom
			}
			found = append(found, one)
		}
	}
	return found, nil
}

func shown(f *kong.Flag) string {
	v := f.Target
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return ""
		}
		v = v.Elem()
	}
	text := fmt.Sprint(v.Interface())
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.String {
		items := slices.Clone(v.Interface().([]string)) //nolint:forcetypeassert // its kinds say so
		for i := range items {
			items[i] = flags.Redacted(items[i])
		}
		return strings.Join(items, ",")
	}
	if isSecret(f) && text != "" {
		return flags.Masked
	}
	if strings.Contains(text, "://") || strings.Contains(f.PlaceHolder, "HOST") || strings.Contains(f.PlaceHolder, "URL") {
		return flags.Redacted(text)
	}
	return text
}

// originDefault is the origin of what nobody set.
const originDefault = "default"

// origin is where a flag's value came from.
func (s *settings) origin(f *kong.Flag, leaf *kong.Node, given bool) string {
	if given {
		return "flag"
	}
	if name, _, ok := environment(f); ok {
		return "environment " + name
	}
	if n, key := s.find(leaf, f); n != nil {
		return fmt.Sprintf("file %s line %d (%s)", s.path, n.Line, key)
	}
	return originDefault
}

func (c *configCmd) print(w io.Writer, found []inForce) error {
	if c.JSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(found)
	}
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for i, one := range found {
		if i == 0 || one.Command != found[i-1].Command {
			if i > 0 {
				fmt.Fprintln(tw)
			}
			fmt.Fprintln(tw, cmp.Or(one.Command, "every command"))
		}
		fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\n", one.Setting, one.Value, one.Origin, cmp.Or(one.Variable, "-"))
	}
	return tw.Flush()
}
