package apptest

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// trained names the environment variable that names the bundle of a training: the
// candidate of a model's life.
const trained = "CREDITSTREAM_TEST_TRAINED"

// candidateFile is the bundle that is to become the champion: the one of a
// training, which is released as it is, or a rewritten copy of the shipped one,
// which has been through no gate. It says which.
func candidateFile(t *testing.T) (file string, release []string) {
	if file = os.Getenv(trained); file != "" {
		require.FileExists(t, file, "%s must name the bundle of a training; run: make train", trained)
		t.Logf("the candidate is the trained bundle %s", file)
		return file, nil
	}
	t.Logf("the candidate is a rewritten copy of the shipped bundle; %s names a trained one", trained)
	return bundleFile(t, leaning(t, "candidate", 0.5)), []string{"--ungated", "a test"}
}

// releaseAs releases a bundle with these flags and returns its version and what its
// gates came to.
func (g *stage) releaseAs(file string, flags ...string) (version, gates string) {
	var released struct {
		Version string `json:"version"`
		Gates   string `json:"gates"`
	}
	run(g.t, g.with(append([]string{"model", "release", file, "--json"}, flags...)...)...).answer(&released)
	require.NotEmpty(g.t, released.Version)
	return released.Version, released.Gates
}

// asScored holds every decision, and every shadow's, to what the file of the model
// that it names says of the same features, asked apart from any route. files are
// by version.
func (g *stage) asScored(files map[string]string) {
	t := g.t
	records := g.witness.predictions()
	ids := slices.Sorted(maps.Keys(records))
	said := map[string][]float64{}
	rows := g.rows(ids, records)
	for version, file := range files {
		said[version] = scoredBy(t, file, rows, len(ids))
	}
	apart := 0
	for i, id := range ids {
		var d made
		require.NoError(t, json.Unmarshal(records[id].value, &d))
		require.Contains(t, said, d.Version, id)
		require.Equal(t, said[d.Version][i], d.Probability, id)
		if d.Shadow != nil {
			require.Contains(t, said, d.Shadow.Version, id)
			require.Equal(t, said[d.Shadow.Version][i], d.Shadow.Probability, id)
			if d.Shadow.Probability != d.Probability {
				apart++
			}
		}
	}
	require.Positive(t, apart, "the two models never differ: nothing is shown")
}

// rows is a CSV file with the features of these predictions, in this order.
func (g *stage) rows(ids []string, records map[string]decided) (path string) {
	t := g.t
	path = filepath.Join(t.TempDir(), "rows.csv")
	file, err := os.Create(path)
	require.NoError(t, err)
	w := csv.NewWriter(file)
	var names []string
	for _, id := range ids {
		var p struct {
			Features map[string]*int64 `json:"features"`
		}
		require.NoError(t, json.Unmarshal(records[id].value, &p))
		if names == nil {
			names = slices.Sorted(maps.Keys(p.Features))
			require.NoError(t, w.Write(append([]string{"application_id"}, names...)))
		}
		row := []string{id}
		for _, name := range names {
			value, ok := p.Features[name]
			require.True(t, ok, "%s has %s", id, name)
			if value == nil {
				row = append(row, "")
				continue
			}
			row = append(row, strconv.FormatInt(*value, 10))
		}
		require.NoError(t, w.Write(row))
	}
	w.Flush()
	require.NoError(t, w.Error())
	require.NoError(t, file.Close())
	return path
}

// scoredBy are the probabilities that a bundle gives n rows of a CSV file.
func scoredBy(t *testing.T, bundle, rows string, n int) (probabilities []float64) {
	a := run(t, "model", "score", bundle, "--in", rows)
	table, err := csv.NewReader(strings.NewReader(string(a.stdout.bytes()))).ReadAll()
	require.NoError(t, err)
	require.Len(t, table, n+1)
	at := slices.Index(table[0], "default_probability")
	require.GreaterOrEqual(t, at, 0)
	for _, row := range table[1:] {
		p, err := strconv.ParseFloat(row[at], 64)
		require.NoError(t, err)
		probabilities = append(probabilities, p)
	}
	return probabilities
}

// judges weighs the candidate of the route in force, and returns what it says.
func (g *stage) judges(candidate string) (verdict string) {
	t := g.t
	code, a := ends(t, g.with("model", "judge", "--json")...)
	var out struct {
		Verdict   string
		Candidate string
	}
	a.answer(&out)
	require.Equal(t, candidate, out.Candidate)
	verdicts := map[int]string{0: "promote", 3: "hold", 4: "roll back"}
	require.Equal(t, verdicts[code], out.Verdict, "exit code %d", code)
	return out.Verdict
}

// lookedAt holds one decision of every revision to what explain makes of it again,
// and the two models to each other on everything that was decided.
func (g *stage) lookedAt(old, candidate string) {
	t := g.t
	seen := map[string]bool{}
	for _, d := range g.witness.made() {
		is := fmt.Sprint(d.Revision, d.Route)
		if seen[is] {
			continue
		}
		seen[is] = true
		var e struct {
			Reproduction struct{ Result string }
			Model        struct{ Version string }
			Score        probability
			Route        struct{ Revision int64 }
			Shadow       *struct{ Reproduced string }
		}
		run(t, g.with("explain", d.id, "--json")...).answer(&e)
		require.Equal(t, "exact", e.Reproduction.Result, d.id)
		require.Equal(t, d.Version, e.Model.Version, d.id)
		require.Equal(t, d.Revision, e.Route.Revision, d.id)
		require.Equal(t, d.Probability, e.Score.Probability, d.id)
		require.Equal(t, d.Shadow != nil, e.Shadow != nil, d.id)
		if e.Shadow != nil {
			require.Equal(t, "exact", e.Shadow.Reproduced, d.id)
		}
	}
	require.Len(t, seen, 6, "five revisions, one of them with a canary: %v", seen)
	var c struct {
		A, B struct{ Version string }
		N    int
	}
	run(t, g.with("model", "compare", old, candidate, "--json")...).answer(&c)
	require.Equal(t, []string{old, candidate}, []string{c.A.Version, c.B.Version})
	require.Equal(t, len(g.witness.predictions()), c.N)
}
