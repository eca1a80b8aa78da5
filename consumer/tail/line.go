package tail

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/creditstream/creditstream/schemas"
)

const lineFormat = "%-24s  %-20s  %-8s  %11s  %6s  %-7s  %-36s  %s\n"

// Header names the columns of Line.
func Header() string {
	return fmt.Sprintf(lineFormat, "DECIDED AT", "APPLICATION", "DECISION", "PROBABILITY", "POINTS", "CHANNEL", "REASONS", "MODEL")
}

// shownReasons is how many reason codes a line has room for.
const shownReasons = 2

// Line is a prediction as one line: when, which, what and why. Reasons are the
// most adverse ones, and how many more there are.
func Line(p *schemas.Prediction) string {
	codes := make([]string, 0, shownReasons)
	for i := range min(len(p.Reasons), shownReasons) {
		codes = append(codes, p.Reasons[i].Code)
	}
	reasons := strings.Join(codes, ", ")
	if more := len(p.Reasons) - shownReasons; more > 0 {
		reasons = fmt.Sprintf("%s +%d", reasons, more)
	}
	if reasons == "" {
		reasons = "-"
	}
	return fmt.Sprintf(lineFormat, p.DecidedAt.Time().Format("2006-01-02T15:04:05.000Z"), p.ApplicationID,
		p.Decision, fmt.Sprintf("%.4f", p.DefaultProbability), strconv.Itoa(int(p.Points)), p.Channel, reasons, p.ModelVersion)
}
