// Package labels says which decision an outcome is of. Whoever joins outcomes with
// decisions asks it: the view for drift, the export, the last inputs. So all of them
// label the same rows.
//
// An outcome is of the last decision on its application, by decided_at, that was
// made at or before observed_at and that the log had taken before the outcome. Of a
// decision the first outcome counts.
package labels

import (
	"cmp"
	"iter"

	"github.com/creditstream/creditstream/schemas"
)

// Kept is how many decisions on one application an outcome can be of: the last that
// the log had taken before the outcome. An outcome of an earlier one is too old.
const Kept = 8

// Decision is what the rule needs to know of a decision.
type Decision struct {
	Decided   schemas.Timestamp // decided_at
	Appended  int64             // when the log took it, Unix milliseconds
	Partition int32
	Offset    int64
}

// Forgotten is the partition of a decision that stands for all that are earlier than
// those still kept: the first of them by Decided, and by Appended.
const Forgotten int32 = -1

// Compare orders decisions on one application: by when they were made, then by where
// they are.
func (d Decision) Compare(e Decision) int {
	return cmp.Or(cmp.Compare(d.Decided, e.Decided), cmp.Compare(d.Partition, e.Partition), cmp.Compare(d.Offset, e.Offset))
}

// Outcome is what the rule needs to know of an outcome.
type Outcome struct {
	Observed schemas.Timestamp // observed_at
	Appended int64             // when the log took it, Unix milliseconds
}

// Found says what an outcome is of.
type Found int

// What an outcome can be of.
const (
	Undecided Found = iota // nothing had been decided about the application when the log took the outcome
	Before                 // it was observed before every decision that had been made by then
	TooOld                 // of a decision before the last Kept
	Matched                // of the decision that Find returns
)

// Find says which decision an outcome is of, given those on its application, the
// last first.
func Find(o Outcome, lastFirst iter.Seq[Decision]) (d Decision, f Found) {
	known := 0 // when the log took the outcome
	for d := range lastFirst {
		if d.Appended > o.Appended {
			continue
		}
		known++
		if d.Decided > o.Observed {
			continue
		}
		if d.Partition == Forgotten || known > Kept {
			return Decision{}, TooOld
		}
		return d, Matched
	}
	if known == 0 {
		return Decision{}, Undecided
	}
	return Decision{}, Before
}
