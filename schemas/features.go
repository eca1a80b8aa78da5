package schemas

import "math"

// NumFeatures is the number of features an application carries.
const NumFeatures = 23

// Missing marks a feature that was handed in as null. It lies outside every
// feature's range.
const Missing = math.MinInt32

// Features are an application's features in the contract's order (see
// FeatureRules), whole numbers, Missing where null.
type Features [NumFeatures]int32

// Row writes the features as a model reads them: NumFeatures float32, NaN where
// missing. Every value of the contract's ranges is exact in a float32.
func (f *Features) Row(dst []float32) {
	dst = dst[:NumFeatures]
	for i, v := range f {
		if v == Missing {
			dst[i] = float32(math.NaN())
		} else {
			dst[i] = float32(v)
		}
	}
}

// MaxAmount bounds every amount: 2^24 / 6, so that a sum of six of them is
// exact in a float32 in any order.
const MaxAmount = 2_796_202

// FeatureRule is what the contract says about one feature.
type FeatureRule struct {
	Name     string
	Min, Max int32
	Doc      string
}

// FeatureRules lists the features in the order of Features.
var FeatureRules = [NumFeatures]FeatureRule{
	{"limit_bal", 1, MaxAmount, "credit limit, whole currency units"},
	{"sex", 1, 2, "1 male, 2 female"},
	{"education", 0, 6, "1 graduate school, 2 university, 3 high school, 4 others, 0, 5 and 6 undocumented"},
	{"marriage", 0, 3, "1 married, 2 single, 3 others, 0 undocumented"},
	{"age", 18, 120, "years"},
	{"pay_0", -2, 9, "repayment status one month back: -2 no use, -1 paid in full, 0 revolving, n months of delay"},
	{"pay_2", -2, 9, "repayment status two months back"},
	{"pay_3", -2, 9, "repayment status three months back"},
	{"pay_4", -2, 9, "repayment status four months back"},
	{"pay_5", -2, 9, "repayment status five months back"},
	{"pay_6", -2, 9, "repayment status six months back"},
	{"bill_amt1", -MaxAmount, MaxAmount, "bill statement one month back, whole currency units"},
	{"bill_amt2", -MaxAmount, MaxAmount, "bill statement two months back"},
	{"bill_amt3", -MaxAmount, MaxAmount, "bill statement three months back"},
	{"bill_amt4", -MaxAmount, MaxAmount, "bill statement four months back"},
	{"bill_amt5", -MaxAmount, MaxAmount, "bill statement five months back"},
	{"bill_amt6", -MaxAmount, MaxAmount, "bill statement six months back"},
	{"pay_amt1", 0, MaxAmount, "amount paid one month back, whole currency units"},
	{"pay_amt2", 0, MaxAmount, "amount paid two months back"},
	{"pay_amt3", 0, MaxAmount, "amount paid three months back"},
	{"pay_amt4", 0, MaxAmount, "amount paid four months back"},
	{"pay_amt5", 0, MaxAmount, "amount paid five months back"},
	{"pay_amt6", 0, MaxAmount, "amount paid six months back"},
}
