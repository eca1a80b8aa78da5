package kafka

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Whoever is told to stop while a broker has taken the connection and not answered yet
// does not wait for it.
func TestConnect_EndsWithItsContextBeforeABrokersFirstAnswer(t *testing.T) {
	c := Config{Brokers: []string{"silent:9092"}}
	for name, ask := range map[string]func(context.Context, kgo.Opt) error{
		"connect": func(ctx context.Context, dial kgo.Opt) error {
			_, err := c.Connect(ctx, dial)
			return err
		},
		"topics": func(ctx context.Context, dial kgo.Opt) error {
			client, err := kgo.NewClient(append(c.Options(), dial)...)
			if err != nil {
				return err
			}
			defer client.Close()
			_, _, err = lookFor(ctx, kadm.NewClient(client), []string{"a"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				began := time.Now()
				dial := kgo.Dialer(func(context.Context, string, string) (net.Conn, error) {
					mine, theirs := net.Pipe()
					go func() { // takes what it is asked
						b := make([]byte, 1024)
						for {
							if _, err := theirs.Read(b); err != nil {
								return
							}
						}
					}()
					return mine, nil
				})
				asked := make(chan error, 1)
				go func() { asked <- ask(ctx, dial) }()
				synctest.Wait()
				stop()
				require.ErrorIs(t, <-asked, context.Canceled)
				require.Equal(t, began, time.Now(), "of the bubble")
			})
		})
	}
}
