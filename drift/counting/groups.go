package counting

import (
	"slices"
	"sync"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/schemas"
)

// protected are the features by whose groups decisions are counted.
var protected = [...]int{schemas.FeatureSex, schemas.FeatureEducation, schemas.FeatureMarriage, schemas.FeatureAge}

// groupTable finds the group of a protected feature's value.
type groupTable struct {
	feature int
	name    string
	min     int32
	span    uint32
	of      []uint8 // index into names, by value
	names   []string
}

// groupTables are those of the protected features. They never change.
var groupTables = sync.OnceValue(func() *[len(protected)]groupTable {
	var tables [len(protected)]groupTable
	for i, feature := range protected {
		rule := &schemas.FeatureRules[feature]
		g := &tables[i]
		*g = groupTable{feature: feature, name: rule.Name, min: rule.Min, span: uint32(rule.Max - rule.Min)}
		for v := rule.Min; v <= rule.Max; v++ {
			name := schemas.Group(feature, v)
			at := slices.Index(g.names, name)
			if at < 0 {
				at = len(g.names)
				g.names = append(g.names, name)
			}
			g.of = append(g.of, uint8(at))
		}
		g.names = append(g.names, schemas.GroupMissing, drift.GroupOutOfRange)
	}
	return &tables
})

// index is the group of a value.
func (g *groupTable) index(v int32) int {
	if u := uint32(v) - uint32(g.min); u <= g.span {
		return int(g.of[u])
	}
	if v == schemas.Missing {
		return len(g.names) - 2
	}
	return len(g.names) - 1
}
