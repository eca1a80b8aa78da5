package cli

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/audit/compare"
	"github.com/creditstream/creditstream/audit/explain"
	"github.com/creditstream/creditstream/audit/judge"
	"github.com/creditstream/creditstream/consumer/tail"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// smallBundle is another model than the shipped one, with fewer trees.
const smallBundle = "../../audit/testdata/small.bundle"

// lender is an embedded cluster on which a scorer decides.
type lender struct {
	t      *testing.T
	broker string
	config kafka.Config
	topics schemas.Topics
	stop   context.CancelFunc
	ended  chan int
}

// newLender releases the shipped and the small model and starts a scorer, which
// serves the shipped one until there is a route.
func newLender(t *testing.T) *lender {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	l := &lender{t: t, broker: broker.Addr(), topics: schemas.NewTopics("t"), ended: make(chan int, 1)}
	l.config = kafka.Config{Brokers: []string{l.broker}, Prefix: "t", ClientID: "test"}
	l.must("topics", "apply", "--partitions", "3")
	l.must("model", "release", "shipped")
	l.must("model", "release", smallBundle, "--ungated", "a test")
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	go func() {
		l.ended <- Run(ctx, []string{"score", "--model", "shipped", "--instance", "one", "--brokers", l.broker, "--prefix", "t"}, strings.NewReader(""), io.Discard, io.Discard)
	}()
	t.Cleanup(func() {
		stop()
		require.Zero(t, <-l.ended)
		broker.Close()
	})
	return l
}

func (l *lender) run(args ...string) (code int, out, errs string) {
	l.t.Helper()
	return creditstream(l.t, append(args, "--brokers", l.broker, "--prefix", "t")...)
}

func (l *lender) must(args ...string) string {
	l.t.Helper()
	code, out, errs := l.run(args...)
	require.Zero(l.t, code, errs)
	return out
}

// fails runs a command that ends with a code and says why.
func (l *lender) fails(code int, says string, args ...string) {
	l.t.Helper()
	got, _, errs := l.run(args...)
	require.Equal(l.t, code, got, errs)
	require.Contains(l.t, errs, says)
}

// json runs a command and reads what it printed.
func (l *lender) json(into any, args ...string) (code int) {
	l.t.Helper()
	code, out, errs := l.run(append(args, "--json")...)
	require.NoError(l.t, json.Unmarshal([]byte(out), into), errs)
	return code
}

// decided waits for n predictions in all and returns them.
func (l *lender) decided(n int) (all []schemas.Prediction) {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		all = nil
		_, err := tail.Read(l.t.Context(), tail.Config{Kafka: l.config, Topics: l.topics, From: kafka.From{Start: true}}, func(p *schemas.Prediction, _ []byte) (bool, error) {
			one := *p
			one.Reasons = slices.Clone(p.Reasons)
			all = append(all, one)
			return true, nil
		})
		require.NoError(l.t, err)
		return len(all) >= n
	}, time.Minute, 20*time.Millisecond)
	require.Len(l.t, all, n)
	return all
}

// emit hands in applications of a population.
func (l *lender) emit(seed, n int, more ...string) {
	l.t.Helper()
	l.must(append([]string{"produce", "--population", "--seed", fmt.Sprint(seed), "--count", fmt.Sprint(n), "--rate", "0"}, more...)...)
}

func versionOf(t *testing.T, bundle []byte) string {
	m, _, err := model.ReadManifest(bundle)
	require.NoError(t, err)
	return m.Version
}

func TestADecisionIsMadeAgainFromTheLog(t *testing.T) {
	t.Parallel()
	l := newLender(t)
	l.emit(1, 30)
	l.decided(30) // without a route
	small, err := os.ReadFile(smallBundle)
	require.NoError(t, err)
	l.must("model", "release", otherVersion(t, "v2"), "--ungated", "a test")
	l.must("model", "route", "--champion", versionOf(t, shipped.Bundle), "--canary", versionOf(t, small)+"=33%", "--shadow", "v2", "--why", "try")
	n := 30
	var all []schemas.Prediction
	require.Eventually(t, func() bool { // the scorer takes the route up by and by
		l.emit(n, 60, "--id-prefix", fmt.Sprintf("B%d-", n))
		n += 60
		all = l.decided(n)
		last := all[len(all)-60:]
		return slices.ContainsFunc(last, func(p schemas.Prediction) bool { return p.RouteRevision == 0 && p.Route == schemas.RouteCanary })
	}, time.Minute, 10*time.Millisecond)
	explained := map[string]bool{}
	for _, p := range all {
		kind := fmt.Sprint(p.Route, p.RouteRevision, p.Decision, p.Shadow != nil)
		if explained[kind] {
			continue
		}
		explained[kind] = true
		var e explain.Explanation
		require.Zero(t, l.json(&e, "explain", p.ApplicationID), p.ApplicationID)
		require.Equal(t, explain.Exact, e.Reproduction.Result)
		require.Equal(t, p.DefaultProbability, e.Score.Probability)
		require.Equal(t, p.Decision, e.Policy.Decision)
		require.Equal(t, p.ModelVersion, e.Model.Version)
		require.Equal(t, p.Route, e.Route.Role)
		require.Equal(t, p.Shadow != nil, e.Shadow != nil)
		if p.Shadow != nil {
			require.Equal(t, explain.Exact, e.Shadow.Reproduced)
		}
		if e.Route.Canary != "" {
			require.Equal(t, p.Route == schemas.RouteCanary, e.Route.Bucket < e.Route.Share)
		}
		require.Contains(t, l.must("explain", p.ApplicationID), "the same, bit for bit")
	}
	require.GreaterOrEqual(t, len(explained), 6, "of every kind")
	l.fails(1, "t.predictions holds no decision on nobody", "explain", "nobody")

	// Decided twice.
	id := all[0].ApplicationID
	l.emit(1, 30)
	l.decided(n + 30)
	l.fails(1, "2 decisions were made on "+id, "explain", id)
	l.fails(1, "--source ", "explain", id)
	var e explain.Explanation
	require.Zero(t, l.json(&e, "explain", id, "--newest"))
	newest := e.Source
	require.Zero(t, l.json(&e, "explain", id, "--source", strings.TrimPrefix(newest, "t.predictions/")))
	require.Equal(t, newest, e.Source)
	l.fails(1, "the decision there is on "+id, "explain", "x", "--source", strings.TrimPrefix(newest, "t.predictions/"))
	l.fails(2, "expected PARTITION/OFFSET", "explain", "x", "--source", "7")
	l.fails(1, "excluded", "explain", "x", "--source", "0/1000000")

	// Decided on an engine that this build lacks, somebody has altered the record, and
	// the model was withdrawn.
	client, err := kgo.NewClient(l.config.Options()...)
	require.NoError(t, err)
	defer client.Close()
	altered := all[len(all)-1]
	altered.ApplicationID, altered.Engine = "elsewhere", model.EngineONNX
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: l.topics.Predictions, Key: []byte("elsewhere"), Value: schemas.AppendPrediction(nil, &altered)}).FirstErr())
	require.Zero(t, l.json(&e, "explain", "elsewhere"))
	require.NotEqual(t, explain.Differs, e.Reproduction.Result)
	require.Equal(t, model.EngineONNX, e.Model.Engine, "the decision's, not this build's")
	require.Contains(t, l.must("explain", "elsewhere"), "decided on the onnx engine")
	altered.ApplicationID = "altered"
	altered.Points++
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: l.topics.Predictions, Key: []byte("altered"), Value: schemas.AppendPrediction(nil, &altered)}).FirstErr())
	require.Equal(t, 1, l.json(&e, "explain", "altered"))
	require.Equal(t, explain.Differs, e.Reproduction.Result)
	require.Equal(t, "points", e.Reproduction.Differences[0].Field)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: l.topics.Models, Key: []byte(versionOf(t, small))}).FirstErr())
	canary := all[slices.IndexFunc(all, func(p schemas.Prediction) bool { return p.Route == schemas.RouteCanary })].ApplicationID
	l.fails(1, "made by model "+versionOf(t, small)+", which is not on the models topic (any more)", "explain", canary)
	require.Zero(t, l.json(&e, "explain", canary, "--model", smallBundle))
	require.Equal(t, explain.Exact, e.Reproduction.Result)
}

func TestTheViewKnowsWhereADecisionStands(t *testing.T) {
	t.Parallel()
	l := newLender(t)
	redis, err := local.StartRedis()
	require.NoError(t, err)
	defer redis.Close()
	l.emit(1, 10)
	l.emit(1, 10) // every application twice
	id := l.decided(20)[0].ApplicationID
	explained := func() (source, said string) {
		code, out, errs := l.run("explain", id, "--view", "--redis", redis.Addr(), "--json")
		require.Zero(t, code, errs)
		var e explain.Explanation
		require.NoError(t, json.Unmarshal([]byte(out), &e))
		return e.Source, errs
	}
	newest, said := explained()
	require.Contains(t, said, "the view does not know the application")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, []string{"view", "--redis", redis.Addr(), "--brokers", l.broker, "--prefix", "t"}, strings.NewReader(""), io.Discard, io.Discard)
	}()
	defer func() { stop(); require.Zero(t, <-ended) }()
	require.Eventually(t, func() bool {
		source, said := explained()
		require.Equal(t, newest, source)
		return !strings.Contains(said, "the log is searched")
	}, time.Minute, 20*time.Millisecond)
	code, out, errs := l.run("explain", id, "--view", "--redis", "127.0.0.1:1", "--json")
	require.Zero(t, code, errs)
	require.Contains(t, errs, "the view cannot be asked")
	require.Contains(t, out, newest)
}

func TestADatasetIsExportedAndComparedWithAgain(t *testing.T) {
	t.Parallel()
	l := newLender(t)
	l.emit(3, 400, "--outcomes-after", "1ms", "--outcomes-for", "approved")
	all := l.decided(400)
	approved := 0
	for _, p := range all {
		if p.Decision == schemas.Approve {
			approved++
		}
	}
	const to = "2100-01-01T00:00:00Z"
	file := filepath.Join(t.TempDir(), "export.csv")
	var counts struct{ Rows, Labelled, Defaulted int }
	require.Zero(t, l.json(&counts, "dataset", "export", "--from", "start", "--to", to, "--out", file))
	require.Equal(t, 400, counts.Rows)
	require.Equal(t, approved, counts.Labelled)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 401)
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left behind")

	code, out, errs := l.run("dataset", "export", "--from", "start", "--to", to, "--labelled", "--json")
	require.Zero(t, code, errs)
	require.Equal(t, approved+1, strings.Count(out, "\n"))
	require.NoError(t, json.Unmarshal([]byte(errs), &counts), errs)
	_, _, errs = l.run("dataset", "export", "--from", "start", "--to", to, "--labelled")
	require.Contains(t, errs, fmt.Sprintf("%d rows written; of 400 decisions %d are labelled", approved, approved))
	require.Contains(t, errs, "  approve: ")
	l.fails(2, "--from is needed", "dataset", "export", "--to", to)
	// Without an end it is that of the log, which is said.
	whole, err := os.ReadFile(file)
	require.NoError(t, err)
	code, out, errs = l.run("dataset", "export", "--from", "start")
	require.Zero(t, code, errs)
	require.Equal(t, string(whole), out)
	require.Regexp(t, `(?m)^--to is not set: everything counts that the log holds now, at 20\d\d-`, errs)
	var bounds exported
	require.Zero(t, l.json(&bounds, "dataset", "export", "--from", "start", "--out", file))
	require.Equal(t, "start", bounds.From)
	require.EqualValues(t, 400, bounds.Rows)
	_, err = time.Parse(time.RFC3339, bounds.To)
	require.NoError(t, err)
	l.fails(2, "expected a time before --to", "dataset", "export", "--from", to, "--to", to)
	l.fails(1, "no such file", "dataset", "export", "--from", "start", "--to", to, "--out", filepath.Join(t.TempDir(), "no", "where"))

	// The log, its export and the label in it say the same.
	var stream, exported compare.Comparison
	require.Zero(t, l.json(&stream, "model", "compare", "shipped", smallBundle))
	require.Zero(t, l.json(&exported, "model", "compare", "shipped", versionOf(t, mustRead(t, smallBundle)), "--csv", file))
	require.EqualValues(t, 400, stream.N)
	require.EqualValues(t, approved, stream.Labelled)
	require.Equal(t, stream.Matrix, exported.Matrix)
	require.Equal(t, stream.FlipShare, exported.FlipShare)
	require.InDelta(t, stream.AUC.Difference.Value, exported.AUC.Difference.Value, 1e-9)
	require.InDelta(t, stream.AUC.Difference.Lower, exported.AUC.Difference.Lower, 1e-9)
	require.Positive(t, stream.Flips)
	require.NotEmpty(t, stream.Why)
	require.Len(t, stream.Examples, 5)
	require.Contains(t, l.must("model", "compare", "shipped", smallBundle, "--to", to), "Why decisions differ")
	l.fails(1, "is neither a file nor a released version", "model", "compare", "shipped", "v9")
	l.fails(1, "there is nothing to compare by", "model", "compare", "shipped", smallBundle, "--from", to)
	l.fails(2, "--csv and --from, --to do not go together", "model", "compare", "shipped", smallBundle, "--csv", file, "--to", to)
}

func mustRead(t *testing.T, path string) []byte {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	return b
}

func TestTwoFilesAreComparedWithoutACluster(t *testing.T) {
	t.Parallel()
	in := filepath.Join(t.TempDir(), "in.csv")
	var names []string
	for _, rule := range schemas.FeatureRules {
		names = append(names, rule.Name)
	}
	require.NoError(t, os.WriteFile(in, []byte(strings.Join(names, ",")+"\n90000,2,2,2,34,0,0,0,0,0,0,29239,14027,13559,14331,14948,15549,1518,1500,1000,1000,1000,5000\n"), 0o600))
	code, out, errs := creditstream(t, "model", "compare", "shipped", "shipped", "--csv", in, "--brokers", "127.0.0.1:1")
	require.Zero(t, code, errs)
	require.Contains(t, out, "decided otherwise   0, 0.00 %")
	require.Contains(t, out, "AUC                 unknown")
}

func TestACandidateIsJudgedByTheRouteInForce(t *testing.T) {
	t.Parallel()
	l := newLender(t)
	l.fails(1, "no route was written", "model", "judge")
	first, small := versionOf(t, shipped.Bundle), versionOf(t, mustRead(t, smallBundle))
	l.must("model", "release", otherVersion(t, "v2"), "--ungated", "a test")
	l.must("model", "route", "--champion", first, "--why", "first")
	l.fails(1, `route revision 0 has neither canary nor shadow: nothing to judge; to take its champion back: creditstream model rollback --expect 0 --why "`, "model", "judge")
	var routed routeLine
	policyFile := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(policyFile, []byte(strings.Replace(policy.DefaultText, "0.45", "0.46", 1)), 0o600))
	require.Zero(t, l.json(&routed, "model", "route", "--champion", first, "--canary", small+"=50%", "--shadow", "v2", "--policy", policyFile, "--expect", "0", "--why", "half"))
	n, inForce := 0, func(p schemas.Prediction) bool { return p.RouteRevision == routed.Revision }
	var all []schemas.Prediction
	require.Eventually(t, func() bool {
		l.emit(n+1, 200, "--id-prefix", fmt.Sprintf("B%d-", n))
		n += 200
		all = l.decided(n)
		return inForce(all[len(all)-1])
	}, time.Minute, 10*time.Millisecond)
	l.emit(77, 1000, "--id-prefix", "C-", "--outcomes-after", "1ms", "--outcomes-for", "approved")
	all = l.decided(n + 1000)
	canary, champion := int64(0), int64(0)
	for _, p := range all {
		switch {
		case inForce(p) && p.Route == schemas.RouteCanary:
			canary++
		case inForce(p):
			champion++
		}
	}
	var out judged
	require.Equal(t, exitHold, l.json(&out, "model", "judge"))
	require.Equal(t, judge.Hold, out.Verdict)
	require.Equal(t, "canary", out.Candidate)
	require.Contains(t, out.Canary.Why, "too few decisions")
	require.Nil(t, out.Canary.Next)
	require.Equal(t, canary, out.Canary.N)
	require.Equal(t, champion, out.Canary.ChampionN)
	require.Equal(t, champion, out.Shadow.N)
	// The shadow has the champion's graph: not one decision differs.
	require.Zero(t, l.json(&out, "model", "judge", "--of", "shadow", "--min-n", "300"))
	require.Equal(t, judge.Promote, out.Shadow.Verdict)
	require.Contains(t, out.Shadow.Next.Command, "--canary v2=10% --expect "+jsonNumber(routed.Revision)+" ")
	require.Equal(t, exitRollBack, l.json(&out, "model", "judge", "--min-n", "300", "--max-score-psi", "0.0001", "--max-approval-change", "0.0001"))
	undo := out.Canary.Next.Command
	code, text, _ := l.run("model", "judge")
	require.Equal(t, exitHold, code)
	require.Contains(t, text, `taken back, and the candidates with it, by:`+"\n"+`  creditstream model rollback --expect `+jsonNumber(routed.Revision)+` --why "the champion is worse"`)
	require.Contains(t, text, "canary "+small+": HOLD")
	require.Contains(t, text, "shadow v2: HOLD")
	l.fails(2, "--of both: expected canary or shadow", "model", "judge", "--of", "both")
	l.fails(2, `--from "now"`, "model", "judge", "--from", "now")
	for _, limit := range [][2]string{
		{"--min-n", "0"}, {"--min-n", "-5"}, {"--min-outcomes", "0"}, {"--max-approval-change", "-0.01"}, {"--max-score-psi", "NaN"},
		{"--max-errors", "-1"}, {"--max-latency", "-1.5"}, {"--max-flips", "NaN"}, {"--max-auc-loss", "-0.01"}, {"--max-auc-loss", "+Inf"},
	} {
		l.fails(2, limit[0], "model", "judge", strings.Join(limit[:], "="))
	}
	require.Equal(t, exitHold, l.json(&out, "model", "judge", "--from", "2100-01-01T00:00:00Z", "--min-n", "1"))
	require.Zero(t, out.Canary.N)
	require.Equal(t, judge.Hold, out.Canary.Verdict)

	// What is printed does what it says: nothing but the canary goes.
	words, why, _ := strings.Cut(strings.TrimPrefix(undo, "creditstream "), " --why ")
	var after routeLine
	require.Zero(t, l.json(&after, append(strings.Fields(words), "--why", strings.Trim(why, `"`))...))
	require.Equal(t, first, after.Champion)
	require.Nil(t, after.Canary)
	require.Equal(t, "v2", *after.Shadow)
	require.Equal(t, routed.PolicyVersion, after.PolicyVersion)
	require.NotEqual(t, policy.DefaultText, after.Policy)
	require.Contains(t, after.Why, "judged: ")
}

// letter is a dead letter of a class that is held against whoever decides.
func letter(key, value []byte, cut bool) *kgo.Record {
	r := &kgo.Record{Topic: "t.applications.dlq", Key: key, Value: value, Headers: []kgo.RecordHeader{
		{Key: schemas.HeaderErrorClass, Value: []byte(schemas.ErrorClassPermanent)},
		{Key: schemas.HeaderFailedAt, Value: []byte(schemas.At(time.Now()).String())},
	}}
	if cut {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: schemas.HeaderValueTruncated, Value: []byte("true")})
	}
	return r
}

func TestJudge_CountsErrorsByThePayload(t *testing.T) {
	t.Parallel()
	l := newLender(t)
	first, small := versionOf(t, shipped.Bundle), versionOf(t, mustRead(t, smallBundle))
	l.must("model", "route", "--champion", first, "--canary", small+"=7%", "--why", "try")
	split := model.Split{Canary: small, Share: 700}
	client, err := kgo.NewClient(kgo.SeedBrokers(l.broker))
	require.NoError(t, err)
	defer client.Close()
	var records []*kgo.Record
	var canary, champion int64
	for i := range 300 {
		a := schemas.Application{ApplicationID: fmt.Sprintf("E-%d", i), AppliedAt: schemas.At(time.Now())}
		for k, rule := range schemas.FeatureRules {
			a.Features[k] = rule.Min
		}
		if split.IsCanary(a.ApplicationID) {
			canary++
		} else {
			champion++
		}
		value := schemas.AppendApplication(nil, &a)
		cut := i%10 == 0
		if cut {
			value = append(value[:len(value)-1:len(value)-1], `,"note":"    `...)
		}
		var key []byte
		if i%3 == 0 {
			key = []byte("of another")
		}
		records = append(records, letter(key, value, cut))
	}
	require.Positive(t, canary)
	for _, value := range []string{`{"application_id":"`, "\x00\x00\x00\x00\x01\x06A-1"} {
		records = append(records, letter([]byte("E-1"), []byte(value), true))
	}
	records = append(records, letter(nil, []byte(`{"application_id":"E-1"}`), false)) // breaks the contract
	require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
	var out judged
	l.json(&out, "model", "judge")
	require.EqualValues(t, 3, out.Canary.Unreadable)
	require.Equal(t, fmt.Sprintf("%d of the candidate's %d applications could not be scored, %d of the champion's %d", canary, canary, champion, champion),
		out.Canary.Checks[0].Says)
}
