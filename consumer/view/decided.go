package view

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/creditstream/creditstream/consumer/labels"
	"github.com/creditstream/creditstream/schemas"
)

// Decided is what is kept of a prediction, longer than the prediction itself,
// for the outcome that comes later. Groups are the contract's codes as text, or
// "missing".
type Decided struct {
	Probability  float32
	ModelVersion string
	Decision     string
	Sex          string
	Marriage     string
	Education    string
	AgeBand      string
	Appended     int64 // when the log took the prediction, Unix milliseconds
	Stamp        Stamp
}

// decidedOf is what is kept of a prediction.
func decidedOf(p *schemas.Prediction, appended time.Time, stamp Stamp) Decided {
	group := func(feature int) string { return schemas.Group(feature, p.Features[feature]) }
	return Decided{
		Probability: p.DefaultProbability, ModelVersion: p.ModelVersion, Decision: p.Decision,
		Sex: group(schemas.FeatureSex), Marriage: group(schemas.FeatureMarriage),
		Education: group(schemas.FeatureEducation), AgeBand: group(schemas.FeatureAge),
		Appended: max(0, appended.UnixMilli()), Stamp: stamp,
	}
}

// appendLine appends a decision as <prefix>:decided:<id> holds it, a line without
// its end: partition/offset/log/decided in microseconds/generation/appended in
// milliseconds, what was decided, and last whose it is, an outcome's name or nothing.
func (d *Decided) appendLine(b []byte) []byte {
	b = strconv.AppendInt(append(d.Stamp.append(b), '/'), d.Appended, 10)
	b = strconv.AppendFloat(append(b, '\t'), float64(d.Probability), 'g', -1, 32)
	for _, text := range [...]string{d.ModelVersion, d.Decision, d.Sex, d.Marriage, d.Education, d.AgeBand} {
		b = append(b, '\t')
		if strings.ContainsAny(text, "%\t\n") {
			text = escapes.Replace(text)
		}
		b = append(b, text...)
	}
	return append(b, '\t')
}

// escapes keep a text within its field.
var escapes = strings.NewReplacer("%", "%25", "\t", "%09", "\n", "%0A")

// kept is one line of what is kept of an application's decisions.
type kept struct {
	Decided
	outcome string // whose it is; "": nobody's yet
	// forgotten stands for all decisions before those kept: the first of them.
	forgotten *labels.Decision
}

// target begins the line.
func (k *kept) target() string {
	s := k.Stamp
	return strconv.FormatInt(int64(s.Partition), 10) + "/" + strconv.FormatInt(s.Offset, 10) + "/" + strconv.FormatUint(uint64(s.Log), 10) + "/"
}

func (k *kept) label() labels.Decision {
	if k.forgotten != nil {
		return *k.forgotten
	}
	return labels.Decision{Decided: schemas.Timestamp(k.Stamp.DecidedUS), Appended: k.Appended, Partition: k.Stamp.Partition, Offset: k.Stamp.Offset}
}

// parseDecided reads what a key holds, the last decision first.
func parseDecided(stored string) (all []kept, ok bool) {
	_, lines, _ := strings.Cut(stored, "\n") // how many there are
	for line := range strings.SplitSeq(lines, "\n") {
		k, ok := parseLine(line)
		if !ok {
			return nil, false
		}
		all = append(all, k)
	}
	return all, len(all) > 0 && all[0].forgotten == nil
}

func parseLine(line string) (k kept, ok bool) {
	fields := strings.Split(line, "\t")
	if fields[0] == "-" && len(fields) == 2 {
		decided, appended, _ := strings.Cut(fields[1], "/")
		d, e0 := strconv.ParseInt(decided, 10, 64)
		a, e1 := strconv.ParseInt(appended, 10, 64)
		k.forgotten = &labels.Decision{Decided: schemas.Timestamp(d), Appended: a, Partition: labels.Forgotten}
		return k, e0 == nil && e1 == nil
	}
	numbers, appended, cut := cutLast(fields[0], "/")
	stamp, ok := parseStamp(numbers)
	a, e0 := strconv.ParseInt(appended, 10, 64)
	if !ok || !cut || e0 != nil || len(fields) != 9 {
		return k, false
	}
	p, e1 := strconv.ParseFloat(fields[1], 32)
	k.Decided = Decided{Probability: float32(p), Appended: a, Stamp: stamp}
	for i, to := range [...]*string{&k.ModelVersion, &k.Decision, &k.Sex, &k.Marriage, &k.Education, &k.AgeBand} {
		text, err := url.PathUnescape(fields[2+i])
		if err != nil {
			return k, false
		}
		*to = text
	}
	k.outcome = fields[8]
	return k, e1 == nil
}

// cutLast cuts at the last separator.
func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}

// Decided is what is kept of an application's last decision.
func (s *Store) Decided(ctx context.Context, id string) (d Decided, found bool, err error) {
	all, err := s.Decisions(ctx, id)
	if err != nil || len(all) == 0 {
		return d, false, err
	}
	return all[0], true, nil
}

// Decisions is what is kept of an application's decisions, the last first, at most
// labels.Kept.
func (s *Store) Decisions(ctx context.Context, id string) ([]Decided, error) {
	pipe := s.client.Pipeline()
	whose, asked := s.askWhose(ctx, pipe), pipe.Get(ctx, s.keys.decided(id))
	_, _ = pipe.Exec(ctx) // each command says what became of it
	if err := s.checkOwn(whose); err != nil {
		return nil, err
	}
	stored, err := asked.Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking up what was decided: %w", err)
	}
	all, ok := parseDecided(stored)
	if !ok {
		return nil, fmt.Errorf("looking up what was decided: %s… was not written by the view", s.keys.decisions)
	}
	var decisions []Decided
	for i := range all {
		if all[i].forgotten == nil {
			decisions = append(decisions, all[i].Decided)
		}
	}
	return decisions, nil
}

// lastFirst are the decisions as the rule wants them.
func lastFirst(all []kept) iter.Seq[labels.Decision] {
	return func(yield func(labels.Decision) bool) {
		for i := range all {
			if !yield(all[i].label()) {
				return
			}
		}
	}
}

// decidedLua takes what <prefix>:decided:<id> holds apart: how many decisions, a line
// each, the last first, and a line about those that are forgotten, if any are.
const decidedLua = `
local line6 = '(%d+)/(%d+)/(%d+)/(%-?%d+)/(%d+)/(%d+)\t'
local function numbers(line) return string.match(line, '^' .. line6) end
local function top(value) return string.match(value, '^(%d+)\n' .. line6) end
local function whose(line) return string.match(line, '[^\t]*$') end
local function first(line) return string.match(line, '^%-\t(%-?%d+)/(%d+)$') end
`

// writeDecidedLua takes many keys and, for each, the numbers of the decision's
// line, when it expires, up to when decisions are not kept any more, the line, and
// once how many are kept. A decision comes to stand in its place, once: one that is
// there keeps whose it is, and takes the line of a later generation. What is of
// another log goes, and so does what is before the last that are kept: of those the
// first stays known. It returns how many keys it wrote. Mostly a decision is the last
// or is there already: then no line is looked at but the first and the one that goes.
const writeDecidedLua = decidedLua + `
local most, written = tonumber(ARGV[#ARGV]), 0

local function later(p, o, d, sp, so, sd)
  if d ~= sd then return d > sd end
  if p ~= sp then return p > sp end
  return o > so
end

-- cutLast is where the last of the lines begins.
local function cutLast(lines)
  local from = math.max(1, #lines - 255)
  local cut = string.match(string.sub(lines, from), '^.*\n()')
  if cut then return from + cut - 1 end
  return string.match(lines, '^.*\n()') -- a long line
end

-- whole is what to write: n lines, the last decision first, without those that are
-- too many or too old, which are forgotten.
local function whole(lines, n, since, fd, fa)
  while n > 1 do
    local cut = cutLast(lines)
    local _, _, _, d, _, at = numbers(string.sub(lines, cut))
    d, at = tonumber(d), tonumber(at)
    if n <= most and at >= since then break end
    fd, fa = math.min(fd or d, d), math.min(fa or at, at)
    lines, n = string.sub(lines, 1, cut - 2), n - 1
  end
  if fd then return string.format('%d\n%s\n-\t%.0f/%.0f', n, lines, fd, fa) end
  return n .. '\n' .. lines
end

for i, key in ipairs(KEYS) do
  local p, o, l, d, g, at, expires, since, line = unpack(ARGV, (i - 1) * 9 + 1, i * 9)
  local old, n, sp, so, sl, sd, sg = redis.pcall('GET', key), nil, nil, nil, nil, nil, nil
  if type(old) == 'string' then n, sp, so, sl, sd, sg = top(old) end
  if not n or sl ~= l then
    redis.call('SET', key, '1\n' .. line, 'PXAT', expires)
    written = written + 1
  elseif sp ~= p or so ~= o or tonumber(g) > tonumber(sg) then
    local np, no, nd = tonumber(p), tonumber(o), tonumber(d)
    local begin, cut = #n + 2, string.find(old, '\n-\t', 1, true)
    local lines, fd, fa = nil, nil, nil
    n = tonumber(n)
    if cut then
      lines, fd, fa = string.sub(old, begin, cut - 1), first(string.sub(old, cut + 1))
      fd, fa = tonumber(fd), tonumber(fa)
    else
      lines = string.sub(old, begin)
    end
    local isLast = later(np, no, nd, tonumber(sp), tonumber(so), tonumber(sd))
    if isLast then
      lines, n = line .. '\n' .. lines, n + 1
    else
      local kept, placed = {}, false
      for stored in string.gmatch(lines, '[^\n]+') do
        sp, so, sl, sd, sg = numbers(stored)
        if sp == p and so == o then
          placed = true
          if tonumber(g) > tonumber(sg) then stored = line .. whose(stored) end
        elseif not placed and later(np, no, nd, tonumber(sp), tonumber(so), tonumber(sd)) then
          placed = true
          kept[#kept + 1] = line
        end
        kept[#kept + 1] = stored
      end
      if not placed then kept[#kept + 1] = line end
      lines, n = table.concat(kept, '\n'), #kept
    end
    local value = whole(lines, n, tonumber(since), fd, fa)
    if isLast then
      redis.call('SET', key, value, 'PXAT', expires)
      written = written + 1
    elseif value ~= old then
      redis.call('SET', key, value, 'KEEPTTL') -- the last decision's
      written = written + 1
    end
  end
end
return written
`

// sweepDecidedLua removes the decisions that a rebuild would have seen, had the log
// still held them, and the keys that have none left. ARGV: log, generation, then
// partition and end of each.
const sweepDecidedLua = decidedLua + `
local ends = {}
for i = 3, #ARGV, 2 do ends[ARGV[i]] = tonumber(ARGV[i+1]) end
local removed = 0
for _, key in ipairs(KEYS) do
  local old = redis.pcall('GET', key)
  local kept, n, changed, rest = {}, 0, false, ''
  if type(old) == 'string' then
    for line in string.gmatch(old, '[^\n]+') do
      local p, o, l, d, g = numbers(line)
      if not p then
        if first(line) then rest = '\n' .. line end
      elseif l ~= ARGV[1] or (tonumber(g) < tonumber(ARGV[2]) and ends[p] and tonumber(o) < ends[p]) then
        changed = true
      else
        n = n + 1
        kept[n] = line
      end
    end
  end
  if n == 0 then
    removed = removed + redis.call('DEL', key)
  elseif changed then
    redis.call('SET', key, n .. '\n' .. table.concat(kept, '\n') .. rest, 'KEEPTTL')
  end
end
return removed
`
