package apptest

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// differing lists ids for which Redis does not hold the prediction; it stops
// after the first thousand that it has asked about and found.
func differing(t *testing.T, s servers, prefix string, predictions map[string]decided) (ids []string) {
	client := redis.NewClient(&redis.Options{Addr: s.redis})
	defer func() { _ = client.Close() }()
	asked := map[string]*redis.StringCmd{}
	pipe := client.Pipeline()
	compare := func() {
		if _, err := pipe.Exec(t.Context()); err != nil {
			require.ErrorIs(t, err, redis.Nil)
		}
		for id, cmd := range asked {
			value, err := cmd.Bytes()
			require.True(t, err == nil || errors.Is(err, redis.Nil), "%v", err)
			if !holds(value, predictions[id].value) {
				ids = append(ids, id)
			}
		}
		clear(asked)
	}
	for id := range predictions {
		asked[id] = pipe.Get(t.Context(), prefix+":prediction:"+id)
		if len(asked) == 1000 {
			compare()
			if len(ids) > 0 {
				return ids
			}
		}
	}
	compare()
	return ids
}
