package statistic

import "math"

// AUC is the probability that a bad scores higher than a good, a tie counting
// half, from what the bins of rising score hold of each; its standard error is
// DeLong's (DeLong, DeLong and Clarke-Pearson, 1988) with every score of a bin
// tied. With fewer than two goods or bads nothing is known: 0.5 and 0.5.
func AUC[T Count](goods, bads []T) (auc, standardError float64) {
	n, m := float64(Sum(goods)), float64(Sum(bads))
	if !(n >= 2 && m >= 2) {
		return 0.5, 0.5
	}
	below := 0.0 // goods in the bins before
	for i := range goods {
		auc += float64(bads[i]) / m * (below + float64(goods[i])/2) / n
		below += float64(goods[i])
	}
	var ofBads, ofGoods, above float64
	below, above = 0, m
	for i := range goods {
		good, bad := float64(goods[i]), float64(bads[i])
		above -= bad
		beats := (below + good/2) / n
		beaten := (above + bad/2) / m
		ofBads += bad * (beats - auc) * (beats - auc)
		ofGoods += good * (beaten - auc) * (beaten - auc)
		below += good
	}
	return known(auc), known(math.Sqrt(max(0, ofBads/(m-1)/m+ofGoods/(n-1)/n)))
}

// Gini is the same ranking told from -1 to 1.
func Gini(auc float64) float64 { return 2*auc - 1 }

// ECE is the expected calibration error: how far observed and expected default
// rates of a bin lie apart, weighted by its loans.
func ECE(loans, defaulted []int64, expected []float64) float64 {
	n := Sum(loans)
	if n == 0 {
		return 0
	}
	e := 0.0
	for i := range loans {
		e += math.Abs(float64(defaulted[i]) - expected[i])
	}
	return known(e / float64(n))
}
