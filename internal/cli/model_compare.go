package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/creditstream/creditstream/audit/compare"
	"github.com/creditstream/creditstream/consumer/dataset"
	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/producer"
	"github.com/creditstream/creditstream/schemas"
)

type modelCompareCmd struct {
	Kafka   flags.Kafka   `embed:""`
	Policy  flags.Policy  `embed:""`
	Stretch flags.Stretch `embed:""`

	A        string `arg:"" help:"Version on the models topic, a bundle's file, or shipped: the one inside the binary."`
	B        string `arg:"" help:"Second version, named in the same way; differences are B − A."`
	CSV      string `help:"Decide the rows of this CSV file, not recorded predictions: the UCI file's columns, the contract's, or those of dataset export." name:"csv" type:"path" placeholder:"FILE"`
	Examples int    `help:"How many applications with different decisions to list." default:"5" placeholder:"N"`
	Engine   string `help:"Engine that computes probabilities: ${enum}. auto is native." enum:"auto,native,onnx" default:"auto"`
	JSON     bool   `help:"Print one JSON object." name:"json"`
}

// Help is the second half of model compare --help.
func (modelCompareCmd) Help() string {
	return `Decides the same applications with both, under one policy: --policy, or that of the current route, or with --csv the default policy. The applications are those that were decided from --from until --to, each once, with their outcomes; or the rows of a CSV file, with its label where it has one.

Shows how many decisions differ, which reason groups make the difference, where differences are more frequent than elsewhere, how far apart the scores are, and, where outcomes are known, both AUCs and their difference with its interval (paired, DeLong).

With --csv and two files, or shipped, no cluster is needed.

Examples:
  creditstream model compare 2026-11-23.1 2026-12-01.1 --from 2026-11-01T00:00:00Z
  creditstream model compare shipped dist/new.bundle --csv test.csv --json`
}

// Run compares.
func (c *modelCompareCmd) Run(p *process) error {
	if c.CSV != "" && (c.Stretch.From != "" || c.Stretch.To != "") {
		return flags.Usagef("--csv and --from, --to do not go together: the rows of a file have no time")
	}
	if c.Examples < 0 {
		return flags.Usagef("--examples %d: expected 0 or more", c.Examples)
	}
	source := &modelSource{kafka: &c.Kafka, engine: c.Engine}
	a, err := source.open(p, c.A)
	if err != nil {
		return err
	}
	b, err := source.open(p, c.B)
	if err != nil {
		return err
	}
	policy, err := c.policyInForce(p, source)
	if err != nil {
		return err
	}
	comparer := compare.New(a, b, policy, c.Examples)
	if c.CSV != "" {
		err = fromCSV(p, c.CSV, comparer)
	} else {
		err = c.fromStream(p, comparer)
	}
	if err != nil {
		return err
	}
	result, err := comparer.Result()
	if err != nil {
		return err
	}
	if result.N == 0 {
		return errors.New("there is nothing to compare by: no application was decided in that stretch of time")
	}
	if c.JSON {
		return printJSON(p.stdout, result)
	}
	return result.Print(p.stdout)
}

// policyInForce is the policy that both are compared under.
func (c *modelCompareCmd) policyInForce(p *process, source *modelSource) (*policy.Policy, error) {
	if c.Policy.File == "" && c.CSV == "" {
		h, err := source.released(p)
		if err != nil {
			return nil, err
		}
		if current := h.Current(); current != nil {
			return policy.Parse(current.Route.Policy)
		}
	}
	text, err := c.Policy.Text()
	if err != nil {
		return nil, err
	}
	return policy.Parse(text)
}

// modelSource opens models by version, file or shipped.
type modelSource struct {
	kafka   *flags.Kafka
	engine  string
	history *release.History // nil before a version was asked for
}

func (s *modelSource) released(p *process) (*release.History, error) {
	if s.history == nil {
		h, err := readHistory(p, s.kafka)
		if err != nil {
			return nil, err
		}
		s.history = h
	}
	return s.history, nil
}

func (s *modelSource) open(p *process, name string) (*model.Model, error) {
	bundle, err := s.bundle(p, name)
	if err != nil {
		return nil, err
	}
	m, err := model.Parse(bundle, s.engine)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

func (s *modelSource) bundle(p *process, name string) ([]byte, error) {
	if name == "shipped" {
		return shipped.Bundle, nil
	}
	bundle, err := model.ReadFile(name)
	if err == nil {
		return bundle, nil
	}
	if !errors.Is(err, os.ErrNotExist) || model.CheckVersion(name) != nil {
		return nil, err
	}
	h, err := s.released(p)
	if err != nil {
		return nil, fmt.Errorf("there is no file %s, and whether it is a released version cannot be seen: %w", name, err)
	}
	bundle, ok := h.Bundle(name)
	if !ok {
		return nil, fmt.Errorf("%s is neither a file nor a released version; creditstream model list shows those", name)
	}
	return bundle, nil
}

// fromStream takes in what was decided.
func (c *modelCompareCmd) fromStream(p *process, to *compare.Comparer) error {
	config, err := joined(p, &c.Kafka, c.Stretch, "compare")
	if err != nil {
		return err
	}
	defer frugal()()
	var row compare.Row
	counts, err := dataset.Read(p.ctx, config, func(prediction *schemas.Prediction, defaulted int8) error {
		row = compare.Row{ID: prediction.ApplicationID, Features: prediction.Features, Defaulted: defaulted}
		return to.Add(&row)
	})
	if err == nil {
		warnOpen(p, counts.Open)
	}
	return err
}

// fromCSV takes in the rows of a file.
func fromCSV(p *process, path string, to *compare.Comparer) (err error) {
	rows, err := producer.OpenRows(path, producer.DefaultIDPrefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var app schemas.Application
	for {
		err := rows.Next(&app)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.ctx.Err(); err != nil {
			return err
		}
		if err := to.Add(&compare.Row{ID: app.ApplicationID, Features: app.Features, Defaulted: rows.Defaulted()}); err != nil {
			return err
		}
	}
}
