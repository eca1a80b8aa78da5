package cli

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/consumer/dataset"
	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/producer"
	"github.com/creditstream/creditstream/schemas"
)

// decidedStream is a broker with decisions of the last ten minutes on n
// applications: of the population, and from the middle on with low limits. The
// outcomes of the last ten are known.
func decidedStream(t *testing.T, n int) (broker string) {
	broker = brokerWithTopics(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	require.NoError(t, err)
	defer client.Close()
	population, err := producer.ShippedPopulation()
	require.NoError(t, err)
	topics := schemas.NewTopics("credit")
	began := time.Now().Add(-10 * time.Minute)
	var records []*kgo.Record
	for f := range producer.Applicants(population, 7, n) {
		i := len(records)
		p := schemas.Prediction{
			ApplicationID: fmt.Sprintf("A-%04d", i), DecidedAt: schemas.At(began.Add(time.Duration(i) * time.Millisecond)), Channel: schemas.ChannelStream,
			DefaultProbability: 0.125, Decision: schemas.Approve, ModelVersion: "2026-11-23.1", Engine: "native", Route: schemas.RouteChampion,
			RouteRevision: -1, PolicyVersion: "7d83fed4", Features: *f,
		}
		p.AppliedAt = p.DecidedAt
		if i >= n/2 {
			p.Features[0] = 10_000
		}
		records = append(records, &kgo.Record{Topic: topics.Predictions, Key: []byte(p.ApplicationID), Value: schemas.AppendPrediction(nil, &p)})
	}
	for i := n - 10; i < n; i++ {
		o := schemas.Outcome{ApplicationID: fmt.Sprintf("A-%04d", i), Defaulted: uint8(i % 2), ObservedAt: schemas.At(time.Now())}
		records = append(records, &kgo.Record{Topic: topics.Outcomes, Key: []byte(o.ApplicationID), Value: schemas.AppendOutcome(nil, &o)})
	}
	require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
	return broker
}

// firstDecision is when the first one of a stream was made.
func firstDecision(t *testing.T, broker string) schemas.Timestamp {
	client, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(schemas.NewTopics("credit").Predictions))
	require.NoError(t, err)
	defer client.Close()
	for {
		fetches := client.PollFetches(t.Context())
		require.NoError(t, fetches.Err())
		for _, r := range fetches.Records() {
			var p schemas.Prediction
			require.NoError(t, schemas.DecodePrediction(r.Value, &p))
			if p.ApplicationID == "A-0000" {
				return p.DecidedAt
			}
		}
	}
}

func TestDriftReportOfAStretch(t *testing.T) {
	broker := decidedStream(t, 3000)
	page, figures := filepath.Join(t.TempDir(), "report.html"), filepath.Join(t.TempDir(), "status.json")
	code, out, errs := creditstream(t, "drift", "report", "--brokers", broker, "--from", "start", "--model", "shipped", "--out", page, "--status", figures)
	require.Zero(t, code, errs)
	require.Empty(t, out)
	first := firstDecision(t, broker)
	require.Contains(t, errs, "act: 3000 decisions from "+first.Time().Format(time.RFC3339)+" to ")
	require.Contains(t, errs, "against 2026-11-23.1; 0 in 0 panes, 3000 counted from predictions (there are no panes of it)")
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "20,000 … 29,999:")
	var status drift.Status
	text, err = os.ReadFile(figures)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &status))
	require.EqualValues(t, 3000, status.Decisions)
	features := status.Windows[0].Features
	require.Equal(t, "limit_bal", features[0].Feature)
	require.Equal(t, drift.Act, features[0].State)
	for _, f := range features[1:] {
		require.Less(t, f.PSI, features[0].PSI/3, f.Feature)
	}

	require.Equal(t, first, status.Windows[0].From, "start is the first decision")
	require.NotContains(t, errs, "hold no pane")

	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "credit.drift.panes", Value: []byte("{")}).FirstErr())
	code, _, errs = creditstream(t, "drift", "report", "--brokers", broker, "--from", "start", "--model", "shipped", "--out", page)
	require.Zero(t, code, errs)
	require.Contains(t, errs, "act: 3000 decisions")
	require.Contains(t, errs, "left out 1 records of credit.drift.panes that hold no pane: what they may have counted is missing")
}

func TestAReportHoldsGroupsAgainstTheRatioThatItIsGiven(t *testing.T) {
	broker := decidedStream(t, 500)
	f := func(want float64, args ...string) {
		t.Helper()
		code, out, errs := creditstream(t, append([]string{"drift", "report", "--brokers", broker, "--from", "start", "--model", "shipped", "--out", "", "--status", "-"}, args...)...)
		require.Zero(t, code, errs)
		var status drift.Status
		require.NoError(t, json.Unmarshal([]byte(out), &status))
		require.NotEmpty(t, status.Windows[0].Groups)
		for _, g := range status.Windows[0].Groups {
			require.Equal(t, want, g.Limit, g.Group)
		}
	}
	f(0.8)
	f(0.7, "--fairness-ratio", "0.7")
}

func TestAStretchWithoutDecisionsHasNoReport(t *testing.T) {
	broker := decidedStream(t, 30)
	f := func(want string, args ...string) {
		t.Helper()
		page, figures := filepath.Join(t.TempDir(), "report.html"), filepath.Join(t.TempDir(), "status.json")
		code, out, errs := creditstream(t, append([]string{"drift", "report", "--brokers", broker, "--model", "shipped", "--out", page, "--status", figures}, args...)...)
		require.Equal(t, 1, code)
		require.Empty(t, out)
		require.Contains(t, errs, want)
		require.NoFileExists(t, page)
		require.NoFileExists(t, figures)
	}
	f("no decisions between 2026-01-01T00:00:00Z and 2026-01-02T00:00:00Z", "--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T00:00:00Z")
	f("no decisions between 2030-01-01T00:00:00Z and 2030-01-02T00:00:00Z", "--from", "2030-01-01T00:00:00Z", "--to", "2030-01-02T00:00:00Z")
	f("no decisions between the start of the log and 2020-01-01T00:00:00Z", "--from", "start", "--to", "2020-01-01T00:00:00Z")
}

func TestDriftReportRefusesWhatMakesNoSense(t *testing.T) {
	broker := brokerWithTopics(t)
	f := func(want string, args ...string) {
		t.Helper()
		code, _, errs := creditstream(t, append([]string{"drift", "report", "--brokers", broker, "--out", ""}, args...)...)
		require.NotZero(t, code)
		require.Contains(t, errs, want)
	}
	f("--from is needed")
	f(`--from "yesterday": expected start or an RFC 3339 time`, "--from", "yesterday")
	f(`--to "now": expected an RFC 3339 time`, "--from", "start", "--to", "now")
	f("expected a time before --to", "--from", "2026-01-02T00:00:00Z", "--to", "2026-01-01T00:00:00Z")
	f("expected a time before --to", "--from", "2999-01-02T00:00:00Z")
	f("--fairness-ratio 0: expected more than 0, at most 1", "--from", "start", "--fairness-ratio", "0")
	f("--model says whose reference", "--from", "start")
	f("nowhere", "--from", "start", "--model", "nowhere")
	f("--source", "--from", "start", "--source", "tea leaves")
}

func TestDriftCurrentIsTheLastInputs(t *testing.T) {
	broker := decidedStream(t, 200)
	path := filepath.Join(t.TempDir(), "current.csv")
	code, out, errs := creditstream(t, "drift", "current", "--brokers", broker, "--last", "50", "--out", path)
	require.Zero(t, code, errs)
	require.Empty(t, out)
	require.Contains(t, errs, "50 inputs, 10 with an outcome")
	file, err := os.Open(path)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	rows, err := csv.NewReader(file).ReadAll()
	require.NoError(t, err)
	require.Equal(t, dataset.Columns(), rows[0])
	require.Len(t, rows, 51)
	require.Equal(t, "A-0150", rows[1][0])
	require.Empty(t, rows[1][len(rows[1])-1])
	require.Equal(t, "A-0199", rows[50][0])
	require.Equal(t, "1", rows[50][len(rows[50])-1])

	code, out, errs = creditstream(t, "drift", "current", "--brokers", broker, "--last", "500")
	require.Zero(t, code, errs)
	require.Equal(t, 201, strings.Count(out, "\n"))
	require.Contains(t, errs, "the log holds no more than these")
	code, _, errs = creditstream(t, "drift", "current", "--brokers", broker, "--last", "0")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--last 0: expected 1 … 1000000")
}

// What becomes of outcomes has the names that the export counts them by.
func TestDriftCurrent_CountsOutcomesByName(t *testing.T) {
	broker := decidedStream(t, 20)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	require.NoError(t, err)
	defer client.Close()
	outcome := func(id, key string, observed time.Time) *kgo.Record {
		o := schemas.Outcome{ApplicationID: id, ObservedAt: schemas.At(observed)}
		return &kgo.Record{Topic: schemas.NewTopics("credit").Outcomes, Key: []byte(key), Value: schemas.AppendOutcome(nil, &o)}
	}
	broken := outcome("A-0001", "A-0001", time.Now())
	broken.Value = []byte("{")
	require.NoError(t, client.ProduceSync(t.Context(),
		outcome("A-0019", "A-0019", time.Now()), outcome("nobody", "nobody", time.Now()), broken,
		outcome("A-0001", "other", time.Now().Add(-time.Hour)),
	).FirstErr())
	for _, command := range [][]string{{"drift", "current", "--last", "50"}, {"dataset", "export", "--from", "start", "--out", filepath.Join(t.TempDir(), "out.csv")}} {
		code, _, errs := creditstream(t, append(command, "--brokers", broker)...)
		require.Zero(t, code, errs)
		require.Contains(t, errs, "13 outcomes read: 10 matched to a decision, 1 told twice, 2 unmatched")
		require.Contains(t, errs, "0 outcome_too_old (of a decision before the last 8), 1 outcome_before_decision")
		require.Contains(t, errs, "1 malformed: ")
		require.Contains(t, errs, "1 outcome_key_differs: ")
	}
}

func TestDriftStatusIsTheNewest(t *testing.T) {
	broker := brokerWithTopics(t)
	code, _, errs := creditstream(t, "drift", "status", "--brokers", broker)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "no drift status yet: is `creditstream drift` running?")

	status := drift.Status{
		EvaluatedAt: schemas.At(time.Unix(1_764_000_000, 0)), State: drift.Act, Decisions: 1234, ModelVersions: []string{"v1", "v2"},
		Reference: drift.ReferenceInfo{ModelVersion: "v1", Rows: 24025},
		Windows: []drift.WindowStatus{{Name: "1000", State: drift.Act, Decisions: 1003, Rates: drift.RateStatus{Approve: 0.6}, Features: []drift.FeatureStatus{
			{Feature: "age", State: drift.Quiet, PSI: 0.9}, {Feature: "pay_0", State: drift.Watch, PSI: 0.11}, {Feature: "limit_bal", State: drift.Act, PSI: 0.31},
		}, Score: drift.FeatureStatus{Feature: "score", State: drift.Quiet}}},
		Outcomes: drift.OutcomeStatus{Read: 700, Matched: 695, Unmatched: 3, Duplicate: 2, Declined: 5, Versions: []drift.PerformanceStatus{
			{ModelVersion: "v1", State: drift.Act, Loans: 690, Observed: 0.2, Lower: 0.171, Upper: 0.231, Expected: 0.13, AUC: 0.61},
		}},
		Alerts: []drift.AlertStatus{{Alert: schemas.Alert{Alert: "drift/limit_bal", State: schemas.AlertFiring, Statistic: "evidence", Value: 7.5, Threshold: 3, Contributors: []schemas.Contributor{{Feature: "limit_bal", PSI: 0.31}}}}},
	}
	value, err := json.Marshal(status)
	require.NoError(t, err)
	client, err := kgo.NewClient(kgo.SeedBrokers(broker))
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "credit.drift.status", Value: value}).FirstErr())

	code, out, errs := creditstream(t, "drift", "status", "--brokers", broker, "--json")
	require.Zero(t, code, errs)
	require.Equal(t, `{"stale":true,`+string(value[1:])+"\n", out)
	code, out, errs = creditstream(t, "drift", "status", "--brokers", broker)
	require.Zero(t, code, errs)
	require.Regexp(t, `^act as of 2025-11-24T16:00:00Z, 1234 decisions of v1, v2\nOLD: nothing was evaluated for [0-9hms]+, so this may not hold any more`, out)
	require.Regexp(t, `1000 +act +1003 +60\.0 % .*limit_bal 0\.31, pay_0 0\.11\n`, out)
	require.Contains(t, out, "outcomes: 700 read, 695 matched, 3 unmatched, 2 told twice, 0 late, 5 of declined applications\n")
	require.Regexp(t, `v1 +act +690 +20\.0 % \(17\.1 … 23\.1\) +13\.0 % +0\.610\n`, out)
	require.Regexp(t, `drift/limit_bal +firing .*evidence +7\.5 +3 +– +limit_bal \(PSI 0\.31\)`, out)
}

func TestWebhookFlagsThatAreRefused(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, _, errs := creditstream(t, append([]string{"demo"}, args...)...)
		require.NotZero(t, code)
		require.Contains(t, errs, want)
		require.NotContains(t, errs, "pa55")
	}
	f("expected http://HOST:PORT", "--alert-webhook", "alerts:9093")
	f("no user and password", "--alert-webhook", "http://me:pa55@alerts:9093")
	f("mean nothing without --alert-webhook", "--alert-webhook-ca", "ca.pem")
	f("would show in the process list", "--alert-webhook", "https://alerts", "--alert-webhook-token", "pa55")
	f("not encrypted", "--alert-webhook", "http://alerts:9093", "--alert-webhook-ca", "ca.pem")
	t.Setenv("CREDITSTREAM_ALERT_WEBHOOK_TOKEN", "pa55")
	f("would get the token in the clear", "--alert-webhook", "http://alerts:9093")
}

// The evaluator runs in another process, if at all: the API reads the topic.
func TestTheAPIShowsTheNewestDriftStatus(t *testing.T) {
	w := startAPI(t)
	var code int
	var body string
	require.Eventually(t, func() bool { // 503 until the topic has been read
		code, body, _ = w.get("/drift")
		return code == http.StatusNotFound
	}, 20*time.Second, 10*time.Millisecond)
	require.Contains(t, body, "creditstream drift")
	status := drift.Status{EvaluatedAt: schemas.At(time.Unix(1_764_000_000, 0)), State: drift.Quiet, Decisions: 7}
	value, err := json.Marshal(status)
	require.NoError(t, err)
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: "t.drift.status", Value: value}).FirstErr())
	require.Eventually(t, func() bool {
		code, body, _ = w.get("/drift")
		return code == http.StatusOK
	}, 20*time.Second, 10*time.Millisecond)
	require.Equal(t, `{"stale":true,`+string(value[1:]), body)
	code, body, header := w.get("/drift/report")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, header.Get("Content-Type"), "text/html")
	require.Contains(t, body, "No decisions were counted")
	require.Zero(t, w.stop())
}

func TestDriftRefusesWhatMakesNoSense(t *testing.T) {
	broker := brokerWithTopics(t)
	f := func(want string, args ...string) {
		t.Helper()
		for _, command := range [][]string{{"drift"}, {"drift", "run"}, {"run", "drift"}} {
			code, _, errs := creditstream(t, append(append(command, "--brokers", broker), args...)...)
			require.NotZero(t, code)
			require.Contains(t, errs, want)
		}
	}
	f("--bucket 1.5s: expected whole seconds", "--bucket", "1.5s")
	f(`--windows: window "tuesday"`, "--windows", "1000,tuesday")
	f("--silence 1ms: expected at least 1s", "--silence", "1ms")
	f("--min-firing 0s: expected at least 1s", "--min-firing", "0s")
	f("--late-after 0s: expected more than 0", "--late-after", "0s")
	f("--fairness-ratio 1.2: expected more than 0, at most 1", "--fairness-ratio", "1.2")
	f("expected http://HOST:PORT", "--alert-webhook", "alerts:9093")
}

func TestAFreshDriftStatusIsNotMarked(t *testing.T) {
	now := time.Unix(1_764_000_000, 0)
	status := drift.Status{EvaluatedAt: schemas.At(now), State: drift.Quiet}
	var out bytes.Buffer
	require.NoError(t, printDrift(&out, &status, now.Add(drift.StaleAfter)))
	require.NotContains(t, out.String(), "OLD")
	require.NoError(t, printDrift(&out, &status, now.Add(drift.StaleAfter+time.Second)))
	require.Contains(t, out.String(), "OLD: nothing was evaluated for 31s, ")
}
