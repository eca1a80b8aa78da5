package schemas

import "strconv"

// Where the protected features stand in the contract's order.
const (
	FeatureSex       = 1
	FeatureEducation = 2
	FeatureMarriage  = 3
	FeatureAge       = 4
)

// GroupMissing is the group of those of whom a protected feature was not handed in.
const GroupMissing = "missing"

// Group is the group that a value of a protected feature belongs to: the
// contract's code as text, or a band of ages.
func Group(feature int, value int32) string {
	switch {
	case value == Missing:
		return GroupMissing
	case feature == FeatureAge:
		return ageBand(value)
	}
	return strconv.Itoa(int(value))
}

func ageBand(age int32) string {
	switch {
	case age < 25:
		return "18-24"
	case age < 35:
		return "25-34"
	case age < 45:
		return "35-44"
	case age < 55:
		return "45-54"
	case age < 65:
		return "55-64"
	}
	return "65+"
}
