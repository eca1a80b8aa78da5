package view

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// nowhere is the progress of a partition that has none.
const nowhere = -1

// Step is one partition's records From … To-1, all of which were written.
type Step struct {
	Partition int32
	From, To  int64
}

// advanceLua raises the progress of partitions. A partition whose progress lies
// below the step's beginning lost it, with what was written before: Redis was
// wiped, or is an older copy of itself. It is left alone. One whose progress is
// beyond the step belongs to another replica by now. The answer is each
// partition's progress.
const advanceLua = `
local result = {}
for i = 2, #ARGV, 3 do
  local stored = redis.call('HGET', KEYS[1], ARGV[i])
  local at = -1
  if stored then
    local l, o = string.match(stored, '^(%d+):(%d+)$')
    if l == ARGV[1] then at = tonumber(o) end
  end
  local from, to = tonumber(ARGV[i+1]), tonumber(ARGV[i+2])
  if at >= from and at < to then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[1] .. ':' .. ARGV[i+2])
    at = to
  end
  result[#result+1] = at
end
return result
`

// advance raises the progress of one log's partitions and returns it, in the
// order of the steps; below a step's To, what the view held is gone.
func (s *Store) advance(ctx context.Context, log uint32, steps []Step) ([]int64, error) {
	if len(steps) == 0 {
		return nil, nil
	}
	args := make([]any, 0, 1+3*len(steps))
	args = append(args, log)
	for _, t := range steps {
		args = append(args, t.Partition, t.From, t.To)
	}
	at, err := s.client.Eval(ctx, advanceLua, []string{s.keys.progress}, args...).Int64Slice()
	if err != nil {
		return nil, fmt.Errorf("noting progress in Redis: %w", err)
	}
	return at, nil
}

// progress is how far the view of one log's partitions has come, in their order.
func (s *Store) progress(ctx context.Context, log uint32, partitions []int32) ([]int64, error) {
	fields := make([]string, len(partitions))
	for i, p := range partitions {
		fields[i] = strconv.Itoa(int(p))
	}
	stored, err := s.client.HMGet(ctx, s.keys.progress, fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("reading progress from Redis: %w", err)
	}
	at := make([]int64, len(partitions))
	for i, v := range stored {
		at[i] = parseProgress(v, log)
	}
	return at, nil
}

func formatProgress(log uint32, offset int64) string {
	return strconv.FormatUint(uint64(log), 10) + ":" + strconv.FormatInt(offset, 10)
}

func parseProgress(stored any, log uint32) int64 {
	text, _ := stored.(string)
	of, offset, ok := strings.Cut(text, ":")
	at, err := strconv.ParseInt(offset, 10, 64)
	if !ok || err != nil || of != strconv.FormatUint(uint64(log), 10) {
		return nowhere
	}
	return at
}

// begin sets the progress of partitions that are read from the start of their
// log.
func (s *Store) begin(ctx context.Context, log uint32, starts map[int32]int64) error {
	if len(starts) == 0 {
		return nil
	}
	_, err := s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for p, at := range starts {
			pipe.HSet(ctx, s.keys.progress, strconv.Itoa(int(p)), formatProgress(log, at))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("noting where to begin in Redis: %w", err)
	}
	return nil
}
