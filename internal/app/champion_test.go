package app

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
)

func TestChampionAt_IsTheOneNamedWhereNoneServed(t *testing.T) {
	read := func(name string) ([]byte, error) {
		require.Equal(t, "shipped", name)
		return shipped.Bundle, nil
	}
	_, err := ChampionAt(&release.History{}, time.Now(), "", read)
	var none *NoChampionError
	require.ErrorAs(t, err, &none)
	champion, err := ChampionAt(&release.History{}, time.Now(), "shipped", read)
	require.NoError(t, err)
	require.NotEmpty(t, champion.ModelVersion)
	require.Equal(t, champion.Reference.Digest(), champion.Digest)
}
