package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

func TestBodiesAreRequestsTheAPITakes(t *testing.T) {
	dataset, bodies := filepath.Join(t.TempDir(), "uci.csv"), filepath.Join(t.TempDir(), "bodies")
	require.NoError(t, os.WriteFile(dataset, []byte("ID,LIMIT_BAL,…\n"+
		"1,20000,2,2,1,24,2,2,-1,-1,-2,-2,3913,3102,689,0,0,0,0,689,0,0,0,0,1\n"+
		"2,1.2e+05,2,2,2,26,-1,2,0,0,0,2,2682,1725,2682,3272,3455,3261,0,1000,1000,1000,0,2000.0,1\n"), 0o600))
	require.NoError(t, writeBodies(dataset, bodies, 2))
	text, err := os.ReadFile(bodies)
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	require.Len(t, lines, 2)
	var q schemas.Request
	require.NoError(t, schemas.DecodeRequest(lines[0], &q))
	require.Equal(t, int32(20000), q.Features[0])
	require.NoError(t, schemas.DecodeRequest(lines[1], &q))
	require.Equal(t, int32(120000), q.Features[0])
	require.Equal(t, int32(2000), q.Features[22])
	require.Error(t, writeBodies(dataset, bodies, 3), "there are two rows")
	require.Error(t, writeBodies(filepath.Join(t.TempDir(), "none"), bodies, 1))
}
