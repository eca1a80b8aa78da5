package deadletters

import (
	"slices"
	"time"

	"github.com/creditstream/creditstream/schemas"
)

// Selection says which letters are meant. Its zero value means all.
type Selection struct {
	Positions []Position // these, whatever else is said
	Classes   []string   // of Classes; empty: every class
	From, To  time.Time  // that failed at From or later, and before To; zero: no bound
}

const (
	// ForeignClass stands for records without a class: they are no letters.
	ForeignClass = "foreign"
	// unknownClass stands for a class that is not one of the contract's.
	unknownClass = "unknown"
)

// Classes are what letters are counted and selected by: the contract's error
// classes, and what stands for others and for none.
func Classes() []string {
	return []string{
		schemas.ErrorClassDecode, schemas.ErrorClassContract, schemas.ErrorClassTooLarge, schemas.ErrorClassPermanent,
		unknownClass, ForeignClass,
	}
}

// matcher says of a letter whether the selection takes it.
func (s *Selection) matcher() func(*Letter) bool {
	if len(s.Positions) > 0 {
		positions := map[Position]bool{}
		for _, p := range s.Positions {
			positions[p] = true
		}
		return func(l *Letter) bool { return positions[l.Position] }
	}
	return func(l *Letter) bool {
		return (len(s.Classes) == 0 || slices.Contains(s.Classes, l.class())) &&
			!l.FailedAt.Before(s.From) && (s.To.IsZero() || l.FailedAt.Before(s.To))
	}
}
