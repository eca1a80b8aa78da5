package member

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/internal/capture"
)

// Whoever is stopped while it tries has not failed.
func TestPatiently_SaysNothingWhenItIsStopped(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said := &capture.Output{}
	tries := 0
	err := Patiently(ctx, slog.New(slog.NewTextHandler(said, nil)), func(ctx context.Context) error {
		if tries++; tries == 2 {
			stop()
			return ctx.Err()
		}
		return errors.New("no broker")
	}, func(error) error { return nil }, func(err error) { require.NotErrorIs(t, err, context.Canceled) })
	require.NoError(t, err)
	require.Equal(t, 2, tries)
	require.Equal(t, 1, strings.Count(said.String(), "cannot start yet"))
	require.NotContains(t, said.String(), "canceled")
}
