package schemas

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlain_NamesFieldsAndNoTypesOfGo(t *testing.T) {
	type inner struct {
		Figure *float64          `json:"figure"`
		Rows   []int             `json:"rows"`
		Names  map[string]string `json:"names"`
		Passed bool              `json:"passed"`
	}
	var document struct {
		Format int     `json:"format"`
		Text   string  `json:"text"`
		Inner  []inner `json:"inner"`
	}
	for text, want := range map[string]string{
		`{"format":"x"}`:               "format: a string, expected a whole number",
		`{"format":1.5}`:               "format: a number 1.5, expected a whole number",
		`{"text":{}}`:                  "text: an object, expected a string",
		`{"inner":[{"figure":"x"}]}`:   "inner.figure: a string, expected a number",
		`{"inner":[{"rows":{}}]}`:      "inner.rows: an object, expected a list",
		`{"inner":[{"names":[]}]}`:     "inner.names: an array, expected an object",
		`{"inner":[{"passed":"yes"}]}`: "inner.passed: a string, expected true or false",
		`[]`:                           "the whole: an array, expected an object",
	} {
		err := json.Unmarshal([]byte(text), &document)
		require.Error(t, err, text)
		require.EqualError(t, Plain(err), want, text)
	}
	other := errors.New("another")
	require.Equal(t, other, Plain(other))
}
