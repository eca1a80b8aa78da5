package app

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/consumer/dataset"
	"github.com/creditstream/creditstream/consumer/labels"
	"github.com/creditstream/creditstream/consumer/recent"
	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/drift/counting"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

// told is one record of a history: a decision, or an outcome.
type told struct {
	outcome   bool
	id, key   string
	at        schemas.Timestamp // decided_at or observed_at
	appended  time.Time
	partition int32
	offset    int64
	defaulted uint8
}

func (r *told) prediction() *schemas.Prediction {
	p := &schemas.Prediction{
		ApplicationID: r.id, AppliedAt: r.at, DecidedAt: r.at, Channel: schemas.ChannelStream, DefaultProbability: 0.25, Decision: schemas.Approve,
		ModelVersion: fmt.Sprintf("%d/%d", r.partition, r.offset), Engine: "native", Route: schemas.RouteChampion, PolicyVersion: "p",
	}
	for k, rule := range schemas.FeatureRules {
		p.Features[k] = max(rule.Min, 0)
	}
	return p
}

// history is what the log took, in its order, of a few applications.
func history(random *rand.Rand, steps int) []told {
	now := time.Now().Add(-10 * 24 * time.Hour).Truncate(time.Millisecond)
	begin, offsets := now, map[bool][3]int64{}
	var all []told
	for i := range steps {
		now = now.Add(time.Duration(1+random.IntN(20)) * time.Minute)
		n := random.IntN(5)
		r := told{outcome: random.IntN(3) == 0, id: fmt.Sprintf("A-%d", n), appended: now, partition: int32(n % 3)}
		r.key = r.id
		if random.IntN(6) == 0 {
			r.key = []string{"", "A-1", `"` + r.id + `"`, r.id + "\n"}[random.IntN(4)]
		}
		if random.IntN(8) == 0 {
			r.partition = int32(random.IntN(3)) // partitions were added, or the key is another
		}
		r.at = schemas.At(now) - schemas.Timestamp(random.IntN(60e6)) // decided a little before, and never twice at once
		if r.outcome {
			r.defaulted = uint8(random.IntN(2))
			r.at = schemas.At(begin) + schemas.Timestamp(random.Int64N(now.Sub(begin).Microseconds()+3600e6)) - 900e6
		}
		r.at = r.at/1000*1000 + schemas.Timestamp(i%1000)
		next := offsets[r.outcome]
		r.offset = next[r.partition]
		next[r.partition]++
		offsets[r.outcome] = next
		all = append(all, r)
	}
	return all
}

// place is where a decision is.
type place struct {
	partition int32
	offset    int64
}

// counted is what became of a history's outcomes.
type counted struct {
	labels                                      map[place]uint8
	read, matched, unmatched, duplicate         int64
	tooOld, before, keyDiffers, predictionsKeys int64
}

// plainly joins a history by the rule as it is written.
func plainly(all []told) counted {
	c := counted{labels: map[place]uint8{}}
	for i := range all {
		o := &all[i]
		if o.key != o.id && !o.outcome {
			c.predictionsKeys++
		}
		if !o.outcome {
			continue
		}
		c.read++
		if o.key != o.id {
			c.keyDiffers++
		}
		var known, candidates []*told
		for k := range all[:i] {
			if d := &all[k]; !d.outcome && d.id == o.id {
				known = append(known, d)
				if d.at <= o.at {
					candidates = append(candidates, d)
				}
			}
		}
		if len(candidates) == 0 {
			c.unmatched++
			if len(known) > 0 {
				c.before++
			}
			continue
		}
		last := candidates[0]
		for _, d := range candidates {
			if d.at > last.at {
				last = d
			}
		}
		if rank(known, last) > 8 {
			c.unmatched++
			c.tooOld++
			continue
		}
		at := place{last.partition, last.offset}
		if _, ok := c.labels[at]; ok {
			c.duplicate++
			continue
		}
		c.matched++
		c.labels[at] = o.defaulted
	}
	return c
}

// rank is a decision's place among others, 1 the last.
func rank(known []*told, of *told) int {
	n := 1
	for _, d := range known {
		if d.at > of.at {
			n++
		}
	}
	return n
}

// throughRedis joins a history as drift does: the view writes, an outcome claims.
func throughRedis(t *testing.T, random *rand.Rand, rdb *redis.Client, all []told) counted {
	store, c := view.NewStore(rdb, "t"), counted{labels: map[place]uint8{}}
	d, written := decided{store}, 0
	write := func(to int) {
		for ; written < to; written++ {
			r := &all[written]
			if r.outcome {
				continue
			}
			p := r.prediction()
			_, err := store.Write(t.Context(), []view.Entry{{ID: p.ApplicationID, DecidedExpires: time.Now().Add(time.Hour), Decided: view.Decided{
				Probability: p.DefaultProbability, ModelVersion: p.ModelVersion, Decision: p.Decision, Appended: r.appended.UnixMilli(),
				Stamp: view.Stamp{Partition: r.partition, Offset: r.offset, DecidedUS: int64(r.at)},
			}}})
			require.NoError(t, err)
		}
	}
	for i := range all {
		o := &all[i]
		if !o.outcome {
			continue
		}
		write(i)
		// The view may be ahead, and may write again what it wrote. Eight decisions on an
		// application stay, so of those ahead none is on one whose outcome is to be joined.
		ahead := 0
		waiting := map[string]bool{}
		for k := i; k < min(i+random.IntN(9), len(all)) && (all[k].outcome || !waiting[all[k].id]); k++ {
			waiting[all[k].id] = waiting[all[k].id] || all[k].outcome
			ahead = k - i + 1
		}
		write(i + ahead)
		written = max(0, written-random.IntN(5))
		write(i + ahead)
		claim := []counting.Claim{{ApplicationID: o.id, Outcome: fmt.Sprintf("x/%d/%d", o.partition, o.offset), Observed: o.at, Appended: o.appended}}
		var answers []counting.Claimed
		for range 1 + random.IntN(2) { // read again
			var err error
			answers, err = d.Claim(t.Context(), claim)
			require.NoError(t, err)
		}
		c.read++
		switch answers[0].State {
		case counting.Matched:
			c.matched++
			var at place
			_, err := fmt.Sscanf(answers[0].ModelVersion, "%d/%d", &at.partition, &at.offset)
			require.NoError(t, err)
			c.labels[at] = o.defaulted
		case counting.Repeated:
			c.duplicate++
		case counting.TooOld:
			c.unmatched++
			c.tooOld++
		case counting.Before:
			c.unmatched++
			c.before++
		case counting.Unknown:
			c.unmatched++
		}
	}
	return c
}

// Drift, the export and the last inputs label the same decisions, by the plain rule,
// whatever the log took.
func TestLabels_DriftAndExportAgreeToTheRow(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	server, err := local.StartRedis()
	require.NoError(t, err)
	t.Cleanup(server.Close)
	rdb := redis.NewClient(&redis.Options{Addr: server.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	for round := range 9 {
		server.Server().FlushAll()
		all := history(random, 40+30*round)
		want := plainly(all)

		got := throughRedis(t, random, rdb, all)
		got.keyDiffers, got.predictionsKeys = want.keyDiffers, want.predictionsKeys // which no claim knows
		require.Equal(t, want, got, "drift")

		prefix := fmt.Sprintf("t%d", round)
		config := dataset.Config{
			Kafka: kafka.Config{Brokers: []string{broker.Addr()}, Prefix: prefix, ClientID: "test"}, Topics: schemas.NewTopics(prefix),
		}
		appendAll(t, config, all)
		rows := map[place]int8{}
		counts, err := dataset.Read(t.Context(), config, func(p *schemas.Prediction, defaulted int8) error {
			var at place
			_, err := fmt.Sscanf(p.ModelVersion, "%d/%d", &at.partition, &at.offset)
			rows[at] = defaulted
			return err
		})
		require.NoError(t, err)
		labelled := map[place]uint8{}
		for at, defaulted := range rows {
			if defaulted != dataset.Unknown {
				labelled[at] = uint8(defaulted)
			}
		}
		require.Equal(t, want.labels, labelled, "the export")
		names := labels.Counts{
			Read: want.read, Matched: want.matched, Unmatched: want.unmatched, Duplicate: want.duplicate,
			TooOld: want.tooOld, Before: want.before, KeyDiffers: want.keyDiffers,
		}
		require.Equal(t, names, counts.Outcomes)
		require.Equal(t, want.predictionsKeys, counts.KeyDiffers)
		require.EqualValues(t, len(want.labels), counts.Labelled)

		last, apart, err := recent.Read(t.Context(), recent.Config{Kafka: config.Kafka, Topics: config.Topics, N: 1000})
		require.NoError(t, err)
		labelled = map[place]uint8{}
		for i := range last {
			if last[i].Known {
				var at place
				_, err := fmt.Sscanf(last[i].ModelVersion, "%d/%d", &at.partition, &at.offset)
				require.NoError(t, err)
				labelled[at] = last[i].Defaulted
			}
		}
		require.Equal(t, want.labels, labelled, "the last inputs")
		require.Equal(t, want.predictionsKeys, apart.PredictionKeyDiffers)
		require.Equal(t, names, apart.Outcomes)

		// Of any stretch the rows are labelled as they are in the whole.
		for range 4 {
			config.From = all[0].appended.Add(time.Duration(random.Int64N(int64(all[len(all)-1].appended.Sub(all[0].appended)))))
			config.To = config.From.Add(time.Duration(random.Int64N(int64(24 * time.Hour))))
			inside := map[place]uint8{}
			for i := range all {
				r := &all[i]
				at := r.at.Time()
				defaulted, ok := want.labels[place{r.partition, r.offset}]
				if ok && !r.outcome && !at.Before(config.From) && at.Before(config.To) {
					inside[place{r.partition, r.offset}] = defaulted
				}
			}
			labelled = map[place]uint8{}
			_, err := dataset.Read(t.Context(), config, func(p *schemas.Prediction, defaulted int8) error {
				var at place
				_, err := fmt.Sscanf(p.ModelVersion, "%d/%d", &at.partition, &at.offset)
				if defaulted != dataset.Unknown {
					labelled[at] = uint8(defaulted)
				}
				return err
			})
			require.NoError(t, err)
			require.Equal(t, inside, labelled, "of the stretch from %s to %s", config.From, config.To)
		}
	}
}

// appendAll writes a history to topics that keep its times.
func appendAll(t *testing.T, c dataset.Config, all []told) {
	client, err := kgo.NewClient(append(c.Kafka.Options(), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	require.NoError(t, err)
	defer client.Close()
	_, err = kafka.CreateTopics(t.Context(), kadm.NewClient(client), []kafka.TopicSpec{
		{Name: c.Topics.Predictions, Partitions: 3, Replication: 1}, {Name: c.Topics.Outcomes, Partitions: 3, Replication: 1},
	})
	require.NoError(t, err)
	records := make([]*kgo.Record, len(all))
	for i := range all {
		r := &all[i]
		records[i] = &kgo.Record{Topic: c.Topics.Predictions, Partition: r.partition, Key: []byte(r.key), Timestamp: r.appended}
		if r.outcome {
			records[i].Topic = c.Topics.Outcomes
			records[i].Value = schemas.AppendOutcome(nil, &schemas.Outcome{ApplicationID: r.id, Defaulted: r.defaulted, ObservedAt: r.at})
		} else {
			records[i].Value = schemas.AppendPrediction(nil, r.prediction())
		}
	}
	require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
	for i := range all {
		require.Equal(t, all[i].offset, records[i].Offset)
	}
}
