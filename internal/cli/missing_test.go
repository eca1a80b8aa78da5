package cli

import (
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/creditstream/creditstream/internal/app"
	"github.com/creditstream/creditstream/internal/capture"
	"github.com/creditstream/creditstream/internal/kafka"
	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/schemas"
)

// Whoever sets a cluster up hears of everything at once, not of one piece with each
// start.
func TestEverythingThatAPartLacksIsNamedAtOnce(t *testing.T) {
	topics := schemas.NewTopics("credit")
	redis := miniredis.RunT(t)
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	var seeded []kfake.Opt
	for _, topic := range schemas.Catalogue("credit") {
		seeded = append(seeded, kfake.SeedTopics(1, topic.Name))
	}
	// Clients that do not log in are this user, which may do nothing.
	closed, err := local.StartKafka("", append(seeded, kfake.EnableACLs(), kfake.User("SCRAM-SHA-256", "ANONYMOUS", "unused"))...)
	require.NoError(t, err)
	t.Cleanup(closed.Close)

	f := func(name string, needs []kafka.Access, args ...string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, needs)
			for addr, named := range map[string]func(kafka.Access) string{
				broker.Addr(): func(a kafka.Access) string { return a.Topic },
				closed.Addr(): kafka.Access.String,
			} {
				var out, log capture.Output // clients tell of what is denied until they are closed
				require.Equal(t, 1, Run(t.Context(), append(append([]string{name}, args...), "--brokers", addr), strings.NewReader(""), &out, &log))
				_, last, ok := strings.Cut(log.String(), "creditstream: ") // behind the log, of each component that has failed
				require.True(t, ok, log.String())
				told := strings.FieldsFunc(last, func(r rune) bool { return strings.ContainsRune(",;:\n", r) })
				for _, a := range needs {
					n := 0
					for _, one := range told {
						one = strings.TrimSpace(one)
						for _, before := range []string{"needs ", "the cluster has no topic "} {
							if _, after, ok := strings.Cut(one, before); ok {
								one = after
							}
						}
						if one == named(a) {
							n++
						}
					}
					require.Positive(t, n, "%s in %s", named(a), last)
				}
			}
		})
	}
	listen := []string{"--listen", "127.0.0.1:0"}
	f("score", app.Access("credit", app.ScoreName), listen...)
	f("view", app.Access("credit", app.ViewName), append(listen, "--redis", redis.Addr())...)
	f("api", app.Access("credit", app.APIName), "--api-listen", "127.0.0.1:0", "--redis", redis.Addr())
	f("drift", app.Access("credit", app.DriftName), append(listen, "--redis", redis.Addr())...)
	f("verify", kafka.Reads(topics.Applications, topics.Predictions, topics.DLQ, topics.Models, topics.Routes))
	f("produce", kafka.Writes(topics.Applications), "--count", "1")
}
