package verify

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/schemas"
)

// Kinds of failure.
const (
	Lost       = "lost"
	Duplicated = "duplicated"
	Altered    = "altered"
	// No failures: not judged.
	Unreadable  = "unreadable"
	Unjudgeable = "unjudgeable"
)

// Report is the judgement. Without failures, Applications is the sum of
// Predictions and DeadLetters.
type Report struct {
	Group        string `json:"group"`
	Applications int64  `json:"applications"` // judged: committed records below the group's offsets
	Predictions  int64  `json:"predictions"`  // that answer them, every copy counted
	DeadLetters  int64  `json:"dead_letters"` // likewise
	// Answered by nothing: of those judged, and of the offsets that the log lost
	// before the group had committed them.
	Lost       int64 `json:"lost"`
	Duplicated int64 `json:"duplicated"` // answers beyond the first
	// Answers that do not say what was applied for, or decide otherwise than
	// their model, route and policy do; answers to nothing.
	Altered               int64 `json:"altered"`
	RepeatedApplicationID int64 `json:"repeated_application_id"` // applications whose id another before them in their partition has
	APIOnly               int64 `json:"api_only"`                // predictions that answer no record: POST /predict
	Replayed              int64 `json:"replayed"`                // applications that were dead letters before
	// Offsets that the group had committed and that cannot be judged: retention has
	// removed the application, or the beginning of the log in which its answer would
	// stand.
	Unjudgeable int64 `json:"unjudgeable"`
	// Offsets of applications that are in batches which cannot be read, and
	// applications whose answers may be in such a batch of predictions or dead letters,
	// and predictions in Avro where no schema registry was named: not judged.
	Unreadable   int64        `json:"unreadable"`
	UnreadableBy UnreadableBy `json:"unreadable_by"` // the same by why
	// Predictions whose model, route, policy or engine is not known here. They are
	// compared with what was applied for, not computed again.
	Unreproducible int64 `json:"unreproducible"`
	// The same by what is not at hand, most first.
	UnreproducibleBy []Lacking `json:"unreproducible_by"`
	// Applications that the group had not committed: not judged. Of a partition with
	// more than ten thousand, offsets: the ends of producers' transactions count too.
	Pending int64 `json:"pending"`
	// Applications that the group had committed and whose answers may lie behind an
	// open transaction: not judged.
	Hidden   int64        `json:"hidden"`
	Open     []kafka.Open `json:"open_transactions"` // what lies behind them: not judged
	Examples []Example    `json:"examples"`
}

// UnreadableBy is what cannot be read, by why; the sum of the first three is
// Report.Unreadable.
type UnreadableBy struct {
	// Offsets of applications in damaged batches, whether the group has answered them
	// before they were, has passed over them or has stopped at them.
	Applications int64 `json:"applications"`
	Answers      int64 `json:"answers"` // applications whose answers may be in a damaged batch
	Avro         int64 `json:"avro"`    // predictions whose schema is not at hand
	// Damaged batches of predictions and dead letters. They are named; what counts are
	// the applications whose answers may be in them.
	AnswerBatches int64 `json:"answer_batches"`
}

func (u UnreadableBy) String() string {
	var parts []string
	for _, part := range []struct {
		n    int64
		what string
	}{
		{u.Applications, "offsets in damaged batches of applications"},
		{u.Answers, "applications whose answers may be in a damaged batch"},
		{u.Avro, "predictions in Avro whose schema is not at hand (--schema-registry)"},
	} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.what))
		}
	}
	return strings.Join(parts, " + ")
}

// unreadable counts what cannot be read; which is one of UnreadableBy's.
func (r *Report) unreadable(which *int64, n int64) {
	*which += n
	r.Unreadable += n
}

// Lacking is how many predictions could not be computed again for want of one thing.
type Lacking struct {
	Why         string `json:"why"`
	Predictions int64  `json:"predictions"`
}

// maxLacking is how many causes are named; the rest are counted together.
const maxLacking = 10

// unreproducible counts a prediction that could not be computed again; why is "" for
// one that was.
func (r *Report) unreproducible(why string) {
	if why == "" {
		return
	}
	r.Unreproducible++
	at := slices.IndexFunc(r.UnreproducibleBy, func(l Lacking) bool { return l.Why == why })
	if at < 0 && len(r.UnreproducibleBy) >= maxLacking {
		why = "other causes"
		at = slices.IndexFunc(r.UnreproducibleBy, func(l Lacking) bool { return l.Why == why })
	}
	if at < 0 {
		at = len(r.UnreproducibleBy)
		r.UnreproducibleBy = append(r.UnreproducibleBy, Lacking{Why: why})
	}
	r.UnreproducibleBy[at].Predictions++
}

// Example is one failure: where the application is, of an altered one where the
// answer is.
type Example struct {
	Kind      string `json:"kind"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Why       string `json:"why"`
}

// examplesOfAKind is how many failures of each kind are named.
const examplesOfAKind = 5

func (r *Report) example(kind string, at schemas.Source, why string) {
	n := 0
	for _, e := range r.Examples {
		if e.Kind == kind {
			n++
		}
	}
	if n < examplesOfAKind {
		r.Examples = append(r.Examples, Example{kind, at.Topic, at.Partition, at.Offset, why})
	}
}

// Failed says whether anything was lost, duplicated or altered.
func (r *Report) Failed() bool { return r.Lost+r.Duplicated+r.Altered > 0 }

// NotJudged says why the report is no pass although nothing failed, "" when it is one:
// not all of what it is about could be judged, or computed again.
func (r *Report) NotJudged(allowUnjudgeable bool) string {
	var why []string
	for _, o := range r.Open {
		why = append(why, o.String())
	}
	if r.Hidden > 0 {
		why = append(why, fmt.Sprintf("answers may be among them: %d of the applications have none that can be read", r.Hidden))
	}
	if r.Unjudgeable > 0 && !allowUnjudgeable {
		why = append(why, fmt.Sprintf("offsets that the group has committed and that cannot be judged any more: %d (accept that with --allow-unjudgeable, or leave them out with --from TIME)", r.Unjudgeable))
	}
	if r.Unreadable > 0 && !allowUnjudgeable {
		why = append(why, fmt.Sprintf("what cannot be read: %s (accept that with --allow-unjudgeable)", r.UnreadableBy))
	}
	if r.Unreproducible > 0 && !allowUnjudgeable {
		why = append(why, fmt.Sprintf("predictions that could not be computed again: %d (accept that with --allow-unjudgeable)", r.Unreproducible))
	}
	return strings.Join(why, "; ")
}

// verdict is the report in a sentence.
func (r *Report) verdict(allowUnjudgeable bool) string {
	why := r.NotJudged(allowUnjudgeable)
	switch {
	case r.Failed() && why != "":
		return "FAILED; moreover not all was judged: " + why
	case r.Failed():
		return "FAILED"
	case why != "":
		return "NOT JUDGED: " + why + ". Of what was judged, nothing was lost, duplicated or altered"
	case r.Unjudgeable+r.Unreadable > 0:
		return fmt.Sprintf("of what can still be judged, nothing was lost, duplicated or altered; offsets that cannot be judged any more: %d", r.Unjudgeable+r.Unreadable)
	case r.Unreproducible > 0:
		return fmt.Sprintf("every application was answered exactly once; predictions that were not computed again: %d", r.Unreproducible)
	case r.Applications == 0:
		return "nothing was judged"
	}
	return "every application was answered exactly once"
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer, allowUnjudgeable bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, n int64, note string) { fmt.Fprintf(t, "%s\t%d\t %s\n", name, n, note) }
	line("applications", r.Applications, "committed by group "+r.Group)
	line("predictions", r.Predictions, "")
	line("dead letters", r.DeadLetters, "")
	line("lost", r.Lost, "")
	line("duplicated", r.Duplicated, "")
	line("altered", r.Altered, "")
	for _, more := range []struct {
		name string
		n    int64
		note string
	}{
		{"repeated application_id", r.RepeatedApplicationID, "sent more than once; each was answered"},
		{"API only", r.APIOnly, "predictions that answer no record"},
		{"replayed", r.Replayed, "applications that were dead letters before"},
		{"unjudgeable", r.Unjudgeable, "offsets that retention has removed, or the answers to them"},
		{"unreadable", r.Unreadable, r.UnreadableBy.String() + "; not judged"},
		{"unreproducible", r.Unreproducible, "predictions that could not be computed again here; why stands below"},
		{"pending", r.Pending, "not committed yet, not judged"},
		{"hidden", r.Hidden, "applications whose answers may lie behind an open transaction, not judged"},
	} {
		if more.n > 0 {
			line(more.name, more.n, more.note)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, l := range r.UnreproducibleBy {
		fmt.Fprintf(w, "not computed again: %d predictions: %s\n", l.Predictions, l.Why)
	}
	for _, e := range r.Examples {
		fmt.Fprintf(w, "%s: %s/%d/%d: %s\n", e.Kind, e.Topic, e.Partition, e.Offset, e.Why)
	}
	_, err := fmt.Fprintln(w, r.verdict(allowUnjudgeable))
	return err
}
