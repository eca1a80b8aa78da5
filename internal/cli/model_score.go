package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/producer"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

type modelScoreCmd struct {
	Bundle   bundleArg    `embed:""`
	Policy   flags.Policy `embed:""`
	In       string       `help:"CSV file to score: the UCI file's column names, or the contract's." required:"" type:"path" placeholder:"CSV"`
	Out      string       `help:"CSV file to write; - is the standard output." default:"-" placeholder:"CSV"`
	IDPrefix string       `help:"Prefix of every id that is made from the ID column or the row's number." default:"A-" name:"id-prefix" placeholder:"TEXT"`
	Engine   string       `help:"Engine that computes probabilities: ${enum}. auto is native." enum:"auto,native,onnx" default:"auto"`
}

// scoreBatch is how many rows are scored at once.
const scoreBatch = 1024

// Run scores every row. A row that breaks the contract ends it, naming the row.
func (c *modelScoreCmd) Run(p *process) (err error) {
	bundle, err := c.Bundle.read()
	if err != nil {
		return err
	}
	policy, err := c.Policy.Text()
	if err != nil {
		return err
	}
	set, err := model.Fixed(bundle, c.Engine, policy)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Bundle.Name, err)
	}
	rows, err := producer.OpenRows(c.In, c.IDPrefix)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	to := p.stdout
	if c.Out != "-" {
		file, err := os.Create(c.Out)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		to = file
	}
	n, err := scoreRows(p, set, rows, csv.NewWriter(to))
	if err != nil {
		return err
	}
	p.log.Info("scored", "rows", n, "model_version", set.Champion.Version, "policy_version", set.Policy.Version)
	return nil
}

func scoreRows(p *process, set *model.LiveSet, rows *producer.Rows, w *csv.Writer) (n int, err error) {
	if err := w.Write([]string{"id", "default_probability", "default_prediction", "decision", "points", "reasons"}); err != nil {
		return 0, err
	}
	s := scorer.New()
	now := schemas.At(time.Now())
	apps, out := make([]schemas.Application, scoreBatch), make([]schemas.Prediction, scoreBatch)
	for last := false; !last; {
		k := 0
		for ; k < scoreBatch; k++ {
			err := rows.Next(&apps[k])
			if errors.Is(err, io.EOF) {
				last = true
				break
			}
			if err != nil {
				return n, err
			}
		}
		if err := p.ctx.Err(); err != nil {
			return n, err
		}
		if err := s.Decide(set, schemas.ChannelStream, now, apps[:k], out[:k]); err != nil {
			return n, err
		}
		for i := range out[:k] {
			if err := w.Write(scoredRow(&out[i])); err != nil {
				return n, err
			}
		}
		n += k
	}
	w.Flush()
	return n, w.Error()
}

// scoredRow is a prediction as a CSV row; reasons are CODE=contribution, largest
// first, separated by semicolons.
func scoredRow(p *schemas.Prediction) []string {
	reasons := make([]string, len(p.Reasons))
	for i, r := range p.Reasons {
		reasons[i] = r.Code + "=" + strconv.FormatFloat(float64(r.Contribution), 'g', -1, 32)
	}
	return []string{
		p.ApplicationID, strconv.FormatFloat(float64(p.DefaultProbability), 'g', -1, 32), strconv.Itoa(int(p.DefaultPrediction)),
		p.Decision, strconv.Itoa(int(p.Points)), strings.Join(reasons, ";"),
	}
}
