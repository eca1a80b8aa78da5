// Package flags are the flags that several commands share, in groups, and the plain
// values that they become.
package flags

import (
	"log/slog"
	"reflect"

	"github.com/alecthomas/kong"

	"github.com/creditstream/creditstream/internal/kafka"
)

// checked is a group that is looked at before its command starts, opened one whose
// files are read then.
type (
	checked interface{ checkStart() error }
	opened  interface{ open(log *slog.Logger) error }
)

// Check refuses what a command must not be started with. It looks at no file.
func Check(command *kong.Node) error {
	if err := checkAddresses(command); err != nil {
		return err
	}
	for _, g := range groups(command) {
		if c, ok := g.(checked); ok {
			if err := c.checkStart(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Open makes a command ready to connect.
func Open(command *kong.Node, log *slog.Logger) error {
	for _, g := range groups(command) {
		if o, ok := g.(opened); ok {
			if err := o.open(log); err != nil {
				return err
			}
		}
	}
	return nil
}

// Deployment is how a command that takes the flags for it reaches its deployment.
func Deployment(command *kong.Node) (c kafka.Config, ok bool) {
	for _, g := range groups(command) {
		if k, ok := g.(*Kafka); ok {
			return k.Config(nil), true
		}
	}
	return kafka.Config{}, false
}

// groups are the groups of a command's flags, those within others after them.
func groups(command *kong.Node) (found []any) {
	within := []reflect.Value{command.Target}
	for len(within) > 0 {
		v := within[0]
		within = within[1:]
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Type.Kind() == reflect.Struct {
				if _, embedded := f.Tag.Lookup("embed"); embedded {
					found = append(found, v.Field(i).Addr().Interface())
					within = append(within, v.Field(i))
				}
			}
		}
	}
	return found
}
