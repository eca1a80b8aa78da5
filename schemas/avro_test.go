package schemas

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/avro"
)

// anyFeatures draws features; within: of the contract's ranges, else of any.
func anyFeatures(r *rand.Rand, within bool) (f Features) {
	for i, rule := range FeatureRules {
		switch {
		case r.IntN(5) == 0:
			f[i] = Missing
		case within || r.IntN(3) > 0:
			f[i] = rule.Min + int32(r.Int64N(int64(rule.Max)-int64(rule.Min)+1))
		default:
			f[i] = max(int32(r.Uint32()), Missing+1)
		}
	}
	return f
}

func pick(r *rand.Rand, words ...string) string { return words[r.IntN(len(words))] }

func anyPrediction(r *rand.Rand, within bool) *Prediction {
	odd := func(valid string) string {
		if within || r.IntN(3) > 0 {
			return valid
		}
		return pick(r, "", "x", "a\nb", "q\"uote", "\xff", strings.Repeat("ü", 200), "\u0085")
	}
	p := &Prediction{
		ApplicationID: odd(pick(r, "A-1", "ünï-\"\\ ✓", strings.Repeat("i", 128))), AppliedAt: Timestamp(r.Int64N(4e15) - 1e15), DecidedAt: Timestamp(r.Int64N(4e15)),
		Channel: odd(pick(r, ChannelAPI, ChannelStream)), DefaultProbability: r.Float32(), DefaultPrediction: uint8(r.IntN(2)),
		Decision: odd(pick(r, Approve, Refer, Decline)), Points: int32(r.Uint32()), ModelVersion: odd("2026-11-23.1"), Engine: odd(pick(r, "native", "onnx")),
		Route: odd(pick(r, RouteCanary, RouteChampion)), RouteRevision: r.Int64N(math.MaxInt64) - 1, PolicyVersion: odd("3f9c1a7e"),
		Features: anyFeatures(r, within),
	}
	for range r.IntN(MaxReasons + 1) {
		p.Reasons = append(p.Reasons, Reason{odd(pick(r, "LIMIT", "UTILISATION")), r.Float32() * 3})
	}
	if r.IntN(2) == 0 {
		p.Shadow = &Shadow{odd("v2"), r.Float32(), odd(Refer)}
	}
	if !within {
		p.DefaultPrediction = uint8(r.IntN(4))
		p.RouteRevision -= r.Int64N(3)
		p.DefaultProbability *= 1.2
	}
	return p
}

// The same event says the same in both formats, and breaks the same rules in the
// same words.
func TestAvroSaysWhatJSONSays(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	broken := 0
	for i := range 4000 {
		p := anyPrediction(r, i%2 == 0)
		var byJSON, byAvro Prediction
		jsonErr := DecodePrediction(AppendPrediction(nil, p), &byJSON)
		avroErr := DecodeAvroPrediction(AppendAvroPrediction(nil, p), &byAvro)
		require.Equal(t, jsonErr, avroErr)
		if jsonErr == nil {
			require.Equal(t, byJSON.Reasons == nil, byAvro.Reasons == nil)
			require.Equal(t, byJSON, byAvro)
		} else {
			broken++
		}

		a := Application{p.ApplicationID, p.AppliedAt, p.Features}
		var appJSON, appAvro Application
		jsonErr, avroErr = DecodeApplication(AppendApplication(nil, &a), &appJSON), DecodeAvroApplication(AppendAvroApplication(nil, &a), &appAvro)
		require.Equal(t, jsonErr, avroErr)
		if jsonErr == nil {
			require.Equal(t, appJSON, appAvro)
		}

		o := Outcome{p.ApplicationID, p.DefaultPrediction, p.DecidedAt}
		var outJSON, outAvro Outcome
		jsonErr, avroErr = DecodeOutcome(AppendOutcome(nil, &o), &outJSON), DecodeAvroOutcome(AppendAvroOutcome(nil, &o), &outAvro)
		require.Equal(t, jsonErr, avroErr)
		if jsonErr == nil {
			require.Equal(t, outJSON, outAvro)
		}
	}
	require.Greater(t, broken, 1000)
}

// body is an application's with bytes replaced.
func avroBody(t testing.TB) (a Application, body []byte) {
	require.NoError(t, DecodeApplication([]byte(contractApplication), &a))
	return a, AppendAvroApplication(nil, &a)
}

func TestAvroRefuses(t *testing.T) {
	_, body := avroBody(t)
	f := func(body []byte, decode bool, says string) {
		t.Helper()
		var a Application
		err := DecodeAvroApplication(body, &a)
		require.ErrorContains(t, err, says)
		var d *DecodeError
		require.Equal(t, decode, errors.As(err, &d), "%T", err)
	}
	const id = 1 + len("A-000123")
	f(nil, true, "found the end")
	f(body[:len(body)-1], true, "found the end")
	f(append(bytes.Clone(body), 1, 2), true, "Avro byte "+strconv.Itoa(len(body))+": expected the end, found 2 more bytes")
	f([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, true, "at most 10 bytes")
	f(append(appendAvroLong(nil, math.MaxInt64), 'a'), true, "a text that ends within the value")
	f(append(appendAvroLong(nil, -1), 'a'), true, "a text that ends within the value")
	at := appendAvroLong(nil, int64(lastTimestamp)+1)
	rest := body[id+len(appendAvroLong(nil, 1763892000123456)):]
	f(append(append(bytes.Clone(body[:id]), at...), rest...), false, "applied_at 253402300800000000: must be microseconds")
	f(append(append(bytes.Clone(body[:id]), at[:len(at)-1]...), rest...), true, "union")
	var least Application
	value := append(appendAvroLong(appendAvroString(nil, "a"), 0), avroValue<<1)
	value = append(appendAvroLong(value, math.MinInt32), bytes.Repeat([]byte{0}, NumFeatures-1)...)
	require.EqualError(t, DecodeAvroApplication(value, &least), "features.limit_bal -2147483648: must be a whole number, 1 … 2796202, or null")
}

func TestAvroArraysComeInBlocks(t *testing.T) {
	p := anyPrediction(rand.New(rand.NewPCG(1, 1)), true)
	p.Reasons = []Reason{{"A", 1}, {"B", 0.5}, {"C", 0.25}}
	body := AppendAvroPrediction(nil, p)
	item := func(i int) []byte {
		return appendAvroFloat(appendAvroString(nil, p.Reasons[i].Code), p.Reasons[i].Contribution)
	}
	one := appendAvroLong(nil, 3)
	for i := range p.Reasons {
		one = append(one, item(i)...)
	}
	blocks := func(items ...[]byte) []byte { return bytes.Replace(body, append(one, 0), bytes.Join(items, nil), 1) }
	n := func(v int64) []byte { return appendAvroLong(nil, v) }

	var got Prediction
	require.NoError(t, DecodeAvroPrediction(blocks(n(1), item(0), n(-2), n(int64(len(item(1))+len(item(2)))), item(1), item(2), n(0)), &got))
	require.Equal(t, p, &got)
	require.ErrorContains(t, DecodeAvroPrediction(blocks(n(3), item(0), item(0), item(0), n(3), item(0), item(0), item(0), n(0)), &got), "reasons: must have at most 4 items")
	require.ErrorContains(t, DecodeAvroPrediction(blocks(n(1<<60)), &got), "items")
	require.ErrorContains(t, DecodeAvroPrediction(blocks(n(math.MinInt64), n(0)), &got), "items")
	require.ErrorContains(t, DecodeAvroPrediction(blocks(n(-1), n(1<<40), item(0)), &got), "a block whose size")
}

func TestAvroHeader(t *testing.T) {
	value := append(AppendAvroHeader(nil, 0xdeadbeef), 'b')
	require.True(t, IsAvro(value))
	id, body, err := CutAvroHeader(value)
	require.NoError(t, err)
	require.Equal(t, uint32(0xdeadbeef), id)
	require.Equal(t, "b", string(body))
	_, _, err = CutAvroHeader(value[:4])
	require.ErrorContains(t, err, "schema id")
	require.False(t, IsAvro(nil))
	require.False(t, IsAvro([]byte(contractApplication)))
}

func TestAvroCodecsAllocateLittle(t *testing.T) {
	a, body := avroBody(t)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		a.ApplicationID = ""
		_ = DecodeAvroApplication(body, &a)
	}), 1.0)
	var p Prediction
	require.NoError(t, DecodePrediction([]byte(contractPrediction), &p))
	p.Shadow = nil
	buf := AppendAvroPrediction(nil, &p)
	require.Zero(t, testing.AllocsPerRun(100, func() { buf = AppendAvroPrediction(buf[:0], &p) }))
	var again Prediction
	require.NoError(t, DecodeAvroPrediction(buf, &again))
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = DecodeAvroPrediction(buf, &again) }))
}

// changed is the application's schema with a text replaced, once.
func changed(t *testing.T, e Event, old, with string) string {
	require.Contains(t, AvroSchema(e), old)
	return strings.Replace(AvroSchema(e), old, with, 1)
}

const featureOfAge = `          {
            "name": "age",
            "type": [
              "null",
              "int"
            ],
            "doc": "years"
          },
`

func TestAWritersSchemaIsResolved(t *testing.T) {
	a, body := avroBody(t)
	read := func(writer string, body []byte) (got Application, err error) {
		t.Helper()
		r, err := NewAvroReader(EventApplication, writer)
		require.NoError(t, err)
		return got, r.Application(body, &got)
	}
	same := func(writer string, body []byte) {
		t.Helper()
		got, err := read(writer, body)
		require.NoError(t, err)
		require.Equal(t, a, got)
	}
	same(AvroSchema(EventApplication), body)
	same(changed(t, EventApplication, `"doc": "years"`, `"doc": "in years"`), body)

	// Fields that this version does not know, at the top and among the features.
	branchOffice := changed(t, EventApplication, `"fields": [`, `"fields": [{"name": "branch", "type": {"type": "array", "items": "string"}, "default": []},`)
	office := append([]byte{2, 4, 'a', 'b', 0}, body...)
	same(branchOffice, office)
	_, err := read(branchOffice, append(bytes.Clone(office), 7))
	require.ErrorContains(t, err, "expected the end, found 1 more bytes")
	_, err = read(branchOffice, office[:len(office)-1])
	var d *DecodeError
	require.ErrorAs(t, err, &d)
	var broken Application
	broken.ApplicationID = a.ApplicationID
	_, err = read(branchOffice, append([]byte{0}, AppendAvroApplication(nil, &broken)...))
	require.ErrorContains(t, err, "features.limit_bal 0: must be a whole number", "the contract holds for every writer")

	// Another order, and a type that widens into the reader's.
	order := `{"type":"record","name":"Outcome","namespace":"bank","fields":[{"name":"observed_at","type":"long"},{"name":"defaulted","type":"int"},{"name":"application_id","type":"string"}]}`
	r, err := NewAvroReader(EventOutcome, order)
	require.NoError(t, err)
	var o Outcome
	require.NoError(t, r.Outcome(appendAvroString(appendAvroLong(appendAvroLong(nil, 5), 1), "x"), &o))
	require.Equal(t, Outcome{"x", 1, 5}, o)

	// A field that the reader has a default for.
	shadow := AvroSchema(EventPrediction)
	from := strings.Index(shadow, `    {
      "name": "shadow"`)
	to := from + strings.Index(shadow[from:], `"default": null`)
	without := shadow[:from] + shadow[to+strings.Index(shadow[to:], "\n    {")+1:]
	r, err = NewAvroReader(EventPrediction, without)
	require.NoError(t, err)
	p := anyPrediction(rand.New(rand.NewPCG(2, 2)), true)
	p.Shadow, p.Features = nil, a.Features
	value := AppendAvroPrediction(nil, p)
	cut := len(value) - len(appendAvroFeatures(nil, &a.Features)) - 1
	var got Prediction
	require.NoError(t, r.Prediction(append(bytes.Clone(value[:cut]), value[cut+1:]...), &got))
	require.Equal(t, p, &got)
}

func TestUnreadableSchemasAreRefused(t *testing.T) {
	f := func(e Event, writer, says string) {
		t.Helper()
		_, err := NewAvroReader(e, writer)
		require.ErrorContains(t, err, says)
	}
	f(EventApplication, `{"type":`, "is not an Avro schema")
	f(EventApplication, AvroSchema(EventOutcome), "cannot be read as application")
	f(EventApplication, changed(t, EventApplication, featureOfAge, ""), "cannot be read as application: features.age is missing and has no default")
	f(EventApplication, changed(t, EventApplication, "timestamp-micros", "timestamp-millis"), "applied_at is timestamp-millis, expected timestamp-micros")
	f(EventPrediction, changed(t, EventPrediction, `"float"`, `"double"`), "default_probability")
}

func TestFullCompatibilityIsBothWays(t *testing.T) {
	same := AvroSchema(EventApplication)
	require.NoError(t, CheckAvro(same, changed(t, EventApplication, `"fields": [`, `"fields": [{"name": "branch", "type": "string", "default": ""},`)))
	require.ErrorContains(t, CheckAvro(same, changed(t, EventApplication, `"fields": [`, `"fields": [{"name": "branch", "type": "string"},`)), "what it has written could not be read: branch is missing and has no default")
	require.ErrorContains(t, CheckAvro(same, changed(t, EventApplication, featureOfAge, "")), "who reads with it could not read the new: features.age is missing and has no default")
	require.Error(t, CheckAvro("x", same))
	require.Error(t, CheckAvro(same, "x"))
}

// What has been published stays readable, and can read what is published now.
// A changed schema goes into versions/ under the next number, with a value it
// wrote (hex) and what that says (json).
func TestPublishedSchemasStayCompatible(t *testing.T) {
	for e := range NumEvents {
		newest := ""
		for v := 1; ; v++ {
			name := filepath.Join("versions", e.String()+"."+strconv.Itoa(v))
			text, err := os.ReadFile(name + ".avsc")
			if os.IsNotExist(err) {
				require.Greater(t, v, 1)
				break
			}
			require.NoError(t, err)
			newest = string(text)
			require.NoError(t, CheckAvro(newest, AvroSchema(e)), name)

			written, err := os.ReadFile(name + ".hex")
			require.NoError(t, err)
			body, err := hex.DecodeString(strings.TrimSpace(string(written)))
			require.NoError(t, err)
			want, err := os.ReadFile(name + ".json")
			require.NoError(t, err)
			r, err := NewAvroReader(e, newest)
			require.NoError(t, err)
			require.Equal(t, strings.TrimSpace(string(want)), string(asJSON(t, r, e, body)), name)
		}
		require.Equal(t, newest, AvroSchema(e), "%s.avsc has changed: publish it as the next version", e)
	}
}

func asJSON(t *testing.T, r *AvroReader, e Event, body []byte) []byte {
	t.Helper()
	switch e {
	case EventApplication:
		var a Application
		require.NoError(t, r.Application(body, &a))
		return AppendApplication(nil, &a)
	case EventPrediction:
		var p Prediction
		require.NoError(t, r.Prediction(body, &p))
		return AppendPrediction(nil, &p)
	default:
		var o Outcome
		require.NoError(t, r.Outcome(body, &o))
		return AppendOutcome(nil, &o)
	}
}

// refers decodes with the library and says whether all was read.
func refers(s *avro.Schema, body []byte) (v map[string]any, ok bool) {
	var got any
	rest, err := s.Decode(body, &got)
	v, _ = got.(map[string]any)
	return v, err == nil && len(rest) == 0
}

func FuzzDecodeAvroApplication(f *testing.F) {
	_, body := avroBody(f)
	f.Add(body)
	f.Add(body[:20])
	f.Add(append(bytes.Clone(body), 0))
	schema := avro.MustParse(AvroSchema(EventApplication))
	f.Fuzz(func(t *testing.T, body []byte) {
		var a Application
		err := DecodeAvroApplication(body, &a)
		v, ok := refers(schema, body)
		var d *DecodeError
		if errors.As(err, &d) {
			require.False(t, ok, err)
			return
		}
		// The library refuses texts that are no UTF-8; here that breaks a rule.
		if !ok {
			require.ErrorContains(t, err, "UTF-8")
			return
		}
		if err == nil {
			features := v["features"].(map[string]any)
			require.Equal(t, v["application_id"], a.ApplicationID)
			for i, rule := range FeatureRules {
				if a.Features[i] == Missing {
					require.Nil(t, features[rule.Name])
				} else {
					require.Equal(t, features[rule.Name], a.Features[i])
				}
			}
			var again Application
			require.NoError(t, DecodeApplication(AppendApplication(nil, &a), &again), "it can be said in JSON")
			require.Equal(t, a, again)
			encoded, err := schema.Encode(v)
			require.NoError(t, err)
			require.Equal(t, encoded, AppendAvroApplication(nil, &a))
		}
	})
}

func FuzzDecodeAvroPrediction(f *testing.F) {
	f.Add(AppendAvroPrediction(nil, anyPrediction(rand.New(rand.NewPCG(3, 3)), true)))
	f.Add(AppendAvroPrediction(nil, anyPrediction(rand.New(rand.NewPCG(4, 4)), true)))
	schema := avro.MustParse(AvroSchema(EventPrediction))
	f.Fuzz(func(t *testing.T, body []byte) {
		var p, again Prediction
		err := DecodeAvroPrediction(body, &p)
		v, ok := refers(schema, body)
		var d *DecodeError
		if errors.As(err, &d) {
			require.False(t, ok, err)
			return
		}
		if err != nil {
			return
		}
		require.True(t, ok)
		encoded, err := schema.Encode(v)
		require.NoError(t, err)
		require.Equal(t, encoded, AppendAvroPrediction(nil, &p))
		require.NoError(t, DecodePrediction(AppendPrediction(nil, &p), &again))
		require.Equal(t, AppendPrediction(nil, &p), AppendPrediction(nil, &again))
	})
}

// Another schema's values go through the library: neither may panic, and whatever
// comes through keeps the contract.
func FuzzResolveAvro(f *testing.F) {
	_, body := avroBody(f)
	f.Add(append([]byte{2, 4, 'a', 'b', 0}, body...))
	writer := strings.Replace(AvroSchema(EventApplication), `"fields": [`, `"fields": [{"name": "branch", "type": {"type": "array", "items": ["null", "string"]}, "default": []},`, 1)
	r, err := NewAvroReader(EventApplication, writer)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte) {
		var a, again Application
		if r.Application(body, &a) == nil {
			require.NoError(t, DecodeApplication(AppendApplication(nil, &a), &again))
			require.Equal(t, a, again)
		}
	})
}
