package judging

import (
	"cmp"
	"encoding/json"
	"math"
	"slices"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/drift/sequential"
	"github.com/creditstream/creditstream/drift/statistic"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// loanBlock is how many loans whose outcome is known are looked at together,
	// loanBlocks how many of those blocks are looked back at.
	loanBlock  = 500
	loanBlocks = 16
	// fewest defaults and fewest others for an AUC.
	fewest = 30
	// Evidence from which a miss is one, and from which it is worth a look: -log10 of
	// the probability that chance alone makes one as large. One look compares two
	// statistics over five spans: that any of the ten fires by chance is less than 1e-5.
	// Of the default rate that is exact; of the AUC it is as good as a normal's tail is
	// for as many defaults as there are.
	performanceAct   = 6
	performanceWatch = 2.5
	// What counts: how far the AUC lies below what the scores promise, and how far
	// the default rate lies off it, as a share of it.
	aucFall  = 0.03
	rateMiss = 0.2
	// bandCount is how many bands of score there are at most.
	bandCount = 10
)

// loanBin are loans of one bin of score.
type loanBin struct {
	loans, defaulted int64
	expected         float64 // sum of their probabilities
}

// loans are those of one version, by drift.ScoreBin.
type loans map[int32]loanBin

func (l loans) merge(o loans) {
	for score, b := range o {
		c := l[score]
		l[score] = loanBin{c.loans + b.loans, c.defaulted + b.defaulted, c.expected + b.expected}
	}
}

func (l loans) total() (t loanBin) {
	for _, b := range l.sorted() {
		t = loanBin{t.loans + b.loans, t.defaulted + b.defaulted, t.expected + b.expected}
	}
	return t
}

// scored is a bin and its score.
type scored struct {
	score int32
	loanBin
}

// sorted are the bins in the order of score: sums are then the same each time.
func (l loans) sorted() []scored {
	out := make([]scored, 0, len(l))
	for score, b := range l {
		out = append(out, scored{score, b})
	}
	slices.SortFunc(out, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	return out
}

// MarshalJSON writes [score, loans, defaulted, expected] of each bin: the names of
// members would be most of what the status record carries.
func (l loans) MarshalJSON() ([]byte, error) {
	rows := [][4]float64{}
	for _, b := range l.sorted() {
		rows = append(rows, [4]float64{float64(b.score), float64(b.loans), float64(b.defaulted), b.expected})
	}
	return json.Marshal(rows)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (l *loans) UnmarshalJSON(text []byte) error {
	var rows [][4]float64
	if err := json.Unmarshal(text, &rows); err != nil {
		return err
	}
	*l = loans{}
	for _, r := range rows {
		(*l)[int32(r[0])] = loanBin{int64(r[1]), int64(r[2]), r[3]}
	}
	return nil
}

// loanSpan are some loans, and when their outcomes became known.
type loanSpan struct {
	Loans   loans             `json:"loans"`
	Squares float64           `json:"squares"` // sum of (probability - outcome)²
	LogLoss float64           `json:"log_loss"`
	From    schemas.Timestamp `json:"from"`
	To      schemas.Timestamp `json:"to"`
}

// performance is how one version's scores fare.
type performance struct {
	Past   []loanSpan        `json:"past"` // blocks, the newest last
	Open   loanSpan          `json:"open"` // not yet a block
	Latest schemas.Timestamp `json:"latest"`

	reading performanceReading
}

// performanceReading is what the last look said.
type performanceReading struct {
	statistic        string
	value, threshold float64
	evidence         float64 // the most of any span, of those that miss by enough
	gone             bool
	window           schemas.AlertWindow
	recent           map[string]recently // by statistic
}

// recently is a statistic over the last four blocks, or over as many as there are.
type recently struct {
	value, threshold float64
	window           schemas.AlertWindow
}

// recentLoans is how many blocks an end is told from.
const recentLoans = 4

// add counts outcomes of one bin of score.
func (p *performance) add(o *drift.OutcomeCounts, from, to schemas.Timestamp) {
	if p.Open.Loans == nil {
		p.Open = loanSpan{Loans: loans{}, From: from, To: to}
	}
	open := &p.Open
	open.Loans.merge(loans{o.Score: {o.Loans, o.Defaulted, o.Probabilities}})
	open.Squares += o.Squares
	open.LogLoss += o.LogLoss
	open.From, open.To = min(open.From, from), max(open.To, to)
	p.Latest = max(p.Latest, to)
}

// performances are how the scores of each version fare.
type performances map[string]*performance

// add counts outcomes of one version in one bin of score.
func (all performances) add(o *drift.OutcomeCounts, from, to schemas.Timestamp) {
	p := all[o.ModelVersion]
	if p == nil {
		p = &performance{}
		all[o.ModelVersion] = p
	}
	p.add(o, from, to)
}

// full ends the block that has enough loans, and says whether it did. It is asked
// between panes: within one, outcomes are in the order of score.
func (p *performance) full() bool {
	if p.Open.Loans.total().loans < loanBlock {
		return false
	}
	if len(p.Past) == loanBlocks {
		p.Past = slices.Delete(p.Past, 0, 1)
	}
	p.Past = append(p.Past, p.Open)
	p.Open = loanSpan{}
	return true
}

// known are all loans that are kept.
func (p *performance) known() loanSpan {
	all := loanSpan{Loans: loans{}}
	for _, s := range append(slices.Clone(p.Past), p.Open) {
		all.Loans.merge(s.Loans)
		all.Squares += s.Squares
		all.LogLoss += s.LogLoss
	}
	return all
}

// look reads the last 1, 2, 4, 8 and 16 blocks.
func (p *performance) look() performanceReading {
	r := performanceReading{gone: true, recent: map[string]recently{}}
	sum := loans{}
	var window schemas.AlertWindow
	for back := 1; back <= len(p.Past); back++ {
		s := p.Past[len(p.Past)-back]
		sum.merge(s.Loans)
		if window.To == 0 {
			window.From, window.To = s.From, s.To
		}
		window.From, window.To = min(window.From, s.From), max(window.To, s.To)
		if back&(back-1) != 0 {
			continue
		}
		window.Name, window.Decisions = schemas.WindowOutcomes, sum.total().loans
		for _, m := range []miss{fall(sum), deviation(sum)} {
			if m.size >= m.least && m.evidence > r.evidence {
				r.statistic, r.value, r.threshold, r.evidence, r.window = m.statistic, m.value, m.threshold, m.evidence, window
			}
			if back > recentLoans {
				continue
			}
			if m.threshold > 0 { // there are enough loans for it
				r.recent[m.statistic] = recently{m.value, m.threshold, window}
			}
			if m.size >= m.least/2 && m.evidence >= performanceWatch {
				r.gone = false
			}
		}
	}
	p.reading = r
	return r
}

// miss is how far loans lie from what their scores promise.
type miss struct {
	statistic        string
	value, threshold float64
	size, least      float64
	evidence         float64
}

// fall compares the AUC with what the same scores promise: the AUC if each loan
// defaulted with its probability. The hold-out's is no measure: among the loans
// that were granted the scores lie closer together, which lowers the AUC of a model
// that is as good as ever.
func fall(l loans) miss {
	m := miss{statistic: "auc", least: aucFall}
	goods, bads, expectedGoods, expectedBads := ranked(l)
	if statistic.Sum(goods) < fewest || statistic.Sum(bads) < fewest {
		return m
	}
	auc, e := statistic.AUC(goods, bads)
	expected, ee := statistic.AUC(expectedGoods, expectedBads)
	e = max(e, ee, 1e-9) // few bins may make either too small
	m.value, m.threshold, m.size = auc, expected, expected-auc
	m.evidence = statistic.NormalEvidence((expected - auc) / e)
	return m
}

// deviation compares the number of defaults with the sum of the probabilities, bin by
// bin of score: exactly, whatever the rate, and not by a normal's tail, which is far
// too light where defaults are few.
func deviation(l loans) miss {
	t := l.total()
	m := miss{statistic: "default_rate", least: rateMiss}
	if t.loans == 0 || t.expected <= 0 {
		return m
	}
	m.value, m.threshold = statistic.Share(t.defaulted, t.loans), t.expected/float64(t.loans)
	m.size = math.Abs(float64(t.defaulted)-t.expected) / t.expected
	if m.size < m.least/2 { // it counts for nothing, however certain
		return m
	}
	trials := make([]statistic.Trials, 0, len(l))
	for _, b := range l.sorted() {
		if b.loans > 0 {
			trials = append(trials, statistic.Trials{N: b.loans, P: max(0, min(1, b.expected/float64(b.loans)))})
		}
	}
	m.evidence = statistic.DeviationEvidence(trials, t.defaulted)
	return m
}

// ranked are the goods and bads of each bin as they are, and as promised.
func ranked(l loans) (goods, bads []int64, expectedGoods, expectedBads []float64) {
	for _, c := range l.sorted() {
		goods, bads = append(goods, c.loans-c.defaulted), append(bads, c.defaulted)
		expectedGoods = append(expectedGoods, float64(c.loans)-c.expected)
		expectedBads = append(expectedBads, c.expected)
	}
	return goods, bads, expectedGoods, expectedBads
}

// status is how the loans that are kept fared.
func (p *performance) status(version string, firing bool) drift.PerformanceStatus {
	all := p.known()
	t := all.Loans.total()
	goods, bads, _, _ := ranked(all.Loans)
	s := drift.PerformanceStatus{ModelVersion: version, Loans: t.loans, Defaulted: t.defaulted, State: drift.Quiet, Bands: bands(all.Loans)}
	s.AUC, s.AUCError = statistic.AUC(goods, bads)
	s.Gini = statistic.Gini(s.AUC)
	s.KS = statistic.KS(goods, bads)
	s.Observed = statistic.Share(t.defaulted, t.loans)
	s.Lower, s.Upper = statistic.Jeffreys(t.defaulted, t.loans)
	if n := float64(t.loans); n > 0 {
		s.Brier, s.LogLoss, s.Expected = all.Squares/n, all.LogLoss/n, t.expected/n
	}
	var counts, defaulted []int64
	var expected []float64
	for _, b := range s.Bands {
		counts, defaulted = append(counts, b.Loans), append(defaulted, b.Defaulted)
		expected = append(expected, b.Expected*float64(b.Loans))
	}
	s.ECE = statistic.ECE(counts, defaulted, expected)
	switch {
	case firing:
		s.State = drift.Act
	case p.reading.evidence >= performanceWatch:
		s.State = drift.Watch
	}
	return s
}

// bands are the bins of score in up to ten bands with about as many loans each.
func bands(l loans) []drift.BandStatus {
	list := l.sorted()
	n := make([]int64, len(list)) // loans of each
	for i, c := range list {
		n[i] = c.loans
	}
	out := []drift.BandStatus{}
	if len(list) == 0 {
		return out
	}
	cells := sequential.Neighbours(n, bandCount)
	var expected float64
	for i, c := range list {
		if cells.Of(i) == len(out) {
			out = append(out, drift.BandStatus{From: tenth(c.score)})
			expected = 0
		}
		b := &out[len(out)-1]
		b.To = tenth(c.score + 1)
		b.Loans += c.loans
		b.Defaulted += c.defaulted
		expected += c.expected
		b.Observed = statistic.Share(b.Defaulted, b.Loans)
		b.Expected = expected / float64(max(1, b.Loans))
		b.Lower, b.Upper = statistic.Jeffreys(b.Defaulted, b.Loans)
	}
	return out
}

// tenth is where a bin begins, without the last digits of a multiplication.
func tenth(bin int32) float64 { return math.Round(10*drift.ScoreFrom(bin)) / 10 }
