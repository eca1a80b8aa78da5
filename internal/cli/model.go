package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/creditstream/creditstream/internal/demo"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
)

type modelCmd struct {
	Inspect  modelInspectCmd  `cmd:"" help:"Print what a bundle says of itself."`
	Verify   modelVerifyCmd   `cmd:"" help:"Open a bundle: digests, graph, golden rows."`
	Score    modelScoreCmd    `cmd:"" help:"Score the rows of a CSV file with a bundle; needs no cluster."`
	Release  modelReleaseCmd  `cmd:"" help:"Write a bundle to the models topic, for every replica to have."`
	Route    modelRouteCmd    `cmd:"" help:"Set which versions decide from now on, and under which policy."`
	Rollback modelRollbackCmd `cmd:"" help:"Go back to the last route with another champion."`
	List     modelListCmd     `cmd:"" help:"List the released versions."`
	History  modelHistoryCmd  `cmd:"" help:"List the routes: when, who, why, what."`
	Compare  modelCompareCmd  `cmd:"" help:"Decide the same applications with two versions: which decisions differ, why, and which version is right."`
	Judge    modelJudgeCmd    `cmd:"" help:"Judge the canary or the shadow by the stream: promote, hold or roll back, as the exit code says."`
}

// bundleArg names a bundle.
type bundleArg struct {
	Name string `arg:"" name:"bundle" help:"The bundle's file; shipped: the one inside the binary; demo: the same graph against a reference of the synthetic applicants that produce and the demo emit." placeholder:"FILE|shipped|demo"`
}

// demoName names the bundle that fits the synthetic population.
const demoName = "demo"

func (a bundleArg) read() ([]byte, error) {
	switch a.Name {
	case "shipped":
		return shipped.Bundle, nil
	case demoName:
		m, err := demo.Shipped()
		if err != nil {
			return nil, err
		}
		defer m.Close()
		return demo.Bundle(m)
	}
	return model.ReadFile(a.Name)
}

// modelTime bounds what one of these commands may take on the cluster.
const modelTime = time.Minute

// withinModelTime is the process with that bound.
func withinModelTime(p *process) (*process, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(p.ctx, modelTime)
	return p.with(ctx), cancel
}

// printJSON prints one JSON document on one line.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

type modelInspectCmd struct {
	Bundle bundleArg `embed:""`
	JSON   bool      `help:"Print JSON." name:"json"`
}

// inspected is what `model inspect --json` prints.
type inspected struct {
	Version       string            `json:"version"`
	Digest        string            `json:"digest"`
	Bytes         int               `json:"bytes"`
	CreatedAt     time.Time         `json:"created_at"`
	Algorithm     string            `json:"algorithm"`
	Inputs        []string          `json:"inputs"` // that feed a node
	ExpectedValue float64           `json:"expected_value"`
	Groups        []inspectedGroup  `json:"groups"`
	ReferenceRows int64             `json:"reference_rows"`
	Unwatched     []model.Unwatched `json:"unwatched"` // features of which drift cannot be seen
	Training      json.RawMessage   `json:"training"`
	Metrics       json.RawMessage   `json:"metrics"`
	Forced        json.RawMessage   `json:"forced"`
}

type inspectedGroup struct {
	Code   string   `json:"code"`
	Text   string   `json:"text"`
	Inputs []string `json:"inputs"`
}

// Run prints the manifest's facts. The graph is not looked at: verify does that.
func (c *modelInspectCmd) Run(p *process) error {
	bundle, err := c.Bundle.read()
	if err != nil {
		return err
	}
	m, reference, err := model.ReadManifest(bundle)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Bundle.Name, err)
	}
	out := inspected{
		Version: m.Version, Digest: model.Digest(bundle), Bytes: len(bundle), CreatedAt: m.CreatedAt, Algorithm: m.Algorithm,
		Inputs: m.UsedInputs, ExpectedValue: m.ExpectedValue, ReferenceRows: reference.Rows, Unwatched: reference.Unwatched(),
		Training: m.Training, Metrics: m.Metrics, Forced: m.Forced,
	}
	for _, g := range m.Groups {
		one := inspectedGroup{Code: g.Code, Text: g.Text, Inputs: []string{}}
		for _, in := range m.TreeInputs {
			if in.Group == g.Code {
				one.Inputs = append(one.Inputs, in.Name)
			}
		}
		out.Groups = append(out.Groups, one)
	}
	if c.JSON {
		return printJSON(p.stdout, out)
	}
	return out.print(p.stdout, m)
}

func (i *inspected) print(to io.Writer, m *model.Manifest) error {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "version\t%s\ndigest\t%s\nbytes\t%d\ncreated\t%s\nalgorithm\t%s\n", i.Version, i.Digest, i.Bytes, i.CreatedAt.Format(time.RFC3339), i.Algorithm)
	fmt.Fprintf(w, "inputs\t%d of %d: %s\n", len(i.Inputs), len(m.Inputs), strings.Join(i.Inputs, " "))
	unused := slices.DeleteFunc(slices.Clone(m.Inputs), func(name string) bool { return slices.Contains(i.Inputs, name) })
	fmt.Fprintf(w, "not used\t%s\n", strings.Join(unused, " "))
	fmt.Fprintf(w, "base\t%.6f log-odds\nreference\t%d rows\n", i.ExpectedValue, i.ReferenceRows)
	for _, u := range i.Unwatched {
		fmt.Fprintf(w, "not watched\t%s: %s\n", u.Feature, u.Why)
	}
	for _, g := range i.Groups {
		fmt.Fprintf(w, "reason %s\t%s (%s)\n", g.Code, g.Text, strings.Join(g.Inputs, " "))
	}
	gates, broken := m.Gates()
	metrics := i.Metrics
	if broken == nil {
		metrics = withoutGates(metrics)
	}
	for _, facts := range []struct {
		name string
		text json.RawMessage
	}{{"training", i.Training}, {"metrics", metrics}, {"forced", i.Forced}} {
		if err := printFacts(w, facts.name, facts.text); err != nil {
			return err
		}
	}
	if broken == nil {
		fmt.Fprintf(w, "gates\t%s\n", gates.Verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return printGates(to, gates)
}

// withoutGates are a manifest's metrics less its gates, which have a table.
func withoutGates(metrics json.RawMessage) json.RawMessage {
	var by map[string]json.RawMessage
	if json.Unmarshal(metrics, &by) != nil || by == nil {
		return metrics
	}
	delete(by, "gates")
	rest, err := json.Marshal(by)
	if err != nil {
		return metrics
	}
	return rest
}

// printGates prints every gate that a manifest holds, and those that it lacks.
func printGates(to io.Writer, g model.Gates) error {
	if len(g.All) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "  GATE\tVERDICT\tFIGURE\tLIMIT\tFOUND")
	for _, one := range g.All {
		verdict, figure := "fail", "-"
		switch {
		case one.Passed && one.Unsure:
			verdict = "pass (unsure)"
		case one.Passed:
			verdict = "pass"
		}
		if one.Figure != nil {
			figure = fmt.Sprintf("%.5g", *one.Figure)
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%g\t%s\n", one.Name, verdict, figure, one.Limit, one.Told)
	}
	for _, name := range g.Missing {
		fmt.Fprintf(w, "  %s\tmissing\t-\t-\tit has not been through it\n", name)
	}
	return w.Flush()
}

// printFacts prints a JSON document as a line per value.
func printFacts(w io.Writer, name string, text json.RawMessage) error {
	var inner map[string]json.RawMessage
	if len(text) == 0 || json.Unmarshal(text, &inner) != nil || inner == nil {
		var value bytes.Buffer
		if json.Compact(&value, text) != nil {
			value.WriteString("null")
		}
		_, err := fmt.Fprintf(w, "%s\t%s\n", name, strings.Trim(value.String(), `"`))
		return err
	}
	keys := make([]string, 0, len(inner))
	for k := range inner {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if err := printFacts(w, name+"."+k, inner[k]); err != nil {
			return err
		}
	}
	return nil
}

type modelVerifyCmd struct {
	Bundle bundleArg `embed:""`
	Engine string    `help:"Engine that replays the golden rows: ${enum}. auto is native." enum:"auto,native,onnx" default:"auto"`
	JSON   bool      `help:"Print JSON." name:"json"`
}

// verified is what `model verify --json` prints.
type verified struct {
	OK        bool             `json:"ok"`
	Reason    string           `json:"reason,omitempty"` // why not
	Version   string           `json:"version,omitempty"`
	Digest    string           `json:"digest"`
	Engine    string           `json:"engine"`
	Explains  bool             `json:"explains"` // it may be champion or canary
	Agreement *model.Agreement `json:"agreement,omitempty"`
}

// Run opens the bundle and fails when it cannot be opened.
func (c *modelVerifyCmd) Run(p *process) error {
	bundle, err := c.Bundle.read()
	if err != nil {
		return err
	}
	m, err := model.Parse(bundle, c.Engine)
	out := verified{OK: err == nil, Digest: model.Digest(bundle), Engine: c.Engine}
	if err != nil {
		out.Reason = err.Error()
	} else {
		out.Version, out.Engine, out.Explains, out.Agreement = m.Version, m.Engine, m.Explains() == nil, &m.Agreement
	}
	if c.JSON {
		if printed := printJSON(p.stdout, out); printed != nil {
			return printed
		}
		if err != nil {
			return exitCode(1)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c.Bundle.Name, err)
	}
	fmt.Fprintf(p.stdout, "model %s (%s) holds on the %s engine\n", m.Version, m.Digest, m.Engine)
	fmt.Fprintf(p.stdout, "%d golden rows: probability within %.2g (at most %g), contributions within %.2g (at most %g)\n",
		m.Agreement.Rows, m.Agreement.Probability, model.ProbabilityTolerance, m.Agreement.Contribution, model.ContributionTolerance)
	if err := m.Explains(); err != nil {
		fmt.Fprintf(p.stdout, "it may only be shadow: %s\n", err)
	}
	return nil
}
