package app

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

func TestChampionAt_IsTheOneNamedWhereNoneServed(t *testing.T) {
	read := func(name string) ([]byte, error) {
		require.Equal(t, "shipped", name)
		return shipped.Bundle, nil
	}
	_, err := ChampionAt(&release.History{}, time.Now(), "", read)
	var none *NoChampionError
	require.ErrorAs(t, err, &none)
	champion, err := ChampionAt(&release.History{}, time.Now(), "shipped", read)
	require.NoError(t, err)
	require.NotEmpty(t, champion.ModelVersion)
	require.Equal(t, champion.Reference.Digest(), champion.Digest)
	unread := errors.New("no such file")
	_, err = ChampionAt(&release.History{}, time.Now(), "other", func(string) ([]byte, error) { return nil, unread })
	require.ErrorIs(t, err, unread)
	_, err = ChampionAt(&release.History{}, time.Now(), "other", func(string) ([]byte, error) { return []byte("none"), nil })
	require.ErrorContains(t, err, "model other: ")
}

// The route in force at the time says which model and which policy, whatever came later.
func TestChampionAt_IsOfTheRouteThatWasInForce(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	topics := schemas.NewTopics("credit")
	config := kafka.Config{Brokers: []string{broker.Addr()}, Prefix: "credit"}
	client, err := config.Connect(t.Context())
	require.NoError(t, err)
	defer client.Close()
	for _, topic := range []string{topics.Models, topics.Routes} {
		_, err := kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, topic)
		require.NoError(t, err)
	}
	_, reference, err := model.ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	other, err := model.WithReference(shipped.Bundle, "v1", reference)
	require.NoError(t, err)
	strict := strings.Replace(policy.DefaultText, "0.20", "0.10", 1)
	rules, err := policy.Parse(strict)
	require.NoError(t, err)
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	put := func(topic, key string, value []byte) {
		require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(key), Value: value}).FirstErr())
	}
	route := func(at time.Time, champion, text string) {
		put(topics.Routes, "", schemas.AppendRoute(nil, &schemas.Route{Champion: champion, Policy: text, By: "test", Why: "test", At: schemas.At(at)}))
	}
	put(topics.Models, "v1", other)
	route(noon, "v1", strict)
	route(noon.Add(time.Hour), "v0", policy.DefaultText)
	h, err := release.ReadAll(t.Context(), config, topics)
	require.NoError(t, err)
	require.Empty(t, h.Problems())

	unasked := func(name string) ([]byte, error) { return nil, errors.New("nothing is to be read but " + name) }
	champion, err := ChampionAt(h, noon.Add(time.Minute), "", unasked)
	require.NoError(t, err)
	require.Equal(t, "v1", champion.ModelVersion)
	require.Equal(t, rules.Version, champion.Policy.Version)
	_, err = ChampionAt(h, noon.Add(2*time.Hour), "", unasked)
	var none *NoChampionError
	require.ErrorAs(t, err, &none)
	require.ErrorContains(t, err, "model v0 served then and its bundle is gone")

	// A model that is named is another in its place, under the policy then in force.
	champion, err = ChampionAt(h, noon.Add(2*time.Hour), "v1", unasked)
	require.NoError(t, err)
	require.Equal(t, "v1", champion.ModelVersion)
	require.NotEqual(t, rules.Version, champion.Policy.Version)
}
