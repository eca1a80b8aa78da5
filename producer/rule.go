package producer

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/creditstream/creditstream/schemas"
)

// defaultRule is the known rule of the true default, a logistic regression on a
// few terms of an application. population.json documents the terms.
type defaultRule struct {
	intercept float64
	weights   [numTerms]float64
}

// Terms of the default rule.
const (
	termDelay0      = iota // max(pay_0, 0), months
	termDelay2             // max(pay_2, 0)
	termDelay3             // max(pay_3, 0)
	termUtilisation        // clip(bill_amt1 / limit_bal, 0, 1.5)
	termLogLimit           // ln(limit_bal / 100000)
	termPaidShare          // clip(pay_amt1 / max(bill_amt2, 1), 0, 1)
	numTerms
)

func newDefaultRule(intercept float64, coefficients map[string]float64) (defaultRule, error) {
	names := [numTerms]string{"delay_0", "delay_2", "delay_3", "utilisation", "log_limit", "paid_share"}
	r := defaultRule{intercept: intercept}
	for _, name := range slices.Sorted(maps.Keys(coefficients)) {
		i := slices.Index(names[:], name)
		if i < 0 {
			return r, fmt.Errorf("default rule: %q: must be one of %s", name, strings.Join(names[:], ", "))
		}
		r.weights[i] = coefficients[name]
	}
	return r, nil
}

func (r *defaultRule) logOdds(f *schemas.Features) float64 {
	limit := float64(f[limitBal])
	x := r.intercept
	x += r.weights[termDelay0] * float64(max(f[payStatus], 0))
	x += r.weights[termDelay2] * float64(max(f[payStatus+1], 0))
	x += r.weights[termDelay3] * float64(max(f[payStatus+2], 0))
	x += r.weights[termUtilisation] * min(max(float64(f[billAmt])/limit, 0), 1.5)
	x += r.weights[termLogLimit] * math.Log(limit/100_000)
	x += r.weights[termPaidShare] * min(max(float64(f[payAmt])/float64(max(f[billAmt+1], 1)), 0), 1)
	return x
}
