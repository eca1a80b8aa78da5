package verify

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/creditstream/creditstream/schemas"
)

// Kinds of failure.
const (
	Lost       = "lost"
	Duplicated = "duplicated"
	Altered    = "altered"
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
	// Predictions whose model, route, policy or engine is not known here. They are
	// compared with what was applied for, not computed again.
	Unreproducible int64     `json:"unreproducible"`
	Pending        int64     `json:"pending"` // offsets of the log that the group had not committed: not judged
	Examples       []Example `json:"examples"`
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

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
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
		{"unreproducible", r.Unreproducible, "predictions by a model, route or policy that is not known here"},
		{"pending", r.Pending, "offsets not committed yet, not judged"},
	} {
		if more.n > 0 {
			line(more.name, more.n, more.note)
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, e := range r.Examples {
		fmt.Fprintf(w, "%s: %s/%d/%d: %s\n", e.Kind, e.Topic, e.Partition, e.Offset, e.Why)
	}
	verdict := "every application was answered exactly once"
	switch {
	case r.Failed():
		verdict = "FAILED"
	case r.Applications == 0:
		verdict = "nothing was judged"
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}
