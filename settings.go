package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"

	"github.com/creditstream/creditstream/internal/bounded"
)

// settings is where flags get their values from when the command line does not
// say: the environment first (kong reads it), then a YAML file.
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
	if s.path = os.Getenv(configVariable); s.path != "" {
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
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("--config %s: %w", s.path, err)
	}
	if len(doc.Content) == 0 {
		return nil
	}
	return s.collect("", doc.Content[0])
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

// Validate is part of kong.Resolver: every key in the file must be a flag.
func (s *settings) Validate(app *kong.Application) error {
	known := map[string]bool{}
	var walk func(n *kong.Node, path string)
	walk = func(n *kong.Node, path string) {
		for _, f := range n.Flags {
			known[f.Name] = true
			known[path+f.Name] = true
		}
		for _, c := range n.Children {
			walk(c, path+c.Name+".")
		}
	}
	walk(app.Node, "")
	var unknown []string
	for key, n := range s.values {
		if !known[key] {
			unknown = append(unknown, fmt.Sprintf("line %d: %s is not a setting", n.Line, key))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return fmt.Errorf("--config %s: %s", s.path, strings.Join(unknown, "; "))
}

// Resolve is part of kong.Resolver.
func (s *settings) Resolve(ctx *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if _, ok := environment(flag); ok {
		return nil, nil // kong has taken it from there already
	}
	n, _ := s.find(parent.Node(), flag)
	if n == nil {
		return nil, nil
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return n.Value, nil
	case yaml.SequenceNode:
		var items []string
		for _, c := range n.Content {
			items = append(items, c.Value)
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
		if n := s.values[key]; n != nil {
			return n, key
		}
	}
	return s.values[flag.Name], flag.Name
}

// environment is the variable that sets a flag, if one does.
func environment(flag *kong.Flag) (name string, ok bool) {
	for _, name := range flag.Envs {
		if _, set := os.LookupEnv(name); set {
			return name, true
		}
	}
	return "", false
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
