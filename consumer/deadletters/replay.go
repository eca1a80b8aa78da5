package deadletters

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/member"
	"github.com/creditstream/creditstream/internal/retry"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// A transaction's letters and their bytes, at most. A batch of records stays below the
	// 1 MiB that the applications take unless a single record is as large.
	batchLetters = 500
	batchBytes   = 512 << 10
	// Those of the first one: what the link and the brokers' quotas allow is not known yet.
	firstLetters = 16
	// Bytes of a small transaction, for each of its letters.
	letterBytes = batchBytes / batchLetters

	// How many refusals a report names.
	namedRefusals = 100
)

// ReplayConfig says what is replayed.
type ReplayConfig struct {
	Config
	Selection
	Again bool // also what was replayed before
	// Alike takes also letters of applications that were replayed and failed with the same
	// class and message as before. Those named by Positions are always taken.
	Alike      bool
	FromSource bool // read what was cut of letters back from their source records
	DryRun     bool // write nothing
	// Confirm is asked before anything is written; nil: nobody is.
	Confirm func(Plan) (bool, error)
}

// Plan is what a replay is about to do.
type Plan struct {
	Letters int64 // to be replayed, those of Cut that are refused included
	ByClass map[string]int64
	Cut     int64 // letters of which something was cut
	Already int64 // replayed before, and therefore left
	Alike   int64 // came back from a replay and failed as before, and therefore left
}

// Report is what a replay has done, or would do.
type Report struct {
	DryRun   bool  `json:"dry_run"`
	Replayed int64 `json:"replayed"`     // in a dry run: would be
	Skipped  int64 `json:"skipped"`      // a marker says that they were replayed
	Alike    int64 `json:"failed_alike"` // came back from a replay with the same failure: left
	Refused  int64 `json:"refused"`      // cannot be replayed
	Foreign  int64 `json:"foreign"`      // records that are no letters and were not named: left
	// The first hundred refusals.
	Refusals []Refusal `json:"refusals"`
	Unclear  int       `json:"unclear_markers"` // that name no position
	Declined bool      `json:"declined"`        // Confirm said no

	Unread kafka.Unread `json:"unreadable"` // batches too large to be a scorer's, and left out
}

// Refusal is a letter that cannot be replayed, and why.
type Refusal struct {
	Letter string `json:"letter"` // partition/offset
	Why    string `json:"why"`
}

func (r *Report) refuse(p Position, why string) {
	r.Refused++
	if len(r.Refusals) < namedRefusals {
		r.Refusals = append(r.Refusals, Refusal{p.String(), why})
	}
}

// pair is what a replay of one letter writes.
type pair struct {
	letter      Position
	application *kgo.Record
	marker      *kgo.Record
}

func (p *pair) bytes() int {
	return len(p.application.Key) + len(p.application.Value) + kafka.HeadersBytes(p.application.Headers)
}

// replay is one run.
type replay struct {
	ReplayConfig
	report  *Report
	survey  *survey
	writer  *writer // nil in a dry run
	sources *sources

	batch []pair
	bytes int // of the batch

	batchLetters int
	size         *member.Size
	now          func() time.Time
}

// Replay writes letters to the applications again. Its report holds also where it
// fails: what it says was replayed is committed.
func Replay(ctx context.Context, c ReplayConfig) (*Report, error) {
	return newReplay(c).run(ctx)
}

func newReplay(c ReplayConfig) *replay {
	return &replay{ReplayConfig: c, report: &Report{DryRun: c.DryRun, Refusals: []Refusal{}}, batchLetters: batchLetters, now: time.Now}
}

func (r *replay) run(ctx context.Context) (*Report, error) {
	err := r.try(ctx)
	if err != nil {
		err = explain(r.Config, err)
	}
	return r.report, err
}

func (r *replay) try(ctx context.Context) error {
	r.size = member.NewSizeFrom(firstLetters, r.batchLetters)
	client, err := r.Kafka.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	r.sources = &sources{Config: r.Config, admin: kadm.NewClient(client)}
	if err := kafka.RequireTopics(ctx, r.sources.admin, r.Topics.DLQ, r.Topics.Applications); err != nil {
		return err
	}
	if !r.DryRun {
		// Before the markers are read: from here on there is no other replay, or
		// this one is fenced before it writes.
		if r.writer, err = openWriter(ctx, r.Config); err != nil {
			return err
		}
		defer r.writer.close()
	}
	if r.survey, err = look(ctx, r.Config, r.Selection); err != nil {
		return err
	}
	if open := r.survey.open; len(open) > 0 {
		return &OpenError{open}
	}
	r.report.Unclear, r.report.Unread = r.survey.unclear, r.survey.unread
	plan := r.plan()
	if plan.Letters > 0 && r.Confirm != nil && !r.DryRun {
		if ok, err := r.Confirm(plan); err != nil || !ok {
			r.report.Declined = err == nil
			return err
		}
	}
	if plan.Letters > 0 {
		err := r.survey.read(ctx, func(record *kgo.Record) error { return r.take(ctx, record) })
		if err == nil {
			err = r.flush(ctx)
		}
		if err != nil {
			return err
		}
	}
	r.refuseMissing()
	return nil
}

// due says whether a letter is to be replayed.
func (r *replay) due(m mark) bool {
	return m&chosen != 0 && !m.isForeign() && (r.Again || m&replayed == 0) && !r.leavesAlike(m)
}

// leavesAlike says whether a letter is left because its application was replayed before
// and failed as it had.
func (r *replay) leavesAlike(m mark) bool {
	return m&alike != 0 && !r.Alike && len(r.Positions) == 0
}

func (r *replay) plan() Plan {
	plan := Plan{ByClass: map[string]int64{}}
	r.survey.count(func(p Position, m mark) {
		switch {
		case m.isForeign() && len(r.Positions) > 0:
			r.report.refuse(p, fmt.Sprintf("it is no dead letter: without a header %s, no scorer wrote it", schemas.HeaderErrorClass))
			return
		case m.isForeign():
			r.report.Foreign++
			return
		case r.leavesAlike(m) && m&replayed == 0:
			plan.Alike++
			return
		case !r.due(m):
			plan.Already++
			return
		}
		plan.Letters++
		plan.ByClass[m.className()]++
		if m&cut != 0 {
			plan.Cut++
		}
	})
	r.report.Skipped, r.report.Alike = plan.Already, plan.Alike
	return plan
}

// take adds a letter to the batch if it is to be replayed, and writes the batch
// when it is full.
func (r *replay) take(ctx context.Context, record *kgo.Record) error {
	m := r.survey.at(Position{record.Partition, record.Offset})
	if !r.due(*m) {
		return nil
	}
	*m |= met
	l := parse(record)
	p := pair{l.Position, original(record, r.Topics), marker(record, r.Topics)}
	if l.Cut.Any() {
		source, why, err := r.uncut(ctx, &l)
		if err != nil {
			return fmt.Errorf("dead letter %s: %w", l.Position, err)
		}
		if why != "" {
			r.report.refuse(l.Position, why)
			return nil
		}
		p.application = original(l.Cut.mend(record, source), r.Topics)
	}
	if len(r.batch) > 0 && r.bytes+p.bytes() > letterBytes*r.size.Records() {
		if err := r.flush(ctx); err != nil {
			return err
		}
	}
	r.batch = append(r.batch, p)
	r.bytes += p.bytes()
	if len(r.batch) >= r.size.Records() {
		return r.flush(ctx)
	}
	return nil
}

// uncut is the record that a letter was cut from, or why it cannot be replayed.
func (r *replay) uncut(ctx context.Context, l *Letter) (source *kgo.Record, why string, err error) {
	kept := l.kept()
	if r.FromSource {
		if source, why, err = r.sources.whole(ctx, l); why != "" {
			why = kept + ", and " + why
		}
		return source, why, err
	}
	if why, err = r.sources.holds(ctx, l); err != nil {
		return nil, "", err
	}
	if why != "" {
		return nil, kept + ", and " + why, nil
	}
	return nil, fmt.Sprintf("%s; --from-source replays it from %s, where it still is", kept, l.Source), nil
}

// kept says what there is of a letter that was cut.
func (l *Letter) kept() string {
	var lacks []string
	if l.Cut.Value.Cut {
		lacks = append(lacks, fmt.Sprintf("only the first %d bytes of its value are kept (whole value %s)", len(l.Value), l.Cut.Value.Digest))
	}
	if l.Cut.Key.Cut {
		lacks = append(lacks, fmt.Sprintf("only the first %d bytes of its key are kept (whole key %s)", len(l.Key), l.Cut.Key.Digest))
	}
	if l.Cut.Headers.Cut {
		lacks = append(lacks, fmt.Sprintf("not all of its headers are kept (all of them %s)", l.Cut.Headers.Digest))
	}
	return strings.Join(lacks, ", ")
}

// flush writes what was gathered.
func (r *replay) flush(ctx context.Context) error {
	batch, bytes := r.batch, r.bytes
	r.batch, r.bytes = nil, 0
	if r.DryRun || len(batch) == 0 {
		r.report.Replayed += int64(len(batch))
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// A transaction that is open while a quota holds the client back may outlive its timeout.
	if throttled := r.writer.throttled(); throttled > 0 && !retry.Sleep(ctx, throttled) {
		return ctx.Err()
	}
	full := len(batch) >= r.size.Records() || bytes*2 > letterBytes*r.size.Records()
	began := r.now()
	if err := r.write(ctx, batch); err != nil {
		return err
	}
	records := len(batch)
	if full {
		records = max(records, r.size.Records())
	}
	r.size.Committed(records, r.now().Sub(began)+r.writer.throttled())
	return nil
}

// write writes a batch in one transaction. Where a record cannot be written, ever
// fewer are tried, and the one whose fault it is is refused.
func (r *replay) write(ctx context.Context, batch []pair) error {
	err := r.writer.write(ctx, batch)
	switch {
	case err == nil:
		r.report.Replayed += int64(len(batch))
	case !isRecords(err):
		return fmt.Errorf("replaying %d dead letters from %s on: %w; run it again for the rest: it replays none twice", len(batch), batch[0].letter, err)
	case len(batch) == 1:
		r.report.refuse(batch[0].letter, fmt.Sprintf("%s does not take it: %v", r.Topics.Applications, err))
	default:
		half := len(batch) / 2
		if err := r.write(ctx, batch[:half]); err != nil {
			return err
		}
		return r.write(ctx, batch[half:])
	}
	return nil
}

// refuseMissing refuses what was asked for and is not there, or no longer.
func (r *replay) refuseMissing() {
	r.survey.count(func(p Position, m mark) {
		if r.due(m) && m&met == 0 {
			r.report.refuse(p, "retention has removed it meanwhile")
		}
	})
	asked := map[Position]bool{}
	for _, p := range r.Positions {
		m := r.survey.at(p)
		switch {
		case asked[p] || m != nil && *m&chosen != 0:
		case p.Offset < r.survey.spans[p.Partition].From:
			r.report.refuse(p, fmt.Sprintf("retention has removed it: %s/%d begins at %d", r.Topics.DLQ, p.Partition, r.survey.spans[p.Partition].From))
		default:
			r.report.refuse(p, "no dead letter is there")
		}
		asked[p] = true
	}
}
