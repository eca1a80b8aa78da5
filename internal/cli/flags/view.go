package flags

import "time"

// View says how long the view keeps what.
type View struct {
	TTL        time.Duration `help:"How long a prediction stays in Redis, from when the log took it (default ${default}: 30 days)." default:"720h" name:"ttl" placeholder:"DURATION"`
	DecidedTTL time.Duration `help:"How long what outcomes are joined with stays in Redis (default ${default}: 800 days)." default:"19200h" name:"decided-ttl" placeholder:"DURATION"`
}
