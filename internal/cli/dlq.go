package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/creditstream/creditstream/consumer/deadletters"
	"github.com/creditstream/creditstream/internal/kafka"
)

type dlqCmd struct {
	List   dlqListCmd   `cmd:"" help:"Show records that could not be scored, and why; values only with --values."`
	Replay dlqReplayCmd `cmd:"" help:"Hand dead letters in again as applications: each once, unless --again says otherwise."`
}

// failedFlags select letters by why and when.
type failedFlags struct {
	Class []string `help:"Only letters of these classes: decode, contract, too-large, permanent; unknown is any other, foreign what has none and is no letter." enum:"decode,contract,too-large,permanent,unknown,foreign" placeholder:"CLASS" group:"Filters"`
	From  string   `help:"Only letters of applications that failed at this time or later: start or an RFC 3339 time." placeholder:"start|TIME" group:"Filters"`
	To    string   `help:"Only letters of applications that failed before this RFC 3339 time." placeholder:"TIME" group:"Filters"`
}

// narrow says whether they leave anything out. The start does not: a --from that
// stands in the environment for another command must not select every letter.
func (f failedFlags) narrow() bool {
	return len(f.Class) > 0 || f.From != "" && f.From != "start" || f.To != ""
}

func (f failedFlags) selection() (s deadletters.Selection, err error) {
	s.Classes = f.Class
	if f.From != "" {
		if s.From, err = deadletters.ParseFrom(f.From); err != nil {
			return s, usage(err)
		}
	}
	if f.To != "" {
		if s.To, err = deadletters.ParseTime("to", f.To); err != nil {
			return s, usage(err)
		}
	}
	if !s.To.IsZero() && !s.From.Before(s.To) {
		return s, usagef("--from %s --to %s: expected a time before --to", f.From, f.To)
	}
	return s, nil
}

// byClass is counts as "3 contract, 1 decode".
func byClass(counts map[string]int64) string {
	parts := make([]string, 0, len(counts))
	for _, class := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[class], class))
	}
	return strings.Join(parts, ", ")
}

// letters is n with its noun.
func letters(n int64) string {
	if n == 1 {
		return "1 dead letter"
	}
	return fmt.Sprintf("%d dead letters", n)
}

// warnUnclear says that a marker could not be read.
func warnUnclear(p *process, n int) {
	if n > 0 {
		p.log.Warn("markers of replays that name no letter: one that was replayed may be taken for one that was not", "markers", n)
	}
}

// warnOpen says what was not read because it lies behind open transactions.
func warnOpen(p *process, open []kafka.Open) {
	for _, o := range open {
		p.log.Warn("not read: records behind an open transaction", "topic", o.Topic, "partition", o.Partition, "offset", o.Offset,
			"records", o.Records, "since", o.Since)
	}
}

// warnHanging says which transactions hang on topics, where what was read of them is
// not what was to be expected. Where that cannot be looked up it says nothing.
func warnHanging(p *process, c kafka.Config, topics ...string) {
	if open, err := c.HangingOn(p.ctx, topics...); err == nil {
		warnOpen(p, open)
	}
}

// agreed asks a question and reads the answer, no unless it is yes. A signal ends
// the wait.
func agreed(ctx context.Context, in io.Reader, out io.Writer, question string) (bool, error) {
	fmt.Fprintf(out, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(in).ReadString('\n') // without an answer the line is empty: no
		answer <- line
	}()
	select {
	case line := <-answer:
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes", nil
	case <-ctx.Done():
		fmt.Fprintln(out)
		return false, ctx.Err()
	}
}
