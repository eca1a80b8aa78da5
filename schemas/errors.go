package schemas

import (
	"errors"
	"strings"
)

// Violation is one broken rule: the field, the value as received (shortened)
// and what was expected.
type Violation struct {
	Field string `json:"field"`
	Value string `json:"value"`
	Rule  string `json:"rule"`
}

// DecodeError is a value that is not one well-formed JSON object of the
// expected shape.
type DecodeError struct {
	Msg string

	atEnd bool // the value ends where something was expected: what came before is well-formed
}

func (e *DecodeError) Error() string { return e.Msg }

// ContractError lists every rule that a well-formed value breaks.
type ContractError struct {
	Violations []Violation
}

func (e *ContractError) Error() string {
	var b strings.Builder
	for i, v := range e.Violations {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(v.Field)
		if v.Value != "" {
			b.WriteString(" " + v.Value)
		}
		b.WriteString(": " + v.Rule)
	}
	return b.String()
}

// WithoutValues is what a decoding error says, without the values it found: logs
// never carry features.
func WithoutValues(err error) string {
	contract, ok := errors.AsType[*ContractError](err)
	if !ok {
		return err.Error()
	}
	broken := make([]string, 0, len(contract.Violations))
	for _, v := range contract.Violations {
		broken = append(broken, v.Field+" "+v.Rule)
	}
	return strings.Join(broken, "; ")
}
