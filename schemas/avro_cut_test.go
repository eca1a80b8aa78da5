package schemas

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/avro"
)

// A letter keeps the beginning of a value: whose it was is read of that where it is there,
// by the schema that wrote it.
func TestAvroReader_ReadsTheIDOfWhatWasKept(t *testing.T) {
	notes := `{"name": "notes", "type": "string"},`
	with := func(before string) string { // the contract's schema with a field that it does not know
		text := AvroSchema(EventApplication)
		at := strings.Index(text, before)
		require.Positive(t, at)
		at = strings.LastIndex(text[:at], "{")
		return text[:at] + notes + text[at:]
	}
	a := Application{ApplicationID: "A-000123", AppliedAt: 1}
	features := map[string]any{}
	for i := range FeatureRules {
		features[FeatureRules[i].Name] = FeatureRules[i].Min
	}
	value := map[string]any{"application_id": "A-000123", "applied_at": int64(1), "features": features, "notes": strings.Repeat("x", 100_000)}
	f := func(writer string, body []byte, want string) {
		t.Helper()
		r, err := NewAvroReader(EventApplication, writer)
		require.NoError(t, err)
		id, known := r.CutApplication(body)
		require.Equal(t, want != "", known)
		require.Equal(t, want, id)
	}
	encode := func(writer string) []byte {
		s, err := avro.Parse(writer)
		require.NoError(t, err)
		body, err := s.AppendEncode(nil, value)
		require.NoError(t, err)
		return body
	}
	f(AvroSchema(EventApplication), AppendAvroApplication(nil, &a)[:20], "A-000123")
	behind, before := with(`"applied_at"`), with(`"application_id"`)
	f(behind, encode(behind)[:64<<10], "A-000123")
	f(behind, encode(behind)[:5], "") // cut within the id
	f(before, encode(before)[:64<<10], "")
	f(before, encode(before), "A-000123")
	value["application_id"] = "A\n"
	f(behind, encode(behind), "")
}
