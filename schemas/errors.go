package schemas

import "strings"

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
