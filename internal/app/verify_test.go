package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
)

func TestVerify_SaysWhichBundleIsNone(t *testing.T) {
	_, newest, err := past(&release.History{}, [][]byte{shipped.Bundle})
	require.NoError(t, err)
	require.EqualValues(t, -1, newest)
	_, _, err = past(&release.History{}, [][]byte{[]byte("no bundle")})
	require.ErrorContains(t, err, "served without a route")
}
