package cli

import (
	"archive/zip"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/creditstream/creditstream/internal/local"
	"github.com/creditstream/creditstream/model"
	releases "github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
)

// otherVersion writes the shipped graph as another version.
func otherVersion(t *testing.T, version string) (path string) {
	_, reference, err := model.ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	b, err := model.WithReference(shipped.Bundle, version, reference)
	require.NoError(t, err)
	path = filepath.Join(t.TempDir(), version+".bundle")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}

func TestTheFirstReleaseIsRouted(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	t.Setenv("CREDITSTREAM_BROKERS", broker.Addr())
	release := func(bundle string, more ...string) (out released) {
		t.Helper()
		code, stdout, errs := creditstream(t, append([]string{"model", "release", bundle, "--first", "--by", "setup", "--json"}, more...)...)
		require.Zero(t, code, errs)
		require.NoError(t, json.Unmarshal([]byte(stdout), &out))
		return out
	}
	code, _, errs := creditstream(t, "topics", "apply")
	require.Zero(t, code, errs)
	first := release("shipped")
	require.False(t, first.Existed)
	require.Equal(t, first.Version, first.Route.Champion)
	require.Zero(t, first.Route.Revision)
	require.Equal(t, "setup", first.Route.By)
	// Started again, and with another bundle: what serves is not touched.
	again := release("shipped")
	require.True(t, again.Existed)
	require.Nil(t, again.Route)
	require.Nil(t, release(otherVersion(t, "v2"), "--ungated", "a test").Route)
	code, out, errs := creditstream(t, "model", "history", "--json")
	require.Zero(t, code, errs)
	require.Equal(t, 1, strings.Count(out, `"revision"`))
	code, out, errs = creditstream(t, "model", "release", "shipped", "--first")
	require.Zero(t, code, errs)
	require.Contains(t, out, "is there already")
	require.NotContains(t, out, "route")
}

// withGates is the shipped graph as another version whose manifest holds verdicts.
func withGates(t *testing.T, version, gates, forced string) (path string) {
	b, err := os.ReadFile(otherVersion(t, version))
	require.NoError(t, err)
	in, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	path = filepath.Join(t.TempDir(), version+".bundle")
	file, err := os.Create(path)
	require.NoError(t, err)
	out := zip.NewWriter(file)
	for _, entry := range in.File {
		r, err := entry.Open()
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		if entry.Name == "manifest.json" {
			var manifest map[string]any
			require.NoError(t, json.Unmarshal(text, &manifest))
			manifest["metrics"].(map[string]any)["gates"] = json.RawMessage(gates)
			manifest["forced"] = json.RawMessage(forced)
			text, err = json.Marshal(manifest)
			require.NoError(t, err)
		}
		w, err := out.CreateHeader(&zip.FileHeader{Name: entry.Name, Method: zip.Store})
		require.NoError(t, err)
		_, err = w.Write(text)
		require.NoError(t, err)
	}
	require.NoError(t, out.Close())
	require.NoError(t, file.Close())
	return path
}

// verdicts are those of every gate: passed, but for those given.
func verdicts(t *testing.T, given ...string) string {
	m := model.Manifest{Metrics: json.RawMessage(`{"gates": [{"name": "data", "passed": true}]}`)}
	g, err := m.Gates()
	require.NoError(t, err)
	require.Len(t, g.Missing, 15)
	for _, name := range append([]string{"data"}, g.Missing...) {
		if !slices.ContainsFunc(given, func(g string) bool { return strings.Contains(g, `"`+name+`"`) }) {
			given = append(given, `{"name": "`+name+`", "passed": true, "figure": 0.001, "limit": 0.01, "told": "within the limit"}`)
		}
	}
	return "[" + strings.Join(given, ",") + "]"
}

func TestInspectShowsTheGatesAsATable(t *testing.T) {
	inspect := func(bundle string) string {
		t.Helper()
		code, out, errs := creditstream(t, "model", "inspect", bundle)
		require.Zero(t, code, errs)
		return out
	}
	out := inspect(withGates(t, "v2", verdicts(t, `{"name": "AUC", "passed": false, "figure": -0.021, "limit": -0.005, "told": "worse"}`,
		`{"name": "score PSI, champion", "passed": true, "figure": null, "limit": 0.25, "told": "no champion yet"}`,
		`{"name": "approval ratio by age", "passed": true, "figure": 0.78, "limit": 0.8, "told": "0.74 to 0.82", "unsure": true}`), "null"))
	require.Regexp(t, `(?m)^  approval ratio by age +pass \(unsure\) +0\.78 +0\.8 `, out)
	require.Regexp(t, `(?m)^gates +failed$`, out)
	require.Regexp(t, `(?m)^  GATE +VERDICT +FIGURE +LIMIT +FOUND$`, out)
	require.Regexp(t, `(?m)^  AUC +fail +-0\.021 +-0\.005 +worse$`, out)
	require.Regexp(t, `(?m)^  score PSI, champion +pass +- +0\.25 +no champion yet$`, out)
	require.Equal(t, 15, strings.Count(out, " pass "))
	require.NotContains(t, out, "metrics.gates")
	require.Contains(t, out, "metrics.test.auc")
	require.Regexp(t, `(?m)^  AUC +missing`, inspect(withGates(t, "v3", `[{"name": "data", "passed": true}]`, "null")))
	out = inspect(otherVersion(t, "v4"))
	require.Regexp(t, `(?m)^gates +none$`, out)
	require.NotContains(t, out, "GATE ")
	require.Contains(t, inspect(withGates(t, "v5", `"passed"`, "null")), "metrics.gates", "what is no list is shown as it is")
}

func TestAReleaseAsksTheGates(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	t.Setenv("CREDITSTREAM_BROKERS", broker.Addr())
	code, _, errs := creditstream(t, "topics", "apply")
	require.Zero(t, code, errs)
	refused := func(args ...string) string {
		t.Helper()
		code, out, errs := creditstream(t, append([]string{"model", "release"}, args...)...)
		require.Equal(t, 1, code, out)
		require.Empty(t, out)
		return errs
	}
	release := func(args ...string) (out released) {
		t.Helper()
		code, text, errs := creditstream(t, append([]string{"model", "release", "--json"}, args...)...)
		require.Zero(t, code, errs)
		require.NoError(t, json.Unmarshal([]byte(text), &out))
		return out
	}
	const worse = `{"name": "AUC", "passed": false, "figure": -0.021, "limit": -0.005, "told": "worse than the champion"}`
	passed, failed := verdicts(t), verdicts(t, worse)
	bad := withGates(t, "bad", failed, "null")
	said := refused(bad)
	require.Contains(t, said, "model bad failed its gates")
	require.Contains(t, said, "AUC: figure -0.021, limit -0.005 (worse than the champion)")
	require.NotContains(t, said, "data:")
	require.Contains(t, refused(bad, "--ungated", "in a hurry"), "failed its gates", "a reason for none is no reason for a failed one")
	require.Contains(t, refused(bad, "--first"), "failed its gates")
	require.Contains(t, refused(withGates(t, "partly", failed, `{"why": "a sandbox", "gates": ["data"]}`)), "AUC: figure")
	require.Contains(t, refused(withGates(t, "odd", `"passed"`, "null")), "metrics.gates")
	plain := otherVersion(t, "plain")
	require.Contains(t, refused(plain), "model plain has been through no gate")
	require.Contains(t, refused(plain, "--ungated", " "), "--ungated is empty")
	require.Contains(t, refused(plain, "--ungated", strings.Repeat("x", 501)), "501 bytes")
	cut := withGates(t, "cut", `[{"name": "AUC", "passed": true, "figure": 0.001, "limit": -0.005, "told": "better"}]`, "null")
	for _, more := range [][]string{nil, {"--ungated", "in a hurry"}} {
		said := refused(append([]string{cut}, more...)...)
		require.Contains(t, said, "model cut has not been through every gate")
		require.Contains(t, said, "lacks data; ONNX Runtime; native engine; golden rows; calibration; ")
		require.Contains(t, said, "score PSI, champion; run retrain/credit-retrain gate")
	}
	good := withGates(t, "good", passed, "null")
	require.Contains(t, refused(good, "--ungated", "in a hurry"), "model good has been through its gates (passed)")
	code, out, errs := creditstream(t, "model", "list", "--json")
	require.Zero(t, code, errs)
	require.Equal(t, "[]\n", out, "nothing was written")

	none, overruled := gated{"none", "tried on a sandbox"}, gated{"forced", "nobody is decided by it"}
	require.Equal(t, gated{Gates: "none"}, release("shipped").gated)
	require.Equal(t, gated{Gates: "passed"}, release(good).gated)
	require.Equal(t, overruled, release(withGates(t, "forced", failed, `{"why": "nobody is decided by it", "gates": ["AUC"]}`)).gated)
	require.Equal(t, none, release(plain, "--ungated", "tried on a sandbox").gated)
	again := release(plain, "--ungated", "another reason")
	require.True(t, again.Existed)
	require.Equal(t, none, again.gated, "the record's reason counts")
	code, out, errs = creditstream(t, "model", "release", plain, "--ungated", "x")
	require.Zero(t, code, errs)
	require.Contains(t, out, "gates none: tried on a sandbox")

	// Written past the command, it is not said to have passed.
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()))
	require.NoError(t, err)
	defer client.Close()
	bundle, err := os.ReadFile(cut)
	require.NoError(t, err)
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "credit.models", Key: []byte("cut"), Value: bundle}).FirstErr())
	code, out, errs = creditstream(t, "model", "list", "--json")
	require.Zero(t, code, errs)
	var all []listed
	require.NoError(t, json.Unmarshal([]byte(out), &all))
	var found []gated
	for _, l := range all {
		found = append(found, l.gated)
	}
	require.Equal(t, []gated{{Gates: "none"}, {Gates: "passed"}, overruled, none}, found[:4])
	require.Equal(t, "incomplete", found[4].Gates)
	require.Contains(t, found[4].GatesWhy, "it lacks data; ONNX Runtime")
	code, out, errs = creditstream(t, "model", "list")
	require.Zero(t, code, errs)
	lines := strings.Split(out, "\n")
	require.Contains(t, lines[0], "GATES")
	require.Contains(t, strings.Fields(lines[2]), "passed")
	require.Contains(t, strings.Fields(lines[3])[1:], "forced")
	require.Contains(t, strings.Fields(lines[4]), "none")
}

func TestModelsAreReleasedRoutedAndRolledBack(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	t.Setenv("CREDITSTREAM_BROKERS", broker.Addr())
	ok := func(args ...string) string {
		t.Helper()
		code, out, errs := creditstream(t, args...)
		require.Zero(t, code, errs)
		return out
	}
	fails := func(says string, args ...string) {
		t.Helper()
		code, _, errs := creditstream(t, args...)
		require.NotZero(t, code)
		require.Contains(t, errs, says)
	}
	usage := func(says string, args ...string) {
		t.Helper()
		code, _, errs := creditstream(t, args...)
		require.Equal(t, 2, code, errs)
		require.Contains(t, errs, says)
	}
	fails("creditstream topics apply", "model", "list")
	ok("topics", "apply")
	require.Equal(t, "[]\n", ok("model", "list", "--json"))
	require.Equal(t, "[]\n", ok("model", "history", "--json"))

	manifest, _, err := model.ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	v1 := manifest.Version
	said := ok("model", "release", "shipped")
	require.Contains(t, said, "released model "+v1)
	require.Contains(t, said, "  creditstream model route --champion "+v1+` --why "released" --brokers `+broker.Addr()+"\n")
	require.Contains(t, ok("model", "release", "shipped"), "is there already")
	for _, v := range []string{"v2", "v3"} {
		ok("model", "release", otherVersion(t, v), "--json", "--ungated", "a test")
	}
	fails("--why", "model", "route", "--champion", v1)
	usage("name its champion", "model", "route", "--canary", v1+"=1%", "--why", "x")
	require.Contains(t, ok("model", "route", "--champion", v1, "--why", "first"), "route revision 0: champion "+v1)
	usage("--expect is not set: the current revision is 0", "model", "route", "--champion", "v2", "--why", "x")
	usage("--expect is not set: the current revision is 0", "model", "rollback", "--why", "x")
	usage("nothing to change", "model", "route", "--expect", "0", "--why", "x")

	policyFile := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(policyFile, []byte(strings.Replace(policy.DefaultText, "0.45", "0.40", 1)), 0o600))
	fails("shadow "+v1+" is the canary itself", "model", "route", "--champion", "v2", "--canary", v1+"=10%", "--shadow", v1, "--expect", "0", "--why", "x")
	var written routeLine
	require.NoError(t, json.Unmarshal([]byte(ok("model", "route", "--champion", "v2", "--canary", v1+"=12.5%", "--shadow", "v3",
		"--policy", policyFile, "--expect", "0", "--by", "risk", "--why", "better", "--json")), &written))
	require.Equal(t, "risk", written.By)
	require.Equal(t, &schemas.Canary{ModelVersion: v1, Share: 0.125}, written.Canary)

	var versions []listed
	require.NoError(t, json.Unmarshal([]byte(ok("model", "list", "--json")), &versions))
	require.Len(t, versions, 3)
	require.Equal(t, []string{"canary"}, versions[0].Serves)
	require.Equal(t, []string{"champion"}, versions[1].Serves)
	require.Equal(t, []string{"shadow"}, versions[2].Serves)
	require.Greater(t, *versions[0].AUC, 0.77)
	require.Equal(t, model.Digest(shipped.Bundle), versions[0].Digest)

	fails("the current revision is", "model", "rollback", "--expect", "0", "--why", "worse")
	fails("can't be used together", "model", "route", "--champion", "v2", "--policy", policyFile, "--same-policy", "--expect", "0", "--why", "x")
	rolled := ok("model", "rollback", "--expect", jsonNumber(written.Revision), "--why", "worse")
	require.True(t, strings.HasPrefix(rolled, "back to the champion and the policy of revision 0\nchampion v2 → "+v1+"\ncanary "+v1+"=12.5% ends\nshadow v3 ends\npolicy "), rolled)
	var history []routeLine
	require.NoError(t, json.Unmarshal([]byte(ok("model", "history", "--json")), &history))
	require.Len(t, history, 3)
	require.Equal(t, v1, history[2].Champion)
	require.NotEmpty(t, history[2].By, "the system's user")
	require.Equal(t, "worse", history[2].Why)
	require.Equal(t, history[0].PolicyVersion, history[2].PolicyVersion)
	require.NotEqual(t, history[1].PolicyVersion, history[2].PolicyVersion)
	require.Contains(t, ok("model", "history"), v1+"=12.5%")
	// A route under the policy in force, and back by its JSON.
	stricterSaid := ok("model", "route", "--policy", policyFile, "--expect", jsonNumber(history[2].Revision), "--why", "stricter")
	require.Regexp(t, "^policy [0-9a-f]{8} → [0-9a-f]{8} \\(decline_from 0.45 → 0.4\\)\nroute revision \\d+: champion "+v1+", canary -, shadow -, policy ", stricterSaid)
	require.Contains(t, ok("model", "route", "--policy", policyFile, "--expect", jsonNumber(history[2].Revision), "--why", "sent again"),
		" is there already (by ")
	require.NoError(t, json.Unmarshal([]byte(ok("model", "history", "--json")), &history))
	stricter := history[3]
	require.NoError(t, json.Unmarshal([]byte(ok("model", "route", "--canary", "v3=1%", "--same-policy",
		"--expect", jsonNumber(stricter.Revision), "--why", "try", "--json")), &written))
	require.Equal(t, stricter.Policy, written.Policy)
	require.Equal(t, v1, written.Champion)
	require.Equal(t, []releases.Difference{{What: "canary", To: "v3=1%"}}, written.Changes)
	require.NoError(t, json.Unmarshal([]byte(ok("model", "rollback", "--expect", jsonNumber(written.Revision), "--why", "worse", "--json")), &written))
	require.Equal(t, "v2", written.Champion)
	require.Equal(t, &rolledBack{To: history[1].Revision, PassedOver: []releases.PassedOver{}, Canary: &schemas.Canary{ModelVersion: "v3", Share: 0.01}}, written.RolledBack)
}

func jsonNumber(n int64) string {
	b, _ := json.Marshal(n) // a number always is JSON
	return string(b)
}

func TestABundleIsInspectedVerifiedAndScored(t *testing.T) {
	code, out, _ := creditstream(t, "model", "inspect", "shipped")
	require.Zero(t, code)
	require.Contains(t, out, "sex marriage age")
	code, out, _ = creditstream(t, "model", "inspect", "shipped", "--json")
	require.Zero(t, code)
	var facts inspected
	require.NoError(t, json.Unmarshal([]byte(out), &facts))
	require.Equal(t, model.Digest(shipped.Bundle), facts.Digest)
	require.Len(t, facts.Inputs, 20)

	code, out, _ = creditstream(t, "model", "verify", "shipped")
	require.Zero(t, code)
	require.Contains(t, out, "golden rows")
	broken := filepath.Join(t.TempDir(), "broken")
	b := bytes.Clone(shipped.Bundle)
	b[len(b)/2] ^= 1
	require.NoError(t, os.WriteFile(broken, b, 0o600))
	code, _, errs := creditstream(t, "model", "verify", broken)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "checksum error")
	code, out, _ = creditstream(t, "model", "verify", broken, "--json")
	require.Equal(t, 1, code)
	var result verified
	require.NoError(t, json.Unmarshal([]byte(out), &result))
	require.False(t, result.OK)
	require.Contains(t, result.Reason, "checksum error")

	in := filepath.Join(t.TempDir(), "in.csv")
	var names []string
	for _, rule := range schemas.FeatureRules {
		names = append(names, rule.Name)
	}
	head := "application_id," + strings.Join(names, ",") + "\n"
	require.NoError(t, os.WriteFile(in, []byte(head+
		"good,90000,2,2,2,34,0,0,0,0,0,0,29239,14027,13559,14331,14948,15549,1518,1500,1000,1000,1000,5000\n"+
		"late,20000,2,2,1,24,4,4,3,3,2,2,19000,19000,19000,19000,19000,19000,0,0,0,0,0,0\n"+
		"thin,,2,2,1,24,,,,,,,,,,,,,,,,,,\n"), 0o600))
	code, out, errs = creditstream(t, "model", "score", "shipped", "--in", in)
	require.Zero(t, code, errs)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 4)
	require.Equal(t, []string{"id", "default_probability", "default_prediction", "decision", "points", "reasons"}, rows[0])
	require.Equal(t, "good approve", rows[1][0]+" "+rows[1][3])
	require.Equal(t, "late decline", rows[2][0]+" "+rows[2][3])
	require.Equal(t, "thin refer", rows[3][0]+" "+rows[3][3])
	require.Contains(t, rows[2][5], "RECENT_DELAY=")
	require.NoError(t, os.WriteFile(in, []byte(head+"x,0"+strings.Repeat(",1", 22)+"\n"), 0o600))
	code, _, errs = creditstream(t, "model", "score", "shipped", "--in", in)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "limit_bal")
}

// A bad record stays in the log forever: it is told of where the log is shown.
func TestRecordsThatCannotBeUsedAreNamedByTheHistory(t *testing.T) {
	broker, err := local.StartKafka("")
	require.NoError(t, err)
	defer broker.Close()
	t.Setenv("CREDITSTREAM_BROKERS", broker.Addr())
	run := func(wanted int, args ...string) (out, errs string) {
		t.Helper()
		code, out, errs := creditstream(t, args...)
		require.Equal(t, wanted, code, errs)
		return out, errs
	}
	run(0, "topics", "apply")
	run(0, "model", "release", "shipped", "--first")
	client, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr()))
	require.NoError(t, err)
	defer client.Close()
	for _, topic := range []string{"credit.routes", "credit.models"} {
		record := &kgo.Record{Topic: topic, Key: []byte("not a version"), Value: []byte("{")}
		require.NoError(t, client.ProduceSync(t.Context(), record).FirstErr())
	}
	out, errs := run(0, "model", "history")
	require.Contains(t, out, "passed over: credit.routes offset ")
	require.Contains(t, out, "passed over: credit.models offset 1: model version \"not a version\"")
	require.NotContains(t, errs, "record ignored")
	out, _ = run(0, "model", "list")
	require.Contains(t, out, "passed over: credit.models offset 1")
	require.NotContains(t, out, "credit.routes")
	_, errs = run(1, "model", "judge")
	require.NotContains(t, errs, "record ignored")
	_, errs = run(1, "model", "judge", "--log-level", "debug")
	require.Contains(t, errs, "record ignored")
	out, _ = run(0, "model", "history", "--json")
	require.True(t, json.Valid([]byte(out)))
}

// A file that is no bundle, settings or policy is not read to its end.
func TestFilesAreReadUpToALimit(t *testing.T) {
	endless := filepath.Join(t.TempDir(), "endless")
	require.NoError(t, os.WriteFile(endless, nil, 0o600))
	require.NoError(t, os.Truncate(endless, 1<<42)) // 4 TB, of which nothing is on the disk
	for _, c := range []struct {
		most string
		args []string
	}{
		{"8323072", []string{"model", "inspect", endless}},
		{"8323072", []string{"model", "verify", endless}},
		{"8323072", []string{"model", "release", endless, "--brokers", "127.0.0.1:1"}},
		{"8323072", []string{"model", "compare", endless, "shipped", "--csv", endless}},
		{"8388608", []string{"model", "route", "--champion", "v1", "--why", "x", "--policy", endless, "--brokers", "127.0.0.1:1"}},
		{"8388608", []string{"model", "inspect", "shipped", "--config", endless}},
	} {
		code, _, errs := creditstream(t, c.args...)
		require.NotZero(t, code, c.args)
		require.Contains(t, errs, "exceeds the "+c.most+"-byte limit", c.args)
	}
}

func TestACanaryIsAVersionAndAShare(t *testing.T) {
	for text, share := range map[string]uint64{"v8=10%": 1000, "v8=0.1": 1000, "v8=0.01%": 1, "v8=0.0001": 1, "v8=33.33%": 3333, "v8=100%": 10000, "v8=1": 10000} {
		var c canaryFlag
		require.NoError(t, c.UnmarshalText([]byte(text)), text)
		require.Equal(t, canaryFlag{"v8", share}, c, text)
	}
	for _, text := range []string{"", "v8", "=10%", "v8=", "v8=%", "v8=0", "v8=0%", "v8=-1%", "v8=101%", "v8=1.1", "v8=0.001%", "v8=1e-2", "v8=1/3", "v8=.", "v8=0x1"} {
		var c canaryFlag
		require.ErrorContains(t, c.UnmarshalText([]byte(text)), "VERSION=SHARE", text)
	}
}

func TestRelease_SaysOfWhichFeaturesDriftCannotBeSeen(t *testing.T) {
	_, reference, err := model.ReadManifest(shipped.Bundle)
	require.NoError(t, err)
	last := &reference.Features[len(reference.Features)-1]
	last.Distribution, last.Missing = model.Distribution{Edges: []float64{}, Counts: []int64{reference.Rows}}, 0
	bundle, err := model.WithReference(shipped.Bundle, "constant", reference)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "constant.bundle")
	require.NoError(t, os.WriteFile(file, bundle, 0o600))
	l := newLender(t)
	said := "drift of pay_amt6 cannot be watched: the reference has every value in one bin"
	require.Contains(t, l.must("model", "release", file, "--ungated", "a test"), said)
	var out released
	require.Zero(t, l.json(&out, "model", "release", file, "--ungated", "a test"))
	require.Equal(t, "pay_amt6", out.Unwatched[0].Feature)
	require.NotContains(t, l.must("model", "release", "shipped"), "cannot be watched")
	code, text, errs := creditstream(t, "model", "inspect", file)
	require.Zero(t, code, errs)
	require.Regexp(t, `not watched +pay_amt6: the reference has`, text)
}
