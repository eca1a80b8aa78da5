package producer

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

// uciNames are the columns of the UCI file.
const uciNames = "ID,LIMIT_BAL,SEX,EDUCATION,MARRIAGE,AGE,PAY_0,PAY_2,PAY_3,PAY_4,PAY_5,PAY_6," +
	"BILL_AMT1,BILL_AMT2,BILL_AMT3,BILL_AMT4,BILL_AMT5,BILL_AMT6," +
	"PAY_AMT1,PAY_AMT2,PAY_AMT3,PAY_AMT4,PAY_AMT5,PAY_AMT6,default.payment.next.month"

// contractNames are the contract's names of the features.
func contractNames() []string {
	var names []string
	for _, r := range schemas.FeatureRules {
		names = append(names, r.Name)
	}
	return names
}

func numberedNames() []string {
	var names []string
	for i := range schemas.NumFeatures {
		names = append(names, "X"+strconv.Itoa(i+1))
	}
	return names
}

func TestColumnsAreFoundByAnyOfTheirNames(t *testing.T) {
	t.Parallel()
	f := func(names []string, id, first, label int, wholeID bool) {
		t.Helper()
		c, ok, err := readHeader(names)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, id, c.id)
		require.Equal(t, wholeID, c.wholeID)
		require.Equal(t, label, c.label)
		for i, at := range c.features {
			require.Equal(t, first+i, at, schemas.FeatureRules[i].Name)
			require.Equal(t, names[at], c.names[i], "as the file has it, for messages")
		}
	}
	f(strings.Split(uciNames, ","), 0, 1, 24, false)
	f(strings.Split(strings.ToLower(uciNames), ","), 0, 1, 24, false)
	f(strings.Split(strings.Replace(uciNames, "PAY_0", "PAY_1", 1), ","), 0, 1, 24, false)
	f(strings.Split(strings.Replace(uciNames, "default.payment.next.month", " default payment next month ", 1), ","), 0, 1, 24, false)
	f(contractNames(), -1, 0, -1, false)
	f(append(append([]string{"application_id"}, contractNames()...), "defaulted", "branch"), 0, 1, 24, true)
	f(append(numberedNames(), "Y"), -1, 0, 23, false)
}

func TestWrongColumnsAreNamed(t *testing.T) {
	t.Parallel()
	f := func(want string, names ...string) {
		t.Helper()
		_, ok, err := readHeader(names)
		require.ErrorContains(t, err, want)
		require.True(t, ok, "it is a header, if a wrong one")
	}
	f("column EDUCATION, PAY_AMT6 is missing", strings.Split(strings.NewReplacer("EDUCATION,", "", "PAY_AMT6,", "").Replace(uciNames), ",")...)
	f("columns PAY_0 and PAY_1 are the same", append(strings.Split(uciNames, ","), "PAY_1")...)
	f("columns Y and defaulted are the same", append(contractNames(), "Y", "defaulted")...)
	f("columns ID and application_id are both the id", append(strings.Split(uciNames, ","), "application_id")...)

	_, ok, err := readHeader([]string{"1", "20000", "2"})
	require.NoError(t, err)
	require.False(t, ok, "no header at all")
}
