package view

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Claim is an outcome that looks for what was decided. Outcome names it by where
// it stands: the same name again is the same outcome, read twice.
type Claim struct {
	ID      string // of the application
	Outcome string
}

// Claimed is what is known of a claim's application.
type Claimed struct {
	Known        bool // a decision is; what follows says nothing otherwise
	First        bool // no other outcome claimed it before
	Probability  float32
	ModelVersion string
	Decision     string
}

// claimLua notes for each key the first outcome that claims it. It answers with
// whose the key is now and what was decided, or nothing where that is not known.
const claimLua = `
local result = {}
for i, key in ipairs(KEYS) do
  local h = redis.pcall('HMGET', key, 'outcome', 'default_probability', 'model_version', 'decision')
  if h.err or not h[2] or not h[3] then
    result[i] = {}
  else
    if not h[1] then
      redis.call('HSET', key, 'outcome', ARGV[i])
      h[1] = ARGV[i]
    end
    result[i] = {h[1], h[2], h[3], h[4]}
  end
end
return result
`

// Claim joins outcomes with what was decided: of an application only the first
// outcome that claims it, and that one as often as it does. A claim stays for as
// long as what was decided does.
func (s *Store) Claim(ctx context.Context, claims []Claim) ([]Claimed, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	var asked []*redis.Cmd
	for chunk := range slices.Chunk(claims, s.chunk) {
		keys, args := make([]string, len(chunk)), make([]any, len(chunk))
		for i, c := range chunk {
			keys[i], args[i] = s.keys.decided(c.ID), c.Outcome
		}
		asked = append(asked, pipe.Eval(ctx, claimLua, keys, args...))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("claiming decisions in Redis: %w", err)
	}
	answers := make([]Claimed, 0, len(claims))
	for _, cmd := range asked {
		rows, err := cmd.Slice()
		if err != nil {
			return nil, fmt.Errorf("claiming decisions in Redis: %w", err)
		}
		for _, row := range rows {
			fields, _ := row.([]any)
			a, err := claimedOf(fields, claims[len(answers)].Outcome)
			if err != nil {
				return nil, err
			}
			answers = append(answers, a)
		}
	}
	return answers, nil
}

func claimedOf(fields []any, outcome string) (a Claimed, err error) {
	if len(fields) == 0 {
		return a, nil
	}
	text := func(i int) string { t, _ := fields[i].(string); return t }
	p, err := strconv.ParseFloat(text(1), 32)
	if err != nil {
		return a, fmt.Errorf("claiming decisions in Redis: default_probability %q was not written by the view", text(1))
	}
	return Claimed{Known: true, First: text(0) == outcome, Probability: float32(p), ModelVersion: text(2), Decision: text(3)}, nil
}

// Passed says whether the view holds everything of a log of predictions that lies
// below the partitions' ends. topic is the id that Kafka gave the topic.
func (s *Store) Passed(ctx context.Context, topic [16]byte, ends map[int32]int64) (bool, error) {
	partitions := slices.Collect(maps.Keys(ends))
	if len(partitions) == 0 {
		return true, nil
	}
	at, err := s.progress(ctx, logNumber(topic), partitions)
	if err != nil {
		return false, err
	}
	for i, p := range partitions {
		if at[i] < ends[p] {
			return false, nil
		}
	}
	return true, nil
}
