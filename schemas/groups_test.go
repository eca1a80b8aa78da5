package schemas

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGroups(t *testing.T) {
	f := func(feature int, value int32, want string) {
		t.Helper()
		require.Equal(t, want, Group(feature, value))
	}
	f(FeatureSex, 2, "2")
	f(FeatureMarriage, 0, "0")
	f(FeatureEducation, Missing, "missing")
	f(FeatureAge, Missing, "missing")
	f(FeatureAge, 18, "18-24")
	f(FeatureAge, 24, "18-24")
	f(FeatureAge, 25, "25-34")
	f(FeatureAge, 44, "35-44")
	f(FeatureAge, 54, "45-54")
	f(FeatureAge, 64, "55-64")
	f(FeatureAge, 65, "65+")
	f(FeatureAge, 120, "65+")
	for i, name := range map[int]string{FeatureSex: "sex", FeatureEducation: "education", FeatureMarriage: "marriage", FeatureAge: "age"} {
		require.Equal(t, name, FeatureRules[i].Name)
	}
}
