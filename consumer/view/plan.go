package view

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// plan is how far a rebuild has come and where it ends, per partition. It is
// kept in Redis until the rebuild is done.
type plan struct {
	generation int64
	stretches  map[int32]stretch
}

type stretch struct{ next, end int64 }

func (t stretch) String() string {
	return strconv.FormatInt(t.next, 10) + "/" + strconv.FormatInt(t.end, 10)
}

const (
	planGeneration = "generation"
	planLog        = "log"
)

// plan reads the rebuild under way, if there is one for this log.
func (s *Store) plan(ctx context.Context, log uint32) (p plan, found bool, err error) {
	h, err := s.client.HGetAll(ctx, s.keys.rebuild).Result()
	if err != nil {
		return p, false, fmt.Errorf("looking for a rebuild in Redis: %w", err)
	}
	if h[planLog] != strconv.FormatUint(uint64(log), 10) {
		return p, false, nil
	}
	p, found = parsePlan(h)
	return p, found, nil
}

func parsePlan(h map[string]string) (p plan, ok bool) {
	generation, err := strconv.ParseInt(h[planGeneration], 10, 64)
	p = plan{generation, map[int32]stretch{}}
	ok = err == nil
	for field, text := range h {
		if field == planGeneration || field == planLog {
			continue
		}
		var partition int32
		var t stretch
		_, err := fmt.Sscanf(field+" "+text, "%d %d/%d", &partition, &t.next, &t.end)
		ok = ok && err == nil
		p.stretches[partition] = t
	}
	return p, ok
}

// begun makes a new plan and numbers it. Done twice, it only skips a number.
func (s *Store) begun(ctx context.Context, log uint32, stretches map[int32]stretch) (plan, error) {
	n, err := s.client.Incr(ctx, s.keys.generation).Result()
	if err != nil {
		return plan{}, fmt.Errorf("numbering the rebuild in Redis: %w", err)
	}
	fields := []any{planGeneration, n, planLog, log}
	for p, t := range stretches {
		fields = append(fields, p, t.String())
	}
	_, err = s.client.TxPipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.Del(ctx, s.keys.rebuild)
		pipe.HSet(ctx, s.keys.rebuild, fields...)
		return nil
	})
	if err != nil {
		return plan{}, fmt.Errorf("noting the rebuild in Redis: %w", err)
	}
	return plan{n, stretches}, nil
}

// Both scripts do nothing, and say 0, unless the plan is this rebuild's.
const (
	noteLua = `
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i+1]) end
return 1
`
	endLua = `
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 0 end
for i = 3, #ARGV, 2 do
  local stored = redis.call('HGET', KEYS[2], ARGV[i])
  local l, o
  if stored then l, o = string.match(stored, '^(%d+):(%d+)$') end
  if l ~= ARGV[2] or tonumber(o) < tonumber(ARGV[i+1]) then
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[2] .. ':' .. ARGV[i+1])
  end
end
redis.call('DEL', KEYS[1])
return 1
`
)

func (s *Store) note(ctx context.Context, generation int64, passed map[int32]stretch) (ours bool, err error) {
	args := []any{generation}
	for p, t := range passed {
		args = append(args, p, t.String())
	}
	ours, err = s.client.Eval(ctx, noteLua, []string{s.keys.rebuild}, args...).Bool()
	if err != nil {
		return false, fmt.Errorf("noting the rebuild in Redis: %w", err)
	}
	return ours, nil
}

func (s *Store) ended(ctx context.Context, log uint32, p plan) (ours bool, err error) {
	args := []any{p.generation, log}
	for partition, t := range p.stretches {
		args = append(args, partition, t.end)
	}
	ours, err = s.client.Eval(ctx, endLua, []string{s.keys.rebuild, s.keys.progress}, args...).Bool()
	if err != nil {
		return false, fmt.Errorf("ending the rebuild in Redis: %w", err)
	}
	return ours, nil
}
