package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Plain says what is wrong with a JSON or YAML text as its author sees it: the field,
// what stands there and what was expected, without the names of this program's types.
// Any other error it leaves as it is.
func Plain(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := wrong.Field
		if field == "" {
			field = "the whole"
		}
		article := "a"
		if wrong.Value == "object" || wrong.Value == "array" {
			article = "an"
		}
		return fmt.Errorf("%s: %s %s, expected %s", field, article, wrong.Value, kindOf(wrong.Type))
	}
	if wrong, ok := errors.AsType[*yaml.TypeError](err); ok {
		said := make([]error, len(wrong.Errors))
		for i, one := range wrong.Errors {
			said[i] = errors.New(plainYAML(one))
		}
		return errors.Join(said...)
	}
	return err
}

// kindOf is a type as JSON calls it.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	}
	return "something else"
}

var (
	yamlType  = regexp.MustCompile("^(line \\d+: )cannot unmarshal !!(\\w+)(?: `(.*)`)? into (.*)$")
	yamlField = regexp.MustCompile(`^(line \d+: )field (.*) not found in type .*$`)
)

// plainYAML is one of the library's messages.
func plainYAML(message string) string {
	if m := yamlField.FindStringSubmatch(message); m != nil {
		return m[1] + "unknown field " + m[2]
	}
	m := yamlType.FindStringSubmatch(message)
	if m == nil {
		return message
	}
	have := map[string]string{"map": "a mapping", "seq": "a list", "null": "nothing"}[m[2]]
	if have == "" {
		have = fmt.Sprintf("%q", m[3])
	}
	want := "something else"
	switch into := m[4]; {
	case strings.HasPrefix(into, "int"), strings.HasPrefix(into, "uint"):
		want = "a whole number"
	case strings.HasPrefix(into, "float"):
		want = "a number"
	case into == "string":
		want = "a text"
	case into == "bool":
		want = "true or false"
	case strings.HasPrefix(into, "[]"):
		want = "a list"
	case strings.HasPrefix(into, "map"), strings.Contains(into, "struct"), strings.Contains(into, "."):
		want = "a mapping"
	}
	return m[1] + have + ", expected " + want
}
