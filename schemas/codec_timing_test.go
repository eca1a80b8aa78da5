package schemas

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// timedApplication and timedPrediction are what nearly every record looks like:
// all features there, four reasons, no shadow.
func timedApplication(b *testing.B) (a Application, text []byte) {
	b.Helper()
	require.NoError(b, DecodeApplication([]byte(contractApplication), &a))
	return a, AppendApplication(nil, &a)
}

func timedPrediction(b *testing.B) (p Prediction, text []byte) {
	b.Helper()
	a, _ := timedApplication(b)
	p = Prediction{
		ApplicationID: a.ApplicationID, AppliedAt: a.AppliedAt, DecidedAt: a.AppliedAt + 7879, Channel: ChannelStream,
		DefaultProbability: 0.18342, Decision: Approve, Points: 530,
		Reasons:      []Reason{{"UTILISATION", 0.4121}, {"RECENT_DELAY", 0.1277}, {"LIMIT", 0.08125}, {"PAST_PAYMENTS", 0.013}},
		ModelVersion: "2026-11-23.1", Engine: "native", Route: RouteChampion, RouteRevision: 3, PolicyVersion: "3f9c1a7e",
		Features: a.Features,
	}
	return p, AppendPrediction(nil, &p)
}

// standardApplication and standardPrediction are the events as encoding/json reads
// and writes them: a struct with a field per feature, the fastest form it has.
type standardApplication struct {
	ApplicationID string           `json:"application_id"`
	AppliedAt     Timestamp        `json:"applied_at"`
	Features      standardFeatures `json:"features"`
}

type standardPrediction struct {
	ApplicationID      string           `json:"application_id"`
	AppliedAt          Timestamp        `json:"applied_at"`
	DecidedAt          Timestamp        `json:"decided_at"`
	Channel            string           `json:"channel"`
	DefaultProbability float32          `json:"default_probability"`
	DefaultPrediction  uint8            `json:"default_prediction"`
	Decision           string           `json:"decision"`
	Points             int32            `json:"points"`
	Reasons            []Reason         `json:"reasons"`
	ModelVersion       string           `json:"model_version"`
	Engine             string           `json:"engine"`
	Route              string           `json:"route"`
	RouteRevision      int64            `json:"route_revision"`
	PolicyVersion      string           `json:"policy_version"`
	Shadow             *Shadow          `json:"shadow,omitempty"`
	Features           standardFeatures `json:"features"`
}

type standardFeatures struct {
	LimitBal  *int32 `json:"limit_bal"`
	Sex       *int32 `json:"sex"`
	Education *int32 `json:"education"`
	Marriage  *int32 `json:"marriage"`
	Age       *int32 `json:"age"`
	Pay0      *int32 `json:"pay_0"`
	Pay2      *int32 `json:"pay_2"`
	Pay3      *int32 `json:"pay_3"`
	Pay4      *int32 `json:"pay_4"`
	Pay5      *int32 `json:"pay_5"`
	Pay6      *int32 `json:"pay_6"`
	BillAmt1  *int32 `json:"bill_amt1"`
	BillAmt2  *int32 `json:"bill_amt2"`
	BillAmt3  *int32 `json:"bill_amt3"`
	BillAmt4  *int32 `json:"bill_amt4"`
	BillAmt5  *int32 `json:"bill_amt5"`
	BillAmt6  *int32 `json:"bill_amt6"`
	PayAmt1   *int32 `json:"pay_amt1"`
	PayAmt2   *int32 `json:"pay_amt2"`
	PayAmt3   *int32 `json:"pay_amt3"`
	PayAmt4   *int32 `json:"pay_amt4"`
	PayAmt5   *int32 `json:"pay_amt5"`
	PayAmt6   *int32 `json:"pay_amt6"`
}

// BenchmarkApplicationDecode reads an application, every rule of the contract
// checked; encoding/json checks none.
func BenchmarkApplicationDecode(b *testing.B) {
	want, text := timedApplication(b)
	b.Run("codec=json", func(b *testing.B) {
		b.ReportAllocs()
		var a Application
		for b.Loop() {
			a.ApplicationID = "" // records differ in it
			if err := DecodeApplication(text, &a); err != nil {
				b.Fatal(err)
			}
		}
		require.Equal(b, want, a)
	})
	b.Run("codec=avro", func(b *testing.B) {
		body := AppendAvroApplication(nil, &want)
		b.ReportAllocs()
		var a Application
		for b.Loop() {
			a.ApplicationID = ""
			if err := DecodeAvroApplication(body, &a); err != nil {
				b.Fatal(err)
			}
		}
		require.Equal(b, want, a)
	})
	// Written with a later schema, which is resolved field by field.
	b.Run("codec=avro-resolved", func(b *testing.B) {
		later := strings.Replace(AvroSchema(EventApplication), `"fields": [`, `"fields": [{"name": "branch", "type": "string", "default": ""},`, 1)
		reader, err := NewAvroReader(EventApplication, later)
		require.NoError(b, err)
		body := append([]byte{0}, AppendAvroApplication(nil, &want)...)
		b.ReportAllocs()
		var a Application
		for b.Loop() {
			a.ApplicationID = ""
			if err := reader.Application(body, &a); err != nil {
				b.Fatal(err)
			}
		}
		require.Equal(b, want, a)
	})
	b.Run("codec=encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		var a standardApplication
		for b.Loop() {
			a = standardApplication{}
			if err := json.Unmarshal(text, &a); err != nil {
				b.Fatal(err)
			}
		}
		require.Equal(b, want.Features[22], *a.Features.PayAmt6)
	})
}

// BenchmarkPredictionEncode writes a prediction into memory that is there.
func BenchmarkPredictionEncode(b *testing.B) {
	p, text := timedPrediction(b)
	b.Run("codec=json", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = AppendPrediction(buf[:0], &p)
		}
		require.Equal(b, text, buf)
	})
	b.Run("codec=avro", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = AppendAvroPrediction(buf[:0], &p)
		}
		require.NotEmpty(b, buf)
	})
	b.Run("codec=encoding-json", func(b *testing.B) {
		var s standardPrediction
		require.NoError(b, json.Unmarshal(text, &s))
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			var err error
			if buf, err = json.Marshal(&s); err != nil {
				b.Fatal(err)
			}
		}
		require.Equal(b, string(text), string(buf))
	})
}

// BenchmarkPredictionDecode reads a prediction, as the view and the aggregator do.
func BenchmarkPredictionDecode(b *testing.B) {
	want, text := timedPrediction(b)
	b.Run("codec=json", func(b *testing.B) {
		b.ReportAllocs()
		var p Prediction
		for b.Loop() {
			p.ApplicationID = ""
			if err := DecodePrediction(text, &p); err != nil {
				b.Fatal(err)
			}
		}
		require.Equal(b, want, p)
	})
	b.Run("codec=avro", func(b *testing.B) {
		body := AppendAvroPrediction(nil, &want)
		b.ReportAllocs()
		var p Prediction
		for b.Loop() {
			p.ApplicationID = ""
			if err := DecodeAvroPrediction(body, &p); err != nil {
				b.Fatal(err)
			}
		}
		require.Equal(b, want, p)
	})
	b.Run("codec=encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		var p standardPrediction
		for b.Loop() {
			p = standardPrediction{}
			if err := json.Unmarshal(text, &p); err != nil {
				b.Fatal(err)
			}
		}
		require.Equal(b, want.ApplicationID, p.ApplicationID)
	})
}
