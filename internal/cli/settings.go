package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/creditstream/creditstream/internal/bounded"
	"github.com/creditstream/creditstream/internal/cli/flags"
)

// settings is where flags get their values from when the command line does not
// say: the environment first, then a YAML file.
type settings struct {
	path     string
	pathFrom string                // flag or environment …
	values   map[string]*yaml.Node // by "flag" or "command.flag", "command.sub.flag"
}

// configVariable names the settings file.
const configVariable = "CREDITSTREAM_CONFIG"

func newSettings() *settings {
	return &settings{values: map[string]*yaml.Node{}}
}

// load reads the file that --config or CREDITSTREAM_CONFIG names, if any.
func (s *settings) load(args []string) error {
	if s.path = trimLineEnd(os.Getenv(configVariable)); s.path != "" {
		s.pathFrom = "environment " + configVariable
	}
	for i, a := range args {
		if a == "--" {
			break
		}
		if v, ok := strings.CutPrefix(a, "--config="); ok {
			s.path, s.pathFrom = v, "flag"
		} else if a == "--config" && i+1 < len(args) {
			s.path, s.pathFrom = args[i+1], "flag"
		}
	}
	if s.path == "" {
		return nil
	}
	text, err := bounded.ReadFile(s.path, bounded.Text)
	if err != nil {
		return fmt.Errorf("--config %s: %w", s.path, err)
	}
	doc, err := onlyDocument(text)
	if err != nil {
		return fmt.Errorf("--config %s: %w", s.path, err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Tag == "!!null" {
		return nil
	}
	return s.collect("", doc.Content[0])
}

// onlyDocument is the document of a YAML file that has one, or none: what a second one
// says would be lost.
func onlyDocument(text []byte) (doc yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return doc, nil
		}
		return doc, err
	}
	var second yaml.Node
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		if err != nil {
			return doc, err
		}
		return doc, fmt.Errorf("line %d: a second YAML document begins; expected one", second.Line)
	}
	return doc, nil
}

func (s *settings) collect(prefix string, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("--config %s line %d: expected settings as key: value", s.path, n.Line)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := prefix + n.Content[i].Value
		if _, twice := s.values[key]; twice {
			return fmt.Errorf("--config %s line %d: %s is set twice", s.path, n.Content[i].Line, key)
		}
		if v := n.Content[i+1]; v.Kind == yaml.MappingNode {
			if err := s.collect(key+".", v); err != nil {
				return err
			}
		} else {
			s.values[key] = v
		}
	}
	return nil
}

// Validate is part of kong.Resolver: every key in the file must be a flag, and one
// that stands for all commands must mean the same to them.
func (s *settings) Validate(app *kong.Application) error {
	known := map[string]bool{}
	owners := map[string][]string{} // of flags that are not shared, where they are settings
	for _, node := range nodes(app) {
		for _, f := range node.Flags {
			switch path := strings.Join(append(words(node), f.Name), "."); {
			case slices.Contains(unfiledFlags, f.Name):
			case isShared(f.Name):
				known[f.Name], known[path] = true, true
			default:
				known[path] = true
				owners[f.Name] = append(owners[f.Name], path)
			}
		}
	}
	var wrong []string
	for key, n := range s.values {
		if known[key] {
			continue
		}
		where := fmt.Sprintf("line %d: %s", n.Line, key)
		name := key[strings.LastIndexByte(key, '.')+1:]
		switch near := flags.Nearest(key, slices.Sorted(maps.Keys(known))); {
		case slices.Contains(unfiledFlags, name):
			where += fmt.Sprintf(" is not a setting: say --%s where it is meant", name)
		case len(owners[key]) > 0:
			where += fmt.Sprintf(" is a command's own: set %s", strings.Join(owners[key], " or "))
		case near != "":
			where += fmt.Sprintf(" is not a setting; did you mean %s?", near)
		default:
			where += " is not a setting"
		}
		wrong = append(wrong, where)
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.Sort(wrong)
	return fmt.Errorf("--config %s: %s", s.path, strings.Join(wrong, "; "))
}

// nodes are a program and all its commands.
func nodes(app *kong.Application) []*kong.Node {
	return append([]*kong.Node{app.Node}, app.Leaves(false)...)
}

// Resolve is part of kong.Resolver.
func (s *settings) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if _, value, ok := environment(flag); ok {
		return value, nil
	}
	n, _ := s.find(parent.Node(), flag)
	if n == nil {
		return nil, nil
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return trimLineEnd(n.Value), nil
	case yaml.SequenceNode:
		var items []string
		for _, c := range n.Content {
			items = append(items, trimLineEnd(c.Value))
		}
		return strings.Join(items, ","), nil
	}
	return nil, fmt.Errorf("--config %s line %d: %s: expected a value or a list", s.path, n.Line, flag.Name)
}

// find looks a flag up under its command's path first, then at the top.
func (s *settings) find(node *kong.Node, flag *kong.Flag) (*yaml.Node, string) {
	var path []string
	for n := node; n != nil && n.Type == kong.CommandNode; n = n.Parent {
		path = append([]string{n.Name}, path...)
	}
	for ; len(path) > 0; path = path[:len(path)-1] {
		key := strings.Join(path, ".") + "." + flag.Name
		if n := s.value(key); n != nil {
			return n, key
		}
	}
	if !isShared(flag.Name) { // one of all commands would be set for each that has one of this name
		return nil, ""
	}
	return s.value(flag.Name), flag.Name
}

// value is what the file says of a key; nil: nothing, or that it is not set.
func (s *settings) value(key string) *yaml.Node {
	if n := s.values[key]; n != nil && n.Tag != "!!null" {
		return n
	}
	return nil
}

// check refuses secrets on the command line, where every user of the machine
// can read them.
func (s *settings) check(ctx *kong.Context) error {
	for _, p := range ctx.Path {
		if p.Flag != nil && isSecret(p.Flag) && !p.Resolved {
			return fmt.Errorf("--%s would show in the process list: set %s, or the file that --%s-file names", p.Flag.Name, strings.Join(p.Flag.Envs, " or "), p.Flag.Name)
		}
	}
	return nil
}

func isSecret(f *kong.Flag) bool { return f.Tag.Has("secret") }
