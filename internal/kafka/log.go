package kafka

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sayAgain is how often the client's log repeats itself: while a broker is away
// it warns of every partition at every attempt.
const sayAgain = 10 * time.Second

// ownWords begin what the client says of a batch that is too large to be unpacked, and
// what to call then: whoever reads it gets the same as an error, and has words of its own.
const ownWords = "batch decompresses larger than"

// clientLog hands what the client warns of to the process's log, each message at
// most once in a while. Below that the client reports every rebalance and request:
// never in normal operation.
type clientLog struct {
	log *slog.Logger

	mu   sync.Mutex // guards said
	said map[string]time.Time
}

func newClientLog(log *slog.Logger) *clientLog {
	return &clientLog{log: log, said: map[string]time.Time{}}
}

// Level is part of kgo.Logger.
func (*clientLog) Level() kgo.LogLevel { return kgo.LogLevelWarn }

// cannotOpen is what the client says of a broker that takes no connection.
const cannotOpen = "unable to open connection to broker"

// ofSeed says whether a message is of an address of --brokers, not of a broker that the
// cluster has named: that none of these takes a connection, whoever asks gets as an error.
func ofSeed(keyvals []any) bool {
	for i := 0; i+1 < len(keyvals); i += 2 {
		if name, ok := keyvals[i+1].(string); ok && keyvals[i] == "broker" {
			return strings.HasPrefix(name, "seed_")
		}
	}
	return false
}

// Log is part of kgo.Logger.
func (l *clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	if strings.HasPrefix(msg, ownWords) || msg == cannotOpen && ofSeed(keyvals) || !l.due(msg) {
		return
	}
	severity := slog.LevelWarn
	if level == kgo.LogLevelError {
		severity = slog.LevelError
	}
	l.log.Log(context.Background(), severity, "kafka client: "+msg, keyvals...)
}

// due says whether a message has not been said lately.
func (l *clientLog) due(msg string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if last, ok := l.said[msg]; ok && now.Sub(last) < sayAgain {
		return false
	}
	l.said[msg] = now // the client's messages are constants: the map stays small
	return true
}
