package view

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/creditstream/creditstream/consumer/labels"
)

// Claim is an outcome that looks for its decision. Outcome names it by where it
// stands: the same name again is the same outcome, read twice.
type Claim struct {
	ID      string // of the application
	Outcome string // without blanks
	Of      labels.Outcome
}

// Claimed is what an outcome is of. What follows Found says something where that is
// labels.Matched.
type Claimed struct {
	Found        labels.Found
	First        bool // no other outcome claimed the decision before
	Probability  float32
	ModelVersion string
	Decision     string
}

// claimLua notes for each key whose the decision is whose line begins with ARGV[2i-1]:
// the first outcome's that asks, ARGV[2i]. What that outcome claimed of the other
// decisions, when fewer of them were known, it gives back. It answers with whose the
// decision is now, or nothing where it is not kept any more.
const claimLua = decidedLua + `
local result = {}
for i, key in ipairs(KEYS) do
  local target, outcome = ARGV[2 * i - 1], ARGV[2 * i]
  local old = redis.pcall('GET', key)
  local owner, kept, changed = '', {}, false
  if type(old) == 'string' then
    for line in string.gmatch(old, '[^\n]+') do
      if string.sub(line, 1, #target) == target then
        owner = whose(line)
        if owner == '' then line, owner, changed = line .. outcome, outcome, true end
      elseif numbers(line) and whose(line) == outcome then
        line, changed = string.sub(line, 1, -1 - #outcome), true
      end
      kept[#kept + 1] = line
    end
  end
  if changed then redis.call('SET', key, table.concat(kept, '\n'), 'KEEPTTL') end
  result[i] = owner
end
return result
`

// claimRounds is how often decisions are looked up that were no longer kept when
// they were to be claimed.
const claimRounds = 3

// Claim joins outcomes with decisions: an outcome with the one that it is of, see
// labels.Find, and of a decision only the first outcome that claims it, and that one
// as often as it does. A claim stays for as long as what was decided does.
func (s *Store) Claim(ctx context.Context, claims []Claim) ([]Claimed, error) {
	answers := make([]Claimed, len(claims))
	left := make([]int, len(claims))
	for i := range left {
		left[i] = i
	}
	for range claimRounds {
		if len(left) == 0 {
			return answers, nil
		}
		decided, err := s.decisions(ctx, claims, left)
		if err != nil {
			return nil, err
		}
		if left, err = s.claim(ctx, claims, left, decided, answers); err != nil {
			return nil, err
		}
	}
	if len(left) > 0 {
		return nil, errors.New("claiming decisions in Redis: they change as fast as they are claimed")
	}
	return answers, nil
}

// decisions are what is kept of the claims' applications.
func (s *Store) decisions(ctx context.Context, claims []Claim, of []int) (map[string][]kept, error) {
	pipe := s.client.Pipeline()
	whose := s.askWhose(ctx, pipe)
	asked := make(map[string]*redis.StringCmd, len(of))
	for _, i := range of {
		if id := claims[i].ID; asked[id] == nil {
			asked[id] = pipe.Get(ctx, s.keys.decided(id))
		}
	}
	_, _ = pipe.Exec(ctx) // each command says what became of it
	if err := s.checkOwn(whose); err != nil {
		return nil, err
	}
	decided := make(map[string][]kept, len(asked))
	for id, cmd := range asked {
		stored, err := cmd.Result()
		switch {
		case errors.Is(err, redis.Nil) || err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE"):
			continue
		case err != nil:
			return nil, fmt.Errorf("looking up decisions in Redis: %w", err)
		}
		if all, ok := parseDecided(stored); ok { // what the view did not write is no decision
			decided[id] = all
		}
	}
	return decided, nil
}

// claim answers those claims of which the decision is known, and claims it. It
// returns those whose decision was kept when it was looked up, and is no more.
func (s *Store) claim(ctx context.Context, claims []Claim, of []int, decided map[string][]kept, answers []Claimed) (gone []int, err error) {
	type match struct {
		claim int
		kept  *kept
	}
	var matches []match
	for _, i := range of {
		all := decided[claims[i].ID]
		d, found := labels.Find(claims[i].Of, lastFirst(all))
		answers[i] = Claimed{Found: found}
		if found != labels.Matched {
			continue
		}
		k := &all[slices.IndexFunc(all, func(k kept) bool { return k.label() == d })]
		answers[i] = Claimed{Found: found, Probability: k.Probability, ModelVersion: k.ModelVersion, Decision: k.Decision}
		matches = append(matches, match{i, k})
	}
	if len(matches) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	var asked []*redis.Cmd
	for chunk := range slices.Chunk(matches, s.chunk) {
		keys, args := make([]string, len(chunk)), make([]any, 0, 2*len(chunk))
		for i, m := range chunk {
			keys[i] = s.keys.decided(claims[m.claim].ID)
			args = append(args, m.kept.target(), claims[m.claim].Outcome)
		}
		asked = append(asked, pipe.Eval(ctx, claimLua, keys, args...))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("claiming decisions in Redis: %w", err)
	}
	next := 0
	for _, cmd := range asked {
		owners, err := cmd.StringSlice()
		if err != nil {
			return nil, fmt.Errorf("claiming decisions in Redis: %w", err)
		}
		for _, owner := range owners {
			i := matches[next].claim
			next++
			if answers[i].First = owner == claims[i].Outcome; owner == "" {
				gone = append(gone, i)
			}
		}
	}
	return gone, nil
}

// Passed says whether the view holds everything of a log of predictions that lies
// below the partitions' ends. topic is the id that Kafka gave the topic. Without
// partitions it holds nothing: every topic has one.
func (s *Store) Passed(ctx context.Context, topic [16]byte, ends map[int32]int64) (bool, error) {
	partitions := slices.Collect(maps.Keys(ends))
	if len(partitions) == 0 {
		return false, nil
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
