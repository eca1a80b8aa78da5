package flags

import (
	"time"

	"github.com/creditstream/creditstream/consumer/view"
	"github.com/creditstream/creditstream/internal/app"
)

// View says how long the view keeps what.
type View struct {
	TTL        time.Duration `help:"How long a prediction stays in Redis, from when the log took it (default ${default}: 30 days)." default:"720h" name:"ttl" placeholder:"DURATION"`
	DecidedTTL time.Duration `help:"How long what outcomes are joined with stays in Redis (default ${default}: 800 days)." default:"19200h" name:"decided-ttl" placeholder:"DURATION"`
}

// Config is a view in a Redis, by the name of its group.
func (f *View) Config(r *Redis, group string) app.View {
	return app.View{Redis: r.Config(), Group: group, Lifetimes: view.Lifetimes{Prediction: f.TTL, Decided: f.DecidedTTL}}
}
