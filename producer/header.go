package producer

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/creditstream/creditstream/schemas"
)

// columns says where in a row of a CSV file everything stands.
type columns struct {
	features [schemas.NumFeatures]int
	names    [schemas.NumFeatures]string // as the file has them
	id       int                         // -1: none
	idAs     string
	wholeID  bool // the id column is application_id, taken as it is
	label    int  // -1: none
	labelAs  string
}

// readHeader finds the columns by name: those of the UCI file (PAY_1 for PAY_0
// too), the contract's, or X1 … X23 and Y as the UCI repository also names
// them. Other columns are ignored. ok is false when no name is known.
func readHeader(names []string) (c columns, ok bool, err error) {
	c = columns{id: -1, label: -1}
	for i := range c.features {
		c.features[i] = -1
	}
	for i, name := range names {
		name = strings.TrimSpace(name)
		key := columnKey(name)
		var at *int
		switch {
		case key == "id" || key == "application_id":
			if c.id >= 0 {
				return c, true, fmt.Errorf("columns %s and %s are both the id", names[c.id], name)
			}
			c.id, c.idAs, c.wholeID = i, name, key == "application_id"
			continue
		case isLabel(key):
			at = &c.label
			c.labelAs = name
		default:
			f := featureColumn(key)
			if f < 0 {
				continue
			}
			at = &c.features[f]
			c.names[f] = name
		}
		if *at >= 0 {
			return c, true, fmt.Errorf("columns %s and %s are the same", names[*at], name)
		}
		*at = i
	}
	var missing []string
	for f, at := range c.features {
		if at < 0 {
			missing = append(missing, strings.ToUpper(schemas.FeatureRules[f].Name))
		}
	}
	if len(missing) == schemas.NumFeatures {
		return c, false, nil
	}
	if len(missing) > 0 {
		return c, true, fmt.Errorf("column %s is missing", strings.Join(missing, ", "))
	}
	return c, true, nil
}

// columnKey is a column's name in lower case with underscores for whatever is
// neither letter nor digit.
func columnKey(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, strings.TrimSpace(name))
}

func isLabel(key string) bool {
	return key == "default_payment_next_month" || key == "default" || key == "defaulted" || key == "y"
}

// featureColumn is the index of the feature a column holds, -1 for none.
func featureColumn(key string) int {
	if key == "pay_1" {
		return payStatus
	}
	if digits, ok := strings.CutPrefix(key, "x"); ok {
		// X1 … X23 stand in the contract's order.
		if n, err := strconv.Atoi(digits); err == nil && n >= 1 && n <= schemas.NumFeatures {
			return n - 1
		}
	}
	for i := range schemas.FeatureRules {
		if schemas.FeatureRules[i].Name == key {
			return i
		}
	}
	return -1
}
