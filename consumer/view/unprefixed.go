package view

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
)

// Earlier releases kept the view under names without a prefix, each key stamped with
// the log that it was made from.
const (
	unprefixedPredictions = "prediction:"
	unprefixedDecisions   = "decided:"
	unprefixedProgress    = "{view}:progress"
	unprefixedRebuild     = "{view}:rebuild"
	unprefixedGeneration  = "{view}:generation"
)

// unprefixedLua removes those of some keys that one log stamped, in the layout that
// those releases wrote.
const unprefixedLua = `
local removed = 0
for _, key in ipairs(KEYS) do
  local stamp, log = nil, nil
  if ARGV[2] == 'decided' then
    stamp = redis.pcall('HGET', key, 'view')
    if type(stamp) == 'string' then log = string.match(stamp, '^%d+/%d+/(%d+)/%d+/%d+$') end
  else
    stamp = redis.pcall('GETRANGE', key, -192, -1)
    if type(stamp) == 'string' then log = string.match(stamp, ',"view":{"partition":%d+,"offset":%d+,"log":(%d+),"decided_us":%d+,"generation":%d+}}$') end
  end
  if log == ARGV[1] then removed = removed + redis.call('DEL', key) end
end
return removed
`

// unprefixedStateLua removes what one log has of the view's own keys, and these
// where no log has anything in them any more.
const unprefixedStateLua = `
local removed = 0
local fields = redis.pcall('HGETALL', KEYS[1])
if not fields.err then
  for i = 1, #fields, 2 do
    if string.match(fields[i+1], '^(%d+):') == ARGV[1] then removed = removed + redis.call('HDEL', KEYS[1], fields[i]) end
  end
end
local log = redis.pcall('HGET', KEYS[2], 'log')
if log == ARGV[1] then redis.call('DEL', KEYS[2]) end
if removed > 0 and redis.call('EXISTS', KEYS[1]) == 0 and redis.call('EXISTS', KEYS[2]) == 0 then redis.call('DEL', KEYS[3]) end
return removed
`

// RemoveUnprefixed removes the keys without a prefix that earlier releases made from
// this log, and nothing else. It returns how many predictions and decisions they
// were. Views of those releases must have ended: one would fill them again.
func RemoveUnprefixed(ctx context.Context, c Config) (removed int64, err error) {
	client, err := c.Kafka.Connect(ctx)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	l, err := logOf(ctx, kadm.NewClient(client), c.Topics.Predictions)
	if err != nil {
		return 0, err
	}
	s := NewStore(c.Redis, c.Kafka.Prefix)
	return s.removeUnprefixed(ctx, l.number)
}

func (s *Store) removeUnprefixed(ctx context.Context, number uint32) (removed int64, err error) {
	nodes, err := s.nodes(ctx)
	if err != nil {
		return 0, err
	}
	for _, node := range nodes {
		for kind, begin := range map[string]string{"prediction": unprefixedPredictions, "decided": unprefixedDecisions} {
			n, err := s.eachPage(ctx, node, begin, func(pipe redis.Pipeliner, keys []string) {
				// Of a deployment that is called prediction or decided these are new keys.
				keys = slices.DeleteFunc(keys, func(k string) bool {
					return strings.HasPrefix(k, s.keys.predictions) || strings.HasPrefix(k, s.keys.decisions)
				})
				for chunk := range slices.Chunk(keys, s.chunk) {
					pipe.Eval(ctx, unprefixedLua, chunk, number, kind)
				}
			})
			removed += n
			if err != nil {
				return removed, err
			}
		}
	}
	state := []string{unprefixedProgress, unprefixedRebuild, unprefixedGeneration}
	if err := s.client.Eval(ctx, unprefixedStateLua, state, number).Err(); err != nil {
		return removed, fmt.Errorf("removing %s from Redis: %w", strings.Join(state, ", "), err)
	}
	return removed, nil
}
