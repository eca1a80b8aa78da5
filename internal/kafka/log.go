package kafka

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"
)

// clientLog hands what the client warns of to the process's log. Below that the
// client reports every rebalance and request: never in normal operation.
type clientLog struct {
	log *slog.Logger
}

// Level is part of kgo.Logger.
func (clientLog) Level() kgo.LogLevel { return kgo.LogLevelWarn }

// Log is part of kgo.Logger.
func (l clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	severity := slog.LevelWarn
	if level == kgo.LogLevelError {
		severity = slog.LevelError
	}
	l.log.Log(context.Background(), severity, "kafka client: "+msg, keyvals...)
}
