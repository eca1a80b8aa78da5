package model

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model/shipped"
)

func TestBundleTexts_AreBoundedAndShowThemselves(t *testing.T) {
	for code, ok := range map[string]bool{
		"PAST_DELAY": true, "A": true, "_9": true, strings.Repeat("A", maxCode): true,
		"": false, "past": false, "A B": false, "A\n": false, "É": false, strings.Repeat("A", maxCode+1): false,
	} {
		require.Equal(t, ok, checkCode(code) == nil, "%q", code)
	}
	for text, ok := range map[string]bool{
		"Payments were late": true, "Zahlungsrückstände, 逾期": true, strings.Repeat("ü", maxText): true,
		"": false, "  ": false, "two\nlines": false, "\x1b[31mred": false, "\u202egnorw": false, "\u0085": false, "\xff": false, "\u2028": false,
		strings.Repeat("ü", maxText+1): false,
	} {
		require.Equal(t, ok, checkText(text) == nil, "%q", text)
	}
	require.Equal(t, " [31mred � ok", Clean("\x1b[31mred\n\xff\u202eok"))
	long := Clean(strings.Repeat("ü", maxText+7))
	require.Len(t, []rune(long), maxText)
	require.True(t, strings.HasSuffix(long, "…"))
	require.NoError(t, checkText(long))
}

func TestManifest_RefusesTextsThatAreNone(t *testing.T) {
	for what, change := range map[string][2]string{
		"groups[0].code":      {`"code":"LIMIT"`, `"code":"limit"`},
		"groups[0].text":      {`The credit limit held is low`, `The credit\u001b[2J limit held is low`},
		"tree_inputs[0].name": {`"name":"limit_bal"`, `"name":"\u0007"`},
		"algorithm":           {`sklearn.ensemble`, `\u202esklearn.ensemble`},
	} {
		_, files, err := unpack(shipped.Bundle)
		require.NoError(t, err)
		manifest := strings.ReplaceAll(string(files["manifest.json"]), `": "`, `":"`)
		changed := strings.Replace(manifest, change[0], change[1], 1)
		require.NotEqual(t, manifest, changed, what)
		_, err = parseManifest([]byte(changed))
		require.ErrorContains(t, err, "manifest.json: "+what)
		require.NotContains(t, err.Error(), "\x1b")
	}
}
