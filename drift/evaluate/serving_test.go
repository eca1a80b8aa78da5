package evaluate

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/schemas"
)

func TestServingIsTheChampionOfTheLiveSet(t *testing.T) {
	var live *release.LiveSet
	digests := 0
	champion := Serving(func() *release.LiveSet { return live }, func(*model.Reference) string { digests++; return "d" })
	require.Nil(t, champion())
	set, err := release.Fixed(shipped.Bundle, model.EngineNative, schemas.DefaultPolicyText)
	require.NoError(t, err)
	live = set
	c := champion()
	require.Equal(t, set.Champion.Version, c.ModelVersion)
	require.Equal(t, "d", c.Digest)
	require.Equal(t, set.Policy, c.Policy)
	require.Same(t, c, champion())
	require.Equal(t, 1, digests)
}
