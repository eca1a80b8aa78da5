package schemas

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// marker is a feature's value that stands nowhere else in its application.
const marker = 1234567

// What an error says of an application, it says to whoever reads dead letters: the
// value of the field that is wrong, and no other feature.
func TestErrorsShowNoOtherFeature(t *testing.T) {
	features := func() string {
		var f Features
		for i, rule := range FeatureRules {
			f[i] = rule.Max
		}
		f[0], f[11], f[22] = marker, marker, marker
		return string(appendFeatures(nil, &f))
	}()
	require.Equal(t, 3, strings.Count(features, strconv.Itoa(marker)))
	quoted := func(s string) string {
		b, err := json.Marshal(s)
		require.NoError(t, err)
		return string(b)
	}
	const id, at = `"application_id":"a"`, `"applied_at":"2026-11-23T10:00:00Z"`
	f := func(value, says string) {
		t.Helper()
		var a Application
		err := DecodeApplication([]byte(value), &a)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), strconv.Itoa(marker))
	}
	object := func(members ...string) string { return "{" + strings.Join(members, ",") + "}" }
	whole := `"features":` + features
	f(object(id, at, whole, whole), "features {…}: must not stand twice")
	f(object(id, at, whole, `"features":[`+features+`]`), "features […]: must not stand twice")
	f(object(id, at, whole, `"features":`+quoted(features)), `features "…": must not stand twice`)
	f(object(id, at, whole, `"x":1`, `"x":`+features), "x {…}: must not stand twice")
	f(object(id, at, whole, `"x":1`, `"x":`+quoted(features)), `x "…": must not stand twice`)
	f(object(id, at, `"features":[`+features+`]`), "features […]: must be an object")
	f(object(id, at, `"features":`+quoted(features)), `features "…": must be an object`)
	f(object(id, at, `"features":"1234567,1,2"`), `features "…": must be an object`)
	f(object(`"application_id":`+features, at, whole), "application_id {…}: must be 1–128 bytes")
	f(object(`"application_id":`+quoted(features), at, whole), `application_id "…": must be 1–128 bytes`)
	f(object(id, `"applied_at":`+features, whole), "applied_at {…}: must be an RFC 3339 time")
	f(object(id, at, strings.Replace(whole, `"sex":2`, `"sex":`+features, 1)), "features.sex {…}: must be a whole number")
	f(object(id, at, strings.Replace(whole, `"sex":2`, `"sex":[1234567]`, 1)), "features.sex […]: must be a whole number")
	f(object(id, at, strings.Replace(whole, `"sex":2`, `"sex":3`, 1)), "features.sex 3: must be a whole number")
	f(object(id, at, strings.Replace(whole, `"sex":2,`, ``, 1)), "features.sex: is required")
	f(object(id, at, strings.TrimSuffix(whole, "}")), "expected , or }")

	// What the API answers with is held to the same.
	var q Request
	for _, value := range []string{object(whole, whole), object(`"features":` + quoted(features)), object(`"features":[` + features + `]`)} {
		err := DecodeRequest([]byte(value), &q)
		require.ErrorContains(t, err, "features")
		require.NotContains(t, err.Error(), strconv.Itoa(marker))
	}
	_, err := DecodeBatchRequest([]byte(`{"applications":`+quoted("["+features+"]")+`}`), nil, 1)
	require.EqualError(t, err, `applications "…": must be an array`)
}

// Read by a schema that it was not written by, a body has features where lengths
// and branches are expected.
func TestAvroErrorsShowNoFeature(t *testing.T) {
	const number = "1234567"
	long := appendAvroLong(nil, marker)
	head := appendAvroLong(appendAvroString(nil, "a"), 0)
	blockless := AppendAvroPrediction(nil, &Prediction{ApplicationID: "a", Channel: ChannelAPI, Decision: Approve})
	reasons := bytes.Index(blockless, appendAvroString(nil, Approve)) + len(appendAvroString(nil, Approve)) + 1 // behind points

	f := func(err error) {
		t.Helper()
		var d *DecodeError
		require.True(t, errors.As(err, &d), "%v", err)
		require.NotContains(t, err.Error(), number)
	}
	var a Application
	var p Prediction
	f(DecodeAvroApplication(long, &a))                                             // a text's length
	f(DecodeAvroApplication(append(bytes.Clone(head), long...), &a))               // a union's branch
	f(DecodeAvroPrediction(append(bytes.Clone(blockless[:reasons]), long...), &p)) // an array's items
	size := append(appendAvroLong(bytes.Clone(blockless[:reasons]), -1), long...)
	f(DecodeAvroPrediction(size, &p)) // a block's size

	other := changed(t, EventApplication, `"fields": [`, `"fields": [{"name": "branch", "type": ["null", "string"], "default": null},`)
	r, err := NewAvroReader(EventApplication, other)
	require.NoError(t, err)
	f(r.Application(long, &a))                                        // a branch of the other's
	f(r.Application(append([]byte{2}, long...), &a))                  // a length
	f(r.Application(append(append([]byte{0}, head...), long...), &a)) // among the features
	err = r.Application(append(append([]byte{0}, head...), long...), &a)
	require.EqualError(t, err, "Avro: features.limit_bal is not what its schema says")
}
