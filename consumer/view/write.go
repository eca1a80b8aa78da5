package view

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/creditstream/creditstream/consumer/labels"
)

// Entry is one record on its way into the view.
type Entry struct {
	ID      string
	Value   []byte // the prediction's JSON with its stamp
	Decided Decided
	// When each key expires; zero: it already has and is not written.
	PredictionExpires time.Time
	DecidedExpires    time.Time
	// What was decided about the application and appended before is not kept any
	// more, once a later decision is.
	DecidedSince time.Time
}

// Written counts what became of entries, by prediction:<id>.
type Written struct {
	Written int
	Stale   int // the view holds the same record or a newer one
}

// newerLua says whether a record replaces what a key holds, given the numbers
// of the old stamp. They stay below 2^53, exact in Lua. Of a stamp that cannot be
// read nothing is kept.
const newerLua = `
local function newer(op, oo, ol, od, og, p, o, l, d, g)
  if not op or tonumber(ol) ~= tonumber(l) then return true end
  op, oo, od, og, p, o, d, g = tonumber(op), tonumber(oo), tonumber(od), tonumber(og), tonumber(p), tonumber(o), tonumber(d), tonumber(g)
  if op == p then return o > oo or (o == oo and g > og) end
  return d > od or (d == od and p > op)
end
`

// stampLua reads the numbers of a key's stamp; 192 bytes of a prediction hold
// the longest there can be.
const stampLua = `
local function predictionStamp(key)
  local tail = redis.pcall('GETRANGE', key, -192, -1)
  if type(tail) ~= 'string' or tail == '' then return nil end
  return string.match(tail, ',"view":{"partition":(%d+),"offset":(%d+),"log":(%d+),"decided_us":(%d+),"generation":(%d+)}}$')
end
`

// writePredictionsLua takes many keys and, for each, the five numbers of its stamp,
// when it expires and what to write. It returns how many it wrote.
const writePredictionsLua = newerLua + stampLua + `
local written = 0
for i, key in ipairs(KEYS) do
  local a = (i - 1) * 7
  local op, oo, ol, od, og = predictionStamp(key)
  if newer(op, oo, ol, od, og, ARGV[a+1], ARGV[a+2], ARGV[a+3], ARGV[a+4], ARGV[a+5]) then
    redis.call('SET', key, ARGV[a+7], 'PXAT', ARGV[a+6])
    written = written + 1
  end
end
return written
`

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
		keys, args := make([]string, 0, len(chunk)), make([]any, 0, 9*len(chunk)+1)
		for i := range chunk {
			if e := &chunk[i]; !e.DecidedExpires.IsZero() {
				d := &e.Decided
				keys = append(keys, s.keys.decided(e.ID))
				args = append(args, d.Stamp.Partition, d.Stamp.Offset, d.Stamp.Log, d.Stamp.DecidedUS, d.Stamp.Generation, d.Appended,
					e.DecidedExpires.UnixMilli(), e.DecidedSince.UnixMilli(), d.appendLine(make([]byte, 0, 128)))
			}
		}
		if len(keys) > 0 {
			pipe.Eval(ctx, writeDecidedLua, keys, append(args, labels.Kept)...)
		}
		keys, args = make([]string, 0, len(chunk)), make([]any, 0, 7*len(chunk))
		for i := range chunk {
			if e := &chunk[i]; !e.PredictionExpires.IsZero() {
				keys = append(keys, s.keys.prediction(e.ID))
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
