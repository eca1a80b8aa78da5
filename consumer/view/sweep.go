package view

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
)

// sweepLua removes predictions that the rebuild would have seen, had the log still
// held them. ARGV: log, generation, then partition and end of each.
const sweepLua = stampLua + `
local ends = {}
for i = 3, #ARGV, 2 do ends[ARGV[i]] = tonumber(ARGV[i+1]) end
local removed = 0
for _, key in ipairs(KEYS) do
  local p, o, l, d, g = predictionStamp(key)
  if not p or l ~= ARGV[1] or (tonumber(g) < tonumber(ARGV[2]) and ends[p] and tonumber(o) < ends[p]) then
    removed = removed + redis.call('DEL', key)
  end
end
return removed
`

// sweepPage is how many keys are looked at in one round trip.
const sweepPage = 2_000

// sweep removes every key of this deployment's view that generation has not written although
// its record lies below the ends, or that is of another log.
func (s *Store) sweep(ctx context.Context, log uint32, generation int64, ends map[int32]int64) (removed int64, err error) {
	args := []any{log, generation}
	for p, end := range ends {
		args = append(args, p, end)
	}
	nodes, err := s.nodes(ctx)
	for _, node := range nodes {
		for begin, script := range map[string]string{s.keys.predictions: sweepLua, s.keys.decisions: sweepDecidedLua} {
			n, err := s.sweepNode(ctx, node, begin, script, args)
			removed += n
			if err != nil {
				return removed, err
			}
		}
	}
	return removed, err
}

// nodes are the servers that hold the keys between them.
func (s *Store) nodes(ctx context.Context) (nodes []redis.UniversalClient, err error) {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return []redis.UniversalClient{s.client}, nil
	}
	var mu sync.Mutex // guards nodes
	err = cluster.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		nodes = append(nodes, c)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking for the cluster's nodes: %w", err)
	}
	return nodes, nil
}

func (s *Store) sweepNode(ctx context.Context, node redis.UniversalClient, begin, script string, args []any) (removed int64, err error) {
	return s.eachPage(ctx, node, begin, func(pipe redis.Pipeliner, keys []string) {
		for chunk := range slices.Chunk(keys, s.chunk) {
			pipe.Eval(ctx, script, chunk, args...)
		}
	})
}

// eachPage looks through a server's keys that begin so, and adds up what the scripts
// remove that do puts into the pipeline for some of them.
func (s *Store) eachPage(ctx context.Context, node redis.UniversalClient, begin string, do func(pipe redis.Pipeliner, keys []string)) (removed int64, err error) {
	for cursor, first := uint64(0), true; first || cursor != 0; first = false {
		var keys []string
		if keys, cursor, err = node.Scan(ctx, cursor, begin+"*", sweepPage).Result(); err != nil {
			return removed, fmt.Errorf("looking through Redis: %w", err)
		}
		if len(keys) == 0 {
			continue
		}
		pipe := node.Pipeline()
		do(pipe, keys)
		if pipe.Len() == 0 {
			continue
		}
		commands, err := pipe.Exec(ctx)
		for _, c := range commands {
			n, _ := c.(*redis.Cmd).Int64()
			removed += n
		}
		if err != nil {
			return removed, fmt.Errorf("removing from Redis: %w", err)
		}
	}
	return removed, nil
}
