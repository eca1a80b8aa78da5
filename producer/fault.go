package producer

import "github.com/creditstream/creditstream/schemas"

// fault is one way in which a feed is broken.
type fault uint8

const (
	faultNone fault = iota
	faultNull
	faultConstant
	faultOutOfRange
	faultScaled
)

// faults is the cycle of a broken feed; then it is clean for as long.
var faults = [...]fault{faultNull, faultConstant, faultOutOfRange, faultScaled}

// brokenFeedMalformed is the share of malformed records mixed into a broken
// feed, per million applications.
const brokenFeedMalformed = 5_000

// faultAt is the fault after so many applications when each lasts `ramp`.
func faultAt(passed, ramp uint64) fault {
	phase := passed / max(ramp, 1) % (2 * uint64(len(faults)))
	if phase < uint64(len(faults)) {
		return faults[phase]
	}
	return faultNone
}

// apply breaks an application and says whether it now breaks the contract.
//
//   - null: pay_0 is not handed in
//   - constant: limit_bal is 50,000 for everybody
//   - out of range: one age in three is 999
//   - scaled: pay_amt1 comes in hundredths, so large ones leave the range
func (t fault) apply(n uint64, f *schemas.Features) (invalid bool) {
	switch t {
	case faultNull:
		f[payStatus] = schemas.Missing
	case faultConstant:
		f[limitBal] = 50_000
	case faultOutOfRange:
		if n%3 == 0 {
			f[age] = 999
			return true
		}
	case faultScaled:
		f[payAmt] *= 100 // at most 2.8e8: no overflow
		return f[payAmt] > schemas.MaxAmount
	}
	return false
}
