package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/creditstream/creditstream/drift/judging"
	"github.com/creditstream/creditstream/schemas"
)

// fairness is what the approval ratios of the demo's groups are held against.
// Its population repeats what the training data shows: the youngest, and those who
// left school early, are approved 0.77 to 0.79 times as often as the group approved
// most often, which four fifths would tell of in a demo where nothing happens.
const fairness = 0.7

// judged is how the demo's decisions are judged. It waits less than where a stream is
// looked at once a day: what happens is to be seen while somebody looks.
func judged() judging.Settings {
	windows, err := judging.ParseWindows("1000,10000,1m,10m")
	if err != nil {
		panic(err) // they are these
	}
	return judging.Settings{Windows: windows, Quiet: 30 * time.Second, BlockTime: time.Second, MinFiring: 5 * time.Second, Fairness: fairness}
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
