package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/creditstream/creditstream/internal/kafka"
)

type dlqCmd struct {
	List   dlqListCmd   `cmd:"" help:"Show records that could not be scored, and why; values only with --values."`
	Replay dlqReplayCmd `cmd:"" help:"Replay dead letters as applications, each once unless --again is set."`
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
