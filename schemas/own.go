package schemas

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// decodeOwn reads a record of those that creditstream alone writes, few enough a second
// for encoding/json. The error is a *DecodeError or a *ContractError.
func decodeOwn(value []byte, into any) error {
	err := json.Unmarshal(value, into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return &ContractError{Violations: []Violation{{Field: wrong.Field, Value: wrong.Value, Rule: "must be of type " + wrong.Type.String()}}}
	}
	if err != nil {
		return &DecodeError{Msg: err.Error()}
	}
	return nil
}

// filled is a list as the contract has it, empty instead of null.
func filled[E any](list []E) []E {
	if list == nil {
		return []E{}
	}
	return list
}

// check gathers the rules that a record breaks.
type check struct{ violations []Violation }

func (c *check) holds(ok bool, field, value, rule string) {
	if !ok {
		c.violations = append(c.violations, Violation{field, value, rule})
	}
}

// filledIn holds a text to not being empty.
func (c *check) filledIn(field, text string) { c.holds(text != "", field, `""`, notEmptyRule) }

// count holds a number to what counts may be.
func (c *check) count(field string, n int64) {
	c.holds(n >= 0, field, strconv.FormatInt(n, 10), fromZeroRule)
}

// err is a *ContractError of what was broken, nil where nothing was.
func (c *check) err() error {
	if len(c.violations) == 0 {
		return nil
	}
	slices.SortStableFunc(c.violations, func(a, b Violation) int { return strings.Compare(a.Field, b.Field) })
	return &ContractError{Violations: c.violations}
}
