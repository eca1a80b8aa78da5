package app

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/consumer/lookup"
)

// Where as many requests are being read back as may be, the next is refused, not held.
func TestRecordedPredictions_RefuseWhereNoPlaceIsFree(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nobody waits
	r := newRecordedPredictions(lookup.Config{})
	held, letGo, done := make(chan struct{}), make(chan struct{}), make(chan error)
	for range maxReads {
		go func() {
			done <- r.inPlace(func() error {
				held <- struct{}{}
				<-letGo
				return nil
			})
		}()
		<-held
	}
	_, _, err := r.Predictions(ctx, nil)
	require.ErrorIs(t, err, errNoPlace)
	_, err = r.Since(ctx, time.Now(), nil)
	require.ErrorIs(t, err, errNoPlace)
	close(letGo)
	for range maxReads {
		require.NoError(t, <-done)
	}
	_, err = r.Since(ctx, time.Now(), nil)
	require.NotErrorIs(t, err, errNoPlace, "a place is free")
}
