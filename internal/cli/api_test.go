package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/internal/loopback"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

var answersAt = regexp.MustCompile(`the API answers" address=(https?://\S+)`)

// apiWorld is the api command on an embedded broker and Redis.
type apiWorld struct {
	t      *testing.T
	broker *local.Kafka
	redis  *local.Redis
	client *kgo.Client // reads predictions
	url    string
	stop   func() int
	stderr *capture.Output
}

func startAPI(t *testing.T, flags ...string) *apiWorld { return startAPIOn(t, nil, nil, flags...) }

// startAPIOn starts it on a broker of its own with these options, and on a Redis; nil: one of
// its own.
func startAPIOn(t *testing.T, brokers []kfake.Opt, redis *local.Redis, flags ...string) *apiWorld {
	w := &apiWorld{t: t, stderr: &capture.Output{}}
	var err error
	w.broker, err = local.StartKafka("", brokers...)
	require.NoError(t, err)
	t.Cleanup(w.broker.Close)
	if w.redis = redis; redis == nil {
		w.redis, err = local.StartRedis()
		require.NoError(t, err)
		t.Cleanup(w.redis.Close)
	}
	w.client, err = kgo.NewClient(append(kafka.Config{Brokers: []string{w.broker.Addr()}}.Options(), kgo.ConsumeTopics("t.predictions"))...)
	require.NoError(t, err)
	t.Cleanup(w.client.Close)
	var specs []kafka.TopicSpec
	for _, topic := range schemas.Catalogue("t") {
		specs = append(specs, kafka.TopicSpec{Name: topic.Name, Partitions: min(topic.Partitions, 3), Replication: 1, Configs: topic.Configs})
	}
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(w.client), specs)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan int, 1)
	args := append([]string{"api", "--api-listen", "127.0.0.1:0", "--model", "shipped", "--prefix", "t", "--brokers", w.broker.Addr(), "--redis", w.redis.Addr()}, flags...)
	go func() { done <- Run(ctx, args, strings.NewReader(""), io.Discard, w.stderr) }()
	w.stop = sync.OnceValue(func() int { cancel(); return <-done })
	t.Cleanup(func() { w.stop() })
	require.Eventually(t, func() bool { return answersAt.MatchString(w.stderr.String()) }, time.Minute, time.Millisecond, w.stderr)
	w.url = answersAt.FindStringSubmatch(w.stderr.String())[1]
	require.Eventually(t, func() bool { status, body, _ := w.get("/readyz"); return status == 200 && body == "ready\n" }, time.Minute, time.Millisecond)
	return w
}

func (w *apiWorld) do(method, path, body string, headers ...string) (int, string, http.Header) {
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	require.NoError(w.t, err)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(w.t, err)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	return resp.StatusCode, string(b), resp.Header
}

func (w *apiWorld) get(path string) (int, string, http.Header) { return w.do(http.MethodGet, path, "") }

// predictions reads n records of the topic.
func (w *apiWorld) predictions(n int) map[string]*kgo.Record {
	got := map[string]*kgo.Record{}
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for len(got) < n {
		fetches := w.client.PollFetches(ctx)
		require.NoError(w.t, fetches.Err(), "%d of %d", len(got), n)
		fetches.EachRecord(func(r *kgo.Record) {
			require.NotContains(w.t, got, string(r.Key), "recorded once")
			got[string(r.Key)] = r
		})
	}
	return got
}

func applicationBody(id string) string {
	a := schemas.Application{ApplicationID: id}
	for i, rule := range schemas.FeatureRules {
		a.Features[i] = max(rule.Min, 1)
	}
	return string(schemas.AppendApplication(nil, &a))
}

func TestAnswerOfTheAPIIsWhatTheTopicHas(t *testing.T) {
	w := startAPI(t)
	const n = 20
	answers := map[string]string{}
	for i := range n {
		id := fmt.Sprintf("A-%d", i)
		status, body, _ := w.do(http.MethodPost, "/predict", applicationBody(id))
		require.Equal(t, 200, status, body)
		answers[id] = body
	}
	for id, record := range w.predictions(n) {
		var p schemas.Prediction
		require.NoError(t, schemas.DecodePrediction(record.Value, &p))
		require.Equal(t, id, p.ApplicationID)
		require.Equal(t, schemas.ChannelAPI, p.Channel)
		require.Empty(t, record.Headers, "it has no source")
		var answer struct {
			Reasons []struct{ Code, Text string } `json:"reasons"`
		}
		require.NoError(t, json.Unmarshal([]byte(answers[id]), &answer))
		texts := map[string]string{}
		for _, r := range answer.Reasons {
			texts[r.Code] = r.Text
		}
		require.Equal(t, answers[id], string(schemas.AppendAnswer(nil, &p, func(code string) string { return texts[code] })))
	}
	require.Zero(t, w.stop())
}

func TestAPIWithRedis(t *testing.T) {
	w := startAPI(t)
	body := strings.Replace(applicationBody("x"), `"application_id":"x",`, "", 1)
	type reply struct {
		status int
		body   string
	}
	replies := make(chan reply)
	for range 8 {
		go func() {
			for {
				status, body, _ := w.do(http.MethodPost, "/predict", body, "Idempotency-Key", "k")
				if status != http.StatusConflict {
					replies <- reply{status, body}
					return
				}
			}
		}()
	}
	first := <-replies
	require.Equal(t, 200, first.status, first.body)
	for range 7 {
		require.Equal(t, first, <-replies)
	}
	require.Len(t, w.predictions(1), 1)

	require.NoError(t, w.redis.Server().Set("t:prediction:A-1", `{"application_id":"A-1","view":{"partition":0,"offset":7,"log":1,"decided_us":1,"generation":0}}`))
	status, got, _ := w.get("/predictions/A-1")
	require.Equal(t, 200, status)
	require.JSONEq(t, `{"application_id":"A-1"}`, got)
	status, _, _ = w.get("/predictions/A-2")
	require.Equal(t, 404, status)

	// Redis away: decisions go on, what needs it says so.
	w.redis.Server().SetError("ERR away")
	require.Eventually(t, func() bool {
		_, body, _ := w.get("/readyz")
		return body == "ready\nredis: away, look-ups and idempotency keys are refused: ERR away\n"
	}, time.Minute, 10*time.Millisecond)
	status, _, _ = w.get("/readyz")
	require.Equal(t, 200, status)
	status, _, _ = w.get("/predictions/A-1")
	require.Equal(t, 503, status)
	status, _, _ = w.do(http.MethodPost, "/predict", body, "Idempotency-Key", "another")
	require.Equal(t, 503, status)
	status, _, _ = w.do(http.MethodPost, "/predict", body)
	require.Equal(t, 200, status)
	w.redis.Server().SetError("")
	require.Eventually(t, func() bool { _, body, _ := w.get("/readyz"); return body == "ready\n" }, time.Minute, 10*time.Millisecond)
}

// A broker that takes a decision and says so too late: the retry is answered with what
// is on the topic, and decides nothing.
func TestAPI_ARetryFindsWhatWasAcknowledgedTooLate(t *testing.T) {
	w := startAPI(t, "--publish-timeout", "1s")
	held := make(chan struct{})
	w.broker.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		w.broker.Cluster().SleepControl(func() { <-held })
		return nil, nil, false // it is taken after that, once
	})
	body := strings.Replace(applicationBody("x"), `"application_id":"x",`, "", 1)
	status, answer, _ := w.do(http.MethodPost, "/predict", body, "Idempotency-Key", "k")
	require.Equal(t, http.StatusServiceUnavailable, status, answer)
	require.Contains(t, answer, "unrecorded")
	close(held)
	for id, record := range w.predictions(1) {
		var p schemas.Prediction
		require.NoError(t, schemas.DecodePrediction(record.Value, &p))
		for range 2 {
			status, answer, header := w.do(http.MethodPost, "/predict", body, "Idempotency-Key", "k")
			require.Equal(t, http.StatusOK, status, answer)
			require.Equal(t, "true", header.Get("Idempotency-Replayed"))
			require.Contains(t, answer, `"application_id":"`+id+`"`)
			require.Contains(t, answer, `"decided_at":"`+p.DecidedAt.String()+`"`)
		}
		ends, err := kadm.NewClient(w.client).ListEndOffsets(t.Context(), "t.predictions")
		require.NoError(t, err)
		records := int64(0)
		ends.Each(func(o kadm.ListedOffset) { records += o.Offset })
		require.EqualValues(t, 1, records, "recorded once")
	}
}

// Two Kafka clusters, each with a deployment of the same prefix, and one Redis between
// them.
func TestAPI_SharesNothingWithAnotherClustersDeployment(t *testing.T) {
	here := startAPI(t)
	there := startAPIOn(t, []kfake.Opt{kfake.ClusterID("another")}, here.redis)
	body := strings.Replace(applicationBody("x"), `"application_id":"x",`, "", 1)
	for _, w := range []*apiWorld{here, there} {
		for n := range 2 {
			status, answer, header := w.do(http.MethodPost, "/predict", body, "Idempotency-Key", "k")
			require.Equal(t, 200, status, answer)
			require.Equal(t, n == 1, header.Get("Idempotency-Replayed") == "true", "a key is known where it was used")
		}
		require.Len(t, w.predictions(1), 1, "decided on its own log")
	}
	status, answer, _ := there.do(http.MethodPost, "/predict", applicationBody("other"), "Idempotency-Key", "k")
	require.Equal(t, http.StatusUnprocessableEntity, status, answer)

	// The view is one's, and the other says so.
	cluster := clusterOf(t, here.broker)
	require.NoError(t, here.redis.Server().Set("t:{view}:cluster", cluster))
	require.NoError(t, here.redis.Server().Set("t:prediction:A-1", `{"application_id":"A-1","view":{"partition":0,"offset":7,"log":1,"decided_us":1,"generation":0}}`))
	status, answer, _ = here.get("/predictions/A-1")
	require.Equal(t, http.StatusOK, status, answer)
	status, answer, _ = there.get("/predictions/A-1")
	require.Equal(t, http.StatusServiceUnavailable, status, answer)
	require.Contains(t, answer, "another Kafka cluster's deployment")
	require.NotContains(t, answer, cluster, "whose it is is no client's business")
	require.Eventually(t, func() bool {
		status, answer, _ = there.get("/readyz")
		return status == http.StatusOK && strings.Contains(answer, "redis: no look-ups: Redis holds the view of another log under prefix \"t\": t.predictions of Kafka cluster "+cluster+"; this is cluster another.")
	}, time.Minute, 10*time.Millisecond)
	require.Contains(t, there.stderr.String(), "look-ups are refused: Redis holds the view of another log")
	status, answer, _ = here.get("/readyz")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "ready\n", answer)

	// Taken over, it is the other's.
	require.NoError(t, here.redis.Server().Set("t:{view}:cluster", "another"))
	require.Eventually(t, func() bool { _, answer, _ := there.get("/readyz"); return answer == "ready\n" }, time.Minute, 10*time.Millisecond)
	status, _, _ = there.get("/predictions/A-1")
	require.Equal(t, http.StatusOK, status)
	status, _, _ = here.get("/predictions/A-1")
	require.Equal(t, http.StatusServiceUnavailable, status)
}

// clusterOf is the id of a broker's cluster.
func clusterOf(t *testing.T, broker *local.Kafka) string {
	id, err := kafka.Config{Brokers: []string{broker.Addr()}}.ClusterID(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, id)
	return id
}

func TestAPIShowsMetrics(t *testing.T) {
	w := startAPI(t, "--rate-limit", "1000", "--listen", "127.0.0.1:0")
	_, _, _ = w.do(http.MethodPost, "/predict", applicationBody("a"))
	_, body, _ := w.get("/metrics")
	for _, want := range []string{
		`creditstream_api_requests_total{code="200",method="POST",route="/predict"} 1`, `creditstream_api_decisions_total{`,
		`creditstream_api_request_seconds_bucket{route="/predict"`, `go_goroutines`, `process_cpu_seconds_total`, `creditstream_api_in_flight 1`,
	} {
		require.Contains(t, body, want)
	}
}

func TestEveryReadyzOfAProcessTellsTheSame(t *testing.T) {
	listen, _, err := loopback.Free(1)
	require.NoError(t, err)
	w := startAPI(t, "--listen", listen)
	both := func(says string) {
		t.Helper()
		telemetry := func() string {
			resp, err := http.Get("http://" + listen + "/readyz")
			if err != nil {
				return err.Error()
			}
			defer func() { _ = resp.Body.Close() }()
			b, _ := io.ReadAll(resp.Body)
			return resp.Status + " " + string(b)
		}
		require.Eventually(t, func() bool {
			status, body, _ := w.get("/readyz")
			return status == http.StatusOK && strings.Contains(body, says) && telemetry() == "200 OK "+body
		}, time.Minute, 10*time.Millisecond, says)
	}
	both("ready\n")
	route := schemas.Route{Champion: "v-none", Policy: policy.DefaultText, By: "test", Why: "its bundle comes later"}
	require.NoError(t, w.client.ProduceSync(t.Context(), &kgo.Record{Topic: "t.routes", Value: schemas.AppendRoute(nil, &route)}).FirstErr())
	both("models: route revision 0 waits: ")
	w.redis.Server().SetError("ERR away")
	both("redis: away, ")
	_, body, _ := w.get("/readyz")
	require.Contains(t, body, "models: route revision 0 waits: ")
	status, _, _ := w.do(http.MethodPost, "/predict", applicationBody("a"))
	require.Equal(t, http.StatusOK, status)
}

func TestWithoutKeysOnlyThisMachinesNamesAreAnswered(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(keys, []byte("shop:0123456789abcdef\n"), 0o600))
	f := func(status int, flags ...string) {
		w := startAPI(t, flags...)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/model", http.NoBody)
		require.NoError(t, err)
		r.Host = "rebound.example:8000"
		r.Header.Set("X-API-Key", "0123456789abcdef")
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, status, resp.StatusCode)
		require.Zero(t, w.stop())
	}
	f(http.StatusMisdirectedRequest)
	f(http.StatusOK, "--no-auth")
	f(http.StatusOK, "--api-keys", keys)
}

func TestAPIRefusesToStart(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(keys, []byte("shop:0123456789abcdef\n"), 0o600))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = taken.Close() }()
	fails := func(code int, says string, flags ...string) {
		t.Helper()
		var stderr bytes.Buffer
		require.Equal(t, code, Run(t.Context(), append([]string{"api"}, flags...), nil, io.Discard, &stderr))
		require.Contains(t, stderr.String(), says)
	}
	f := func(says string, flags ...string) { t.Helper(); fails(exitUsage, says, flags...) }
	f("set --api-keys FILE, or --no-auth", "--api-listen", ":8000")
	f("set --api-keys FILE, or --no-auth", "--api-listen", "0.0.0.0:8000")
	f("set --api-keys FILE, or --no-auth", "--api-listen", "example.org:8000")
	f("set one of them", "--api-keys", keys, "--no-auth")
	fails(exitFailed, "--api-keys: ", "--api-keys", keys+"-none")
	f("--rate-limit -1", "--rate-limit=-1")
	f("--rate-burst -1", "--rate-burst=-1")
	f("--max-in-flight 0", "--max-in-flight", "0")
	f("--max-per-caller 1025", "--max-per-caller", "1025")
	f("--shutdown-delay -1s", "--shutdown-delay=-1s")
	f(`--trusted-proxies "10.0.0.1/8": expected an address or a network`, "--trusted-proxies", "127.0.0.1,10.0.0.1/8")
	f("--publish-timeout 1m0s", "--publish-timeout", "1m")
	fails(exitFailed, "--api-listen "+taken.Addr().String(), "--api-listen", taken.Addr().String())
}

func TestAPINeedsItsTopic(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	var stderr capture.Output
	code := Run(t.Context(), []string{"api", "--api-listen", "127.0.0.1:0", "--model", "shipped", "--brokers", broker.Addr()}, nil, io.Discard, &stderr)
	require.Equal(t, 1, code)
	require.Contains(t, stderr.String(), "the cluster has no topic credit.predictions; run: creditstream topics apply")
}
