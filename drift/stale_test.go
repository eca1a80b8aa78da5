package drift

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

func TestAStatusIsStaleWhenNoEvaluatorCanBeAtWork(t *testing.T) {
	at := time.Unix(1_764_000_000, 0)
	s := Status{EvaluatedAt: schemas.At(at)}
	f := func(after, age time.Duration, stale bool) {
		t.Helper()
		require.Equal(t, age, s.Age(at.Add(after)))
		require.Equal(t, stale, s.Stale(at.Add(after)))
	}
	f(0, 0, false)
	f(-time.Minute, 0, false) // by a clock that is behind
	f(StaleAfter, StaleAfter, false)
	f(StaleAfter+time.Microsecond, StaleAfter+time.Microsecond, true)
	f(time.Hour, time.Hour, true)
}

func TestAStatusSaysThatItIsStale(t *testing.T) {
	require.Equal(t, `{"stale":true,"state":"quiet"}`, string(WithStale([]byte(`{"state":"quiet"}`), true)))
	require.Equal(t, `{"stale":false,"state":"quiet"}`, string(WithStale([]byte(" { \"state\":\"quiet\"}\n"), false)))
	require.Equal(t, `{"stale":true}`, string(WithStale([]byte(`{ }`), true)))
	require.Equal(t, `null`, string(WithStale([]byte(`null`), true)))
}
