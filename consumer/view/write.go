package view

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Entry is one record on its way into the view.
type Entry struct {
	ID      string
	Value   []byte // the prediction's JSON with its stamp
	Decided Decided
	// When each key expires; zero: it already has and is not written.
	PredictionExpires time.Time
	DecidedExpires    time.Time
}

// Written counts what became of entries, by prediction:<id>.
type Written struct {
	Written int
	Stale   int // the view holds the same record or a newer one
}

// newerLua says whether a record replaces what a key holds. Numbers stay below
// 2^53, exact in Lua. Of an old stamp that cannot be read nothing is kept.
const newerLua = `
local function newer(stamp, p, o, l, d, g)
  local op, oo, ol, od, og = string.match(stamp, '^%D*(%d+)%D+(%d+)%D+(%d+)%D+(%d+)%D+(%d+)$')
  if not op or tonumber(ol) ~= l then return true end
  op, oo, od, og = tonumber(op), tonumber(oo), tonumber(od), tonumber(og)
  if op == p then return o > oo or (o == oo and g > og) end
  return d > od or (d == od and p > op)
end
`

// stampLua reads the stamp at the end of prediction:<id>; 192 bytes hold the
// longest there can be.
const stampLua = `
local function predictionStamp(key)
  local tail = redis.pcall('GETRANGE', key, -192, -1)
  if type(tail) ~= 'string' then return '' end
  return string.match(tail, ',"view":{([^{}]*)}}$') or ''
end
`

// Each script takes many keys and, for each, the five numbers of its stamp, when
// it expires and what to write. It returns how many it wrote.
const (
	writePredictionsLua = newerLua + stampLua + `
local written = 0
for i, key in ipairs(KEYS) do
  local a = (i - 1) * 7
  if newer(predictionStamp(key), tonumber(ARGV[a+1]), tonumber(ARGV[a+2]), tonumber(ARGV[a+3]), tonumber(ARGV[a+4]), tonumber(ARGV[a+5])) then
    redis.call('SET', key, ARGV[a+7], 'PXAT', ARGV[a+6])
    written = written + 1
  end
end
return written
`
	// A claim by an outcome, another field of the hash, stays where it is.
	writeDecidedLua = newerLua + `
local written = 0
for i, key in ipairs(KEYS) do
  local a = (i - 1) * 14
  local stamp = redis.pcall('HGET', key, 'view')
  if type(stamp) == 'table' then redis.call('DEL', key) end
  if type(stamp) ~= 'string' then stamp = '' end
  if newer(stamp, tonumber(ARGV[a+1]), tonumber(ARGV[a+2]), tonumber(ARGV[a+3]), tonumber(ARGV[a+4]), tonumber(ARGV[a+5])) then
    redis.call('HSET', key, 'default_probability', ARGV[a+7], 'model_version', ARGV[a+8], 'decision', ARGV[a+9],
      'sex', ARGV[a+10], 'marriage', ARGV[a+11], 'education', ARGV[a+12], 'age_band', ARGV[a+13], 'view', ARGV[a+14])
    redis.call('PEXPIREAT', key, ARGV[a+6])
    written = written + 1
  end
end
return written
`
)

// Write puts entries into the view, each only where it is newer than what is
// there, in one pipelined round trip. After an error some may have been written;
// writing all of them again is safe.
func (s *Store) Write(ctx context.Context, entries []Entry) (Written, error) {
	var (
		w           Written
		pipe        = s.client.Pipeline()
		predictions []*redis.Cmd
	)
	for chunk := range slices.Chunk(entries, s.chunk) {
		// First, so that whoever finds a prediction finds what was decided, too.
		keys, args := make([]string, 0, len(chunk)), make([]any, 0, 14*len(chunk))
		for i := range chunk {
			if e := &chunk[i]; !e.DecidedExpires.IsZero() {
				d := &e.Decided
				keys = append(keys, decidedKey+e.ID)
				args = append(stampArgs(args, d.Stamp, e.DecidedExpires),
					strconv.FormatFloat(float64(d.Probability), 'g', -1, 32), d.ModelVersion, d.Decision,
					d.Sex, d.Marriage, d.Education, d.AgeBand, d.Stamp.String())
			}
		}
		if len(keys) > 0 {
			pipe.Eval(ctx, writeDecidedLua, keys, args...)
		}
		keys, args = make([]string, 0, len(chunk)), make([]any, 0, 7*len(chunk))
		for i := range chunk {
			if e := &chunk[i]; !e.PredictionExpires.IsZero() {
				keys = append(keys, predictionKey+e.ID)
				args = append(stampArgs(args, e.Decided.Stamp, e.PredictionExpires), e.Value)
			}
		}
		if len(keys) > 0 {
			w.Stale += len(keys)
			predictions = append(predictions, pipe.Eval(ctx, writePredictionsLua, keys, args...))
		}
	}
	if pipe.Len() == 0 {
		return w, nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return Written{}, fmt.Errorf("writing to Redis: %w", err)
	}
	for _, c := range predictions {
		n, err := c.Int()
		if err != nil {
			return Written{}, fmt.Errorf("writing to Redis: %w", err)
		}
		w.Written += n
	}
	w.Stale -= w.Written
	return w, nil
}

func stampArgs(args []any, s Stamp, expires time.Time) []any {
	return append(args, s.Partition, s.Offset, s.Log, s.DecidedUS, s.Generation, expires.UnixMilli())
}
