package cli

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/creditstream/creditstream/internal/cli/flags"
	"github.com/creditstream/creditstream/internal/lifecycle"
	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/schemas"
)

// demoFairness is what the approval ratios of the demo's groups are held against.
// Its population repeats what the training data shows: the youngest, and those who
// left school early, are approved 0.77 to 0.79 times as often as the group approved
// most often, which four fifths would tell of in a demo where nothing happens.
const demoFairness = 0.7

// demoEvaluator is how the demo's decisions are judged. It waits less than where a
// stream is looked at once a day: what happens is to be seen while somebody looks.
func demoEvaluator() flags.Evaluator {
	return flags.Evaluator{
		Fairness: flags.Fairness{Ratio: demoFairness},
		Windows:  "1000,10000,1m,10m", Silence: 30 * time.Second, BlockTime: time.Second, MinFiring: 5 * time.Second,
	}
}

// judges judge the demo's decisions and tell alerts on standard error and, where
// one is named, an Alertmanager.
func (c *demoCmd) judges(p *process, d *demo, live func() *model.LiveSet) ([]lifecycle.Component, error) {
	judged := demoEvaluator()
	quiet := *p
	quiet.log = newLogger(p.stderr, max(p.logLevel, slog.LevelError), p.logFormat) // it warns of alerts, which are told in a line of their own
	return addEvaluator(&quiet, &judged, evaluatorParts{
		kafka: d.kafka.Config(p.log).For("drift-evaluator"), prefix: demoPrefix, live: live, webhook: &c.Webhook, notifier: alertLines{p.stderr}, reg: d.reg,
		between: time.Second,
	})
}

// alertLines tell alerts on a terminal.
type alertLines struct {
	to io.Writer
}

// Notify is part of evaluate.Notifier: a line for what fires, one for what is over.
func (l alertLines) Notify(alerts []schemas.Alert) {
	var firing, over []string
	for i := range alerts {
		if a := &alerts[i]; a.State == schemas.AlertFiring {
			firing = append(firing, alertText(a))
		} else {
			over = append(over, a.Alert)
		}
	}
	if len(firing) > 0 {
		say(l.to, "alert", "firing: "+strings.Join(firing, ", "))
	}
	if len(over) > 0 {
		say(l.to, "alert", "over: "+strings.Join(over, ", "))
	}
}

// alertText names an alert and, where it is about a feature, how far that moved; what
// its name says too much about, it puts right.
func alertText(a *schemas.Alert) string {
	if remark := schemas.AlertRemark(a.Alert); remark != "" {
		return a.Alert + " (" + remark + ")"
	}
	for _, c := range a.Contributors {
		if strings.HasSuffix(a.Alert, "/"+c.Feature) {
			return fmt.Sprintf("%s (PSI %.2f)", a.Alert, c.PSI)
		}
	}
	return a.Alert
}
