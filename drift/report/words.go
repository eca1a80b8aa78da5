package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/schemas"
)

// term is a statistic in plain words.
type term struct {
	Name, Meaning string
}

// glossary explains every figure of the page, for tooltips and for print.
var glossary = []term{
	{"Evidence", "What decides: -log10 of the probability that chance alone makes a difference as large, at one look; 8 is one in a hundred million. 0 of a difference whose PSI is below 0.02. The threshold is 8 from a PSI of 0.05 on and rises to 20 at 0.02. Beside it stand the PSI and the number of the decisions that it is of: live, the last blocks of decisions, the same in every window; of a stretch, all of its decisions."},
	{"PSI", "Population stability index of this window: how much of the population sits elsewhere than in the reference. It is the one that decides: bins that are too rare to be judged alone count as one, and what chance adds is taken off. Below 0.1 little, 0.1 to 0.25 some, above that much."},
	{"Window", "One of a number of decisions holds at least so many once there are, and exceeds it by less than a fiftieth plus one pane: a pane is what one replica counted of one partition between two commits, and is never split. One of a time is made of whole slots, and may be shorter by one."},
	{"JS", "Jensen-Shannon distance between both distributions: 0 the same, 1 nothing in common."},
	{"KS", "Kolmogorov-Smirnov: the largest gap between both cumulative distributions, 0 to 1."},
	{"Wasserstein", "How far values moved on average, in standard deviations of the reference."},
	{"χ² p", "Probability of a difference this large by chance alone, if this were the only look ever taken. Small is suspicious; with many decisions it is small for shifts that do not matter."},
	{"Missing", "Share of applications that did not say."},
	{"Out of range", "Share of values outside the contract's range."},
	{"Ratio", "Approval rate of the group over that of the group approved most often. Worth a look where the whole 95 % interval lies below the limit, 0.8 unless the evaluator was told another."},
	{"AUC", "Probability that of one loan that defaulted and one that did not, the model gave the defaulted one the worse score. 0.5 is chance."},
	{"Gini", "2 · AUC − 1."},
	{"Brier", "Mean squared distance between the probability given and what happened. Small is good."},
	{"Log loss", "Mean surprise at what happened, given the probability. Small is good."},
	{"ECE", "Expected calibration error: by how much probabilities and default rates differ, on average over bands of scores."},
	{"Observed", "Default rate of the loans whose outcome is known, with its 95 % Jeffreys interval. Only granted loans have outcomes."},
	{"Expected", "Mean probability of default that the model gave the same loans."},
	{"Default expected", "Mean probability of default of all decisions in the window: an estimate until outcomes are known."},
}

// meaning is a figure in plain words.
func meaning(name string) (string, error) {
	for _, t := range glossary {
		if t.Name == name {
			return t.Meaning, nil
		}
	}
	return "", fmt.Errorf("report: %q is not in the glossary", name)
}

// mark is a state's sign, so that it is told by more than its colour.
func mark(state string) string {
	switch state {
	case drift.Act:
		return "■"
	case drift.Watch:
		return "▲"
	}
	return "●"
}

// ago is a time for people, in its largest unit.
func ago(d time.Duration) string {
	for _, unit := range []struct {
		of   time.Duration
		name string
	}{{24 * time.Hour, "days"}, {time.Hour, "hours"}, {time.Minute, "minutes"}} {
		if d >= 2*unit.of {
			return fmt.Sprintf("%d %s", d/unit.of, unit.name)
		}
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}

// count groups a number's digits.
func count(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "−", digits[1:]
	}
	var b strings.Builder
	b.WriteString(sign)
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	return b.String()
}

// percent is a share; what is there never shows as nothing.
func percent(share float64) string {
	if share > 0 && share < 0.0005 {
		return "<0.1 %"
	}
	return strconv.FormatFloat(100*share, 'f', 1, 64) + " %"
}

// mostFigure is more than any figure is that means something.
const mostFigure = 1e12

// figure has three decimals, or three digits where it is large.
func figure(v float64) string {
	switch a := math.Abs(v); {
	case !(a < mostFigure): // nor what is no number
		return "–"
	case a >= 100:
		return count(int64(math.Round(v)))
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

// chance is a probability of an accident.
func chance(p float64) string {
	if p < 0.0001 {
		return "<0.0001"
	}
	return strconv.FormatFloat(p, 'f', 4, 64)
}

// moment is a time to the second; a zero one is none.
func moment(t schemas.Timestamp) string {
	if t == 0 {
		return "–"
	}
	return t.Time().Format("2006-01-02 15:04:05") + " UTC"
}

// windowTitle is a window's name as people say it.
func windowTitle(name string) string {
	if n, err := strconv.ParseInt(name, 10, 64); err == nil {
		return "Last " + count(n) + " decisions or a few more"
	}
	if d, err := time.ParseDuration(name); err == nil && d > 0 {
		switch {
		case d == time.Hour:
			return "Last hour"
		case d%time.Hour == 0:
			return fmt.Sprintf("Last %d hours", d/time.Hour)
		case d == time.Minute:
			return "Last minute"
		case d%time.Minute == 0:
			return fmt.Sprintf("Last %d minutes", d/time.Minute)
		}
		return "Last " + d.String()
	}
	return name
}

// featureDoc says what a feature is.
func featureDoc(name string) string {
	if rule, ok := ruleOf(name); ok {
		return rule.Doc
	}
	if name == "score" {
		return "log-odds of default that the champion gave"
	}
	return ""
}

func ruleOf(name string) (schemas.FeatureRule, bool) {
	for _, rule := range schemas.FeatureRules {
		if rule.Name == name {
			return rule, true
		}
	}
	return schemas.FeatureRule{}, false
}

// groupDoc says what the codes of a protected attribute mean.
func groupDoc(attribute string) string {
	if attribute == "age" {
		return "years"
	}
	return featureDoc(attribute)
}

// binNames are the words of n bins.
func binNames(feature string, edges []float64, n int) []string {
	names := make([]string, n)
	for i := range names {
		if len(edges)+1 != n || n < 2 {
			names[i] = "bin " + strconv.Itoa(i+1)
			continue
		}
		low, high := math.Inf(-1), math.Inf(1)
		if i > 0 {
			low = edges[i-1]
		}
		if i < n-1 {
			high = edges[i]
		}
		if feature == "score" {
			names[i] = probabilityRange(low, high)
		} else {
			names[i] = valueRange(feature, low, high)
		}
	}
	return names
}

// valueRange is the whole numbers from low up to but not high.
func valueRange(feature string, low, high float64) string {
	if rule, ok := ruleOf(feature); ok {
		low, high = max(low, float64(rule.Min)), min(high, float64(rule.Max)+1)
	}
	switch {
	case math.IsInf(low, -1):
		return "below " + count(int64(high))
	case math.IsInf(high, 1):
		return count(int64(low)) + " and more"
	case high-low <= 1:
		return count(int64(low))
	}
	return count(int64(low)) + " … " + count(int64(high)-1)
}

// probabilityRange is a stretch of log-odds as probabilities of default.
func probabilityRange(low, high float64) string {
	p := func(z float64) string { return strconv.FormatFloat(100/(1+math.Exp(-z)), 'g', 3, 64) + " %" }
	switch {
	case math.IsInf(low, -1):
		return "risk below " + p(high)
	case math.IsInf(high, 1):
		return "risk from " + p(low)
	}
	return "risk " + p(low) + " … " + p(high)
}
