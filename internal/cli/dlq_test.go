package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

// From malformed applications to their letters, back to the scorer, and to new
// letters: the whole way round.
func TestDeadLettersAreScoredAgain(t *testing.T) {
	t.Parallel()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	on := func(args ...string) (int, string, string) {
		return creditstream(t, append(args, "--brokers", broker.Addr(), "--prefix", "t")...)
	}
	must := func(args ...string) string {
		code, out, stderr := on(args...)
		require.Zero(t, code, stderr)
		return out
	}
	must("topics", "apply", "--partitions", "3")
	ctx, cancel := context.WithCancel(context.Background())
	scored := make(chan int, 1)
	go func() {
		scored <- Run(ctx, []string{"score", "--model", "shipped", "--instance", "one", "--brokers", broker.Addr(), "--prefix", "t"}, strings.NewReader(""), io.Discard, io.Discard)
	}()
	stop := sync.OnceValue(func() int { cancel(); return <-scored })
	defer stop()
	must("produce", "--count", "200", "--rate", "0", "--malformed", "0.1")

	type letter struct {
		Letter       string  `json:"letter"`
		Class        string  `json:"error_class"`
		Source       string  `json:"source"`
		Key          *string `json:"key"`
		Replayed     bool    `json:"replayed"`
		ReplayedFrom string  `json:"replayed_from"`
		Value        *string `json:"value"`
	}
	list := func(flags ...string) (all []letter) {
		decoder := json.NewDecoder(strings.NewReader(must(append([]string{"dlq", "list", "--json"}, flags...)...)))
		for decoder.More() {
			var one letter
			require.NoError(t, decoder.Decode(&one))
			all = append(all, one)
		}
		return all
	}
	verdict := func() (v struct {
		Applications, Lost, Duplicated, Altered, Replayed int
		Letters                                           int `json:"dead_letters"`
	}) {
		require.NoError(t, json.Unmarshal([]byte(must("verify", "--json")), &v))
		return v
	}
	require.Eventually(t, func() bool { return len(list()) == 20 }, time.Minute, 10*time.Millisecond)
	for _, l := range list() {
		require.Contains(t, []string{schemas.ErrorClassDecode, schemas.ErrorClassContract}, l.Class)
		require.Contains(t, l.Source, "t.applications/")
		require.NotNil(t, l.Key)
		require.Nil(t, l.Value)
	}
	// Some are no UTF-8, and have a value in base64 instead.
	require.True(t, slices.ContainsFunc(list("--values"), func(l letter) bool { return l.Value != nil }))

	require.Contains(t, must("dlq", "replay", "--all", "--dry-run"), "would replay 20 dead letters")
	first := list()[0].Letter
	require.Equal(t, "replayed 1 dead letter, skipped 0 (replayed already), refused 0\n", must("dlq", "replay", first, "--yes"))
	code, out, stderr := on("dlq", "replay", first, "--yes")
	require.Equal(t, 1, code)
	require.Contains(t, out, "skipped 1 (replayed already)")
	require.Contains(t, stderr, "only with --again")
	// The one replayed has become a new letter, or will.
	require.Eventually(t, func() bool { return len(list()) == 20 }, time.Minute, 10*time.Millisecond)
	// Where nobody can be asked, nothing is written.
	code, out, stderr = on("dlq", "replay", "--all")
	require.Equal(t, 2, code)
	require.Empty(t, out)
	require.Contains(t, stderr, "say --yes")
	// The new one broke the same rule, and is left.
	type replayed struct {
		Replayed, Skipped, Refused int
		Alike                      int `json:"failed_alike"`
	}
	var report replayed
	require.NoError(t, json.Unmarshal([]byte(must("dlq", "replay", "--all", "--yes", "--json")), &report))
	require.Equal(t, replayed{19, 1, 0, 1}, report)
	require.Eventually(t, func() bool { return len(list()) == 20 }, time.Minute, 10*time.Millisecond)
	_, out, stderr = on("dlq", "replay", "--all", "--yes")
	require.Contains(t, out, "replayed 0 dead letters, skipped 20 (replayed already), refused 0")
	require.Contains(t, stderr, "left 20 dead letters: replayed before, and failed alike (--still-failing replays them)")
	require.Len(t, list("--replayed"), 20)
	require.Len(t, list("--all"), 40)
	require.Len(t, list("--all", "--limit", "7"), 7)
	for _, l := range list() {
		require.True(t, strings.HasPrefix(l.ReplayedFrom, "t.applications.dlq/"), l.ReplayedFrom)
	}
	require.Eventually(t, func() bool { return verdict().Applications == 240 }, time.Minute, 10*time.Millisecond)
	v := verdict()
	require.Equal(t, 40, v.Letters, "markers are no letters")
	require.Equal(t, 20, v.Replayed)
	require.Zero(t, v.Lost+v.Duplicated+v.Altered)
	require.Zero(t, stop())
}

// What someone else writes among the dead letters is shown as such, and never
// becomes an application.
func TestForeignRecordsAreNotReplayed(t *testing.T) {
	t.Parallel()
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	on := func(args ...string) (int, string, string) {
		return creditstream(t, append(args, "--brokers", broker.Addr(), "--prefix", "t")...)
	}
	code, _, stderr := on("topics", "apply", "--partitions", "1")
	require.Zero(t, code, stderr)
	topics := schemas.NewTopics("t")
	client, err := kgo.NewClient(kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "t"}.Options()...)
	require.NoError(t, err)
	defer client.Close()
	of := func(class string) *kgo.Record {
		r := &kgo.Record{Topic: topics.DLQ, Key: []byte("A-1"), Value: []byte("{")}
		if class != "" {
			r.Headers = []kgo.RecordHeader{{Key: schemas.HeaderErrorClass, Value: []byte(class)}}
		}
		return r
	}
	require.NoError(t, client.ProduceSync(t.Context(), of(""), of("decode"), of("later")).FirstErr())

	code, out, stderr := on("dlq", "list")
	require.Zero(t, code)
	require.Contains(t, stderr, "2 dead letters not replayed: 1 decode, 1 unknown; 1 foreign, which are none\n")
	require.Regexp(t, `(?m)^0/0 .* foreign `, out)
	for _, class := range []string{"decode", "unknown", "foreign"} { // every one that it counts
		code, out, _ = on("dlq", "list", "--class", class)
		require.Zero(t, code)
		require.Equal(t, 2, strings.Count(out, "\n"), "the columns' names and one line")
		require.Contains(t, out, class)
	}
	_, _, stderr = on("dlq", "list", "--replayed")
	require.Contains(t, stderr, "0 dead letters replayed; 2 more were not\n")

	code, out, stderr = on("dlq", "replay", "0/0", "--yes")
	require.Equal(t, 1, code)
	require.Contains(t, out, "replayed 0 dead letters, skipped 0 (replayed already), refused 1")
	require.Contains(t, stderr, "refused 0/0: it is no dead letter: without a header error-class, no scorer wrote it")
	code, out, stderr = on("dlq", "replay", "--all", "--yes")
	require.Zero(t, code)
	require.Contains(t, out, "replayed 2 dead letters, skipped 0 (replayed already), refused 0")
	require.Contains(t, stderr, "left 1 foreign")
	// Nor one that a marker names.
	marker := &kgo.Record{Topic: topics.DLQ, Headers: []kgo.RecordHeader{{Key: schemas.HeaderReplayOf, Value: []byte("0/0")}}}
	require.NoError(t, client.ProduceSync(t.Context(), marker).FirstErr())
	_, out, _ = on("dlq", "replay", "--all", "--again", "--yes", "--json")
	require.JSONEq(t, `{"dry_run": false, "replayed": 2, "skipped": 0, "failed_alike": 0, "refused": 0, "foreign": 1, "refusals": [], "unclear_markers": 0, "unreadable": {"offsets": 0}, "declined": false}`, out)

	admin := kadm.NewClient(client)
	ends, err := kafka.Listed(admin.ListCommittedOffsets(t.Context(), topics.Applications))
	require.NoError(t, err)
	end, ok := ends.Lookup(topics.Applications, 0)
	require.True(t, ok)
	require.EqualValues(t, 6, end.Offset, "two letters twice, and the ends of two transactions")
}

func TestWhichLettersMustBeSaid(t *testing.T) {
	t.Parallel()
	f := func(want string, args ...string) {
		t.Helper()
		code, _, stderr := creditstream(t, append([]string{"dlq"}, args...)...)
		require.Equal(t, 2, code)
		require.Contains(t, stderr, want)
	}
	f("which?", "replay")
	f("which?", "replay", "--from", "start")
	f("not both", "replay", "1/2", "--all")
	f("not both", "replay", "1/2", "--class", "decode")
	f(`letter "7": expected PARTITION/OFFSET`, "replay", "7")
	f(`--to "now": expected an RFC 3339 time`, "replay", "--to", "now")
	f("expected a time before --to", "replay", "--from", "2026-11-23T10:00:00Z", "--to", "2026-11-23T10:00:00Z")
	f(`--from "then": expected start or an RFC 3339 time`, "list", "--from", "then")
	f("--class odd: expected decode, ", "list", "--class", "odd")
	f("those are no dead letters", "replay", "--class", "decode,foreign")
	for _, limit := range [][]string{{"--limit", "-1"}, {"--limit=-1"}, {"-n", "-1"}, {"-n-1"}} {
		f(`--limit: "-1": expected a whole number, 0 or more`, append([]string{"list"}, limit...)...)
	}
	f(`--limit: "all": expected a whole number, 0 or more`, "list", "--limit", "all")
	f(`--limit: "": expected a whole number, 0 or more`, "list", "--limit")
	f("--replayed and --all can't be used together", "list", "--replayed", "--all")
}

func TestAgreementIsAYes(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "Yes\n": true, "y": true, "n\n": false, "\n": false, "": false, "yeah\n": false} {
		var out bytes.Buffer
		got, err := agreed(t.Context(), strings.NewReader(answer), &out, "Replay?")
		require.NoError(t, err)
		require.Equal(t, want, got, "%q", answer)
		require.Equal(t, "Replay? [y/N] ", out.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	silent, w := io.Pipe()
	defer w.Close() //nolint:errcheck // nothing was written
	_, err := agreed(ctx, silent, io.Discard, "Replay?")
	require.ErrorIs(t, err, context.Canceled)
}
