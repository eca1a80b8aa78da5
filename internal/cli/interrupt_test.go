package cli

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A broker that takes connections and never answers: the command is in the middle
// of asking when it is told to stop.
func TestRun_SaysInterruptedRatherThanThatNoBrokerAnswers(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"model", "list"},
		{"model", "route", "--champion", "v1", "--why", "x"},
		{"replicas"},
		{"verify"},
		{"dlq", "list"},
		{"topics", "list"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			ctx, interrupt := context.WithCancel(t.Context())
			served := make(chan struct{})
			go func() {
				defer close(served)
				for {
					c, err := listener.Accept()
					if err != nil {
						return
					}
					defer func() { _ = c.Close() }()
					interrupt()
				}
			}()
			defer func() { _ = listener.Close(); <-served }()
			var out, errs bytes.Buffer
			code := Run(ctx, append(args, "--brokers", listener.Addr().String()), strings.NewReader(""), &out, &errs)
			require.Equal(t, 1, code)
			require.Contains(t, errs.String(), "creditstream: interrupted")
			require.NotContains(t, errs.String(), "broker answers")
			require.NotContains(t, errs.String(), "cancel")
		})
	}
}
