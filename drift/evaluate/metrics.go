package evaluate

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/creditstream/creditstream/drift"
	"github.com/creditstream/creditstream/schemas"
)

type metrics struct {
	panes          prometheus.Counter
	malformed      prometheus.Counter
	otherReference prometheus.Counter
	aborts         prometheus.Counter
	told           *prometheus.CounterVec
	evaluation     prometheus.Histogram
	active         prometheus.Gauge
	lastDecision   prometheus.Gauge
	lastEvaluation prometheus.Gauge
	reference      *prometheus.GaugeVec

	// Of the newest status; nothing is shown while another evaluator works.
	evidence, firing                        *prometheus.GaugeVec
	required, evidencePSI, evidenceOf       *prometheus.GaugeVec
	psiAllBins                              *prometheus.GaugeVec
	psi, jensenShannon, ks, wasserstein     *prometheus.GaugeVec
	chiSquare, chiSquareP, missing, outside *prometheus.GaugeVec
	decisions, rate, expected               *prometheus.GaugeVec
	ratio, ratioLower, ratioUpper           *prometheus.GaugeVec
	approved, groupDecisions, bands         *prometheus.GaugeVec
	outcomes, performance, promised         *prometheus.GaugeVec
	ofStatus                                []*prometheus.GaugeVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	f := promauto.With(r)
	m := &metrics{
		panes:          f.NewCounter(prometheus.CounterOpts{Name: "creditstream_drift_panes_evaluated_total", Help: "Panes that were folded into what is judged."}),
		malformed:      f.NewCounter(prometheus.CounterOpts{Name: "creditstream_drift_malformed_panes_total", Help: "Records on the panes topic that are no panes."}),
		otherReference: f.NewCounter(prometheus.CounterOpts{Name: "creditstream_drift_other_reference_decisions_total", Help: "Decisions that were counted over another reference than the champion's, and not compared."}),
		aborts:         f.NewCounter(prometheus.CounterOpts{Name: "creditstream_drift_evaluator_aborts_total", Help: "Aborted transactions of the evaluator; they are written again."}),
		told:           f.NewCounterVec(prometheus.CounterOpts{Name: "creditstream_drift_alerts_total", Help: "Alerts written by state."}, []string{"state"}),
		evaluation:     f.NewHistogram(prometheus.HistogramOpts{Name: "creditstream_drift_evaluation_seconds", Help: "One evaluation of every window.", Buckets: prometheus.ExponentialBuckets(0.0001, 2, 14)}),
		active:         f.NewGauge(prometheus.GaugeOpts{Name: "creditstream_drift_evaluator_active", Help: "1 while this process is the evaluator that works."}),
		lastDecision:   f.NewGauge(prometheus.GaugeOpts{Name: "creditstream_drift_last_decision_timestamp_seconds", Help: "Bucket of the newest decision that was evaluated."}),
		lastEvaluation: f.NewGauge(prometheus.GaugeOpts{Name: "creditstream_drift_last_evaluation_timestamp_seconds", Help: "When this process wrote its newest status; 0: never."}),
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := f.NewGaugeVec(prometheus.GaugeOpts{Name: "creditstream_drift_" + name, Help: help}, labels)
		m.ofStatus = append(m.ofStatus, g)
		return g
	}
	const feature, window = "feature", "window"
	m.reference = gauge("reference_info", "1 for the reference that is compared with.", "version", "digest")
	m.evidence = gauge("evidence", "The deciding statistic: -log10 of the probability of chance, 0 of a difference whose PSI is below 0.02; features, score and decisions.", feature)
	m.required = gauge("evidence_threshold", "At which evidence says act: more for a smaller PSI.", feature)
	m.evidencePSI = gauge("evidence_psi", "PSI of the decisions that evidence is of.", feature)
	m.evidenceOf = gauge("evidence_decisions", "How many decisions evidence is of.", feature)
	m.firing = gauge("alert_firing", "1 while an alert fires, 0 for a while after it was resolved.", "alert")
	m.psi = gauge("psi", "Population stability index that decides: rare bins are one, less what chance adds.", feature, window)
	m.psiAllBins = gauge("psi_all_bins", "Population stability index as it is commonly computed: over every bin, chance included.", feature, window)
	m.jensenShannon = gauge("jensen_shannon", "Jensen-Shannon distance, base 2.", feature, window)
	m.ks = gauge("ks", "Largest distance of the distribution functions.", feature, window)
	m.wasserstein = gauge("wasserstein", "Wasserstein distance in standard deviations of the reference.", feature, window)
	m.chiSquare = gauge("chi_square", "Pearson's two-sample chi-square.", feature, window)
	m.chiSquareP = gauge("chi_square_p", "Its p, of one look at this window.", feature, window)
	m.missing = gauge("missing_share", "Share of missing values.", feature, window)
	m.outside = gauge("out_of_range_share", "Share of values outside the contract's range.", feature, window)
	m.decisions = gauge("window_decisions", "Decisions in the window.", window)
	m.rate = gauge("decision_share", "Share of the champion's decisions.", "decision", window)
	m.expected = gauge("default_expected", "Mean probability of default: an estimate until outcomes are known.", window)
	m.ratio = gauge("approval_ratio", "Approval rate of a group relative to the group approved most often.", "attribute", "group", window)
	m.ratioLower = gauge("approval_ratio_lower", "Lower end of its 95 % interval.", "attribute", "group", window)
	m.ratioUpper = gauge("approval_ratio_upper", "Upper end of its 95 % interval.", "attribute", "group", window)
	m.approved = gauge("approval_rate", "Share of a group that was approved.", "attribute", "group", window)
	m.groupDecisions = gauge("group_decisions", "Decisions on a group.", "attribute", "group", window)
	m.outcomes = gauge("outcomes", "Outcomes read, and by what became of joining them; those late and those of declined applications are among those matched, outcome_too_old and outcome_before_decision among those unmatched.", "result")
	m.performance = gauge("performance", "How well a version's scores foresaw the outcomes of granted loans.", "version", "statistic")
	m.bands = gauge("band", "Loans whose outcome is known by band of score, 1 the safest: how many, how many defaulted, and the default rate.", "version", "band", "statistic")
	m.promised = gauge("expected_performance", "How well a version's scores are expected to do: an estimate from the scores alone, of everybody decided on.", "version", "statistic", window)
	return m
}

// show sets the gauges to a status that is in the log.
func (m *metrics) show(s *drift.Status) {
	for _, g := range m.ofStatus {
		g.Reset()
	}
	m.active.Set(1)
	m.lastEvaluation.Set(float64(s.EvaluatedAt) / 1e6)
	if s.LastDecision != 0 {
		m.lastDecision.Set(float64(s.LastDecision) / 1e6)
	}
	m.reference.WithLabelValues(s.Reference.ModelVersion, s.Reference.Digest).Set(1)
	for _, a := range s.Alerts {
		on := 0.0
		if a.State == schemas.AlertFiring {
			on = 1
		}
		m.firing.WithLabelValues(a.Alert.Alert).Set(on)
	}
	for i := range s.Windows {
		m.showWindow(&s.Windows[i])
	}
	for result, n := range map[string]int64{"read": s.Outcomes.Read, "matched": s.Outcomes.Matched, "unmatched": s.Outcomes.Unmatched, "duplicate": s.Outcomes.Duplicate, "late": s.Outcomes.Late, "declined": s.Outcomes.Declined,
		"outcome_too_old": s.Outcomes.TooOld, "outcome_before_decision": s.Outcomes.Before, "outcome_key_differs": s.Outcomes.KeyDiffers} {
		m.outcomes.WithLabelValues(result).Set(float64(n))
	}
	for i := range s.Outcomes.Versions {
		p := &s.Outcomes.Versions[i]
		for name, v := range map[string]float64{
			"loans": float64(p.Loans), "defaulted": float64(p.Defaulted), "auc": p.AUC, "auc_standard_error": p.AUCError, "gini": p.Gini,
			"ks": p.KS, "brier": p.Brier, "log_loss": p.LogLoss, "ece": p.ECE,
			"observed": p.Observed, "expected": p.Expected, "observed_lower": p.Lower, "observed_upper": p.Upper,
		} {
			m.performance.WithLabelValues(p.ModelVersion, name).Set(v)
		}
		for k, b := range p.Bands {
			for name, v := range map[string]float64{
				"loans": float64(b.Loans), "defaulted": float64(b.Defaulted),
				"observed": b.Observed, "observed_lower": b.Lower, "observed_upper": b.Upper, "expected": b.Expected,
			} {
				m.bands.WithLabelValues(p.ModelVersion, strconv.Itoa(k+1), name).Set(v)
			}
		}
	}
}

func (m *metrics) showWindow(w *drift.WindowStatus) {
	m.decisions.WithLabelValues(w.Name).Set(float64(w.Decisions))
	for i := range w.Features {
		m.showFeature(&w.Features[i], w.Name)
	}
	m.showFeature(&w.Score, w.Name)
	m.showEvidence(drift.DecisionsName, w.Rates.Evidence, w.Rates.Threshold, w.Rates.EvidencePSI, w.Rates.EvidenceOf)
	for g, v := range map[*prometheus.GaugeVec]float64{
		m.psi: w.Rates.PSI, m.psiAllBins: w.Rates.PSIAllBins, m.jensenShannon: w.Rates.JensenShannon, m.chiSquare: w.Rates.ChiSquare, m.chiSquareP: w.Rates.ChiSquareP,
	} {
		g.WithLabelValues(drift.DecisionsName, w.Name).Set(v)
	}
	for decision, share := range map[string]float64{schemas.Approve: w.Rates.Approve, schemas.Refer: w.Rates.Refer, schemas.Decline: w.Rates.Decline} {
		m.rate.WithLabelValues(decision, w.Name).Set(share)
	}
	m.expected.WithLabelValues(w.Name).Set(w.Rates.DefaultExpected)
	for _, e := range w.Expected {
		for name, v := range map[string]float64{
			"decisions": float64(e.Decisions), "default_rate": e.DefaultRate, "auc": e.AUC, "gini": e.Gini, "brier": e.Brier, "log_loss": e.LogLoss,
		} {
			m.promised.WithLabelValues(e.ModelVersion, name, w.Name).Set(v)
		}
	}
	for _, g := range w.Groups {
		m.groupDecisions.WithLabelValues(g.Attribute, g.Group, w.Name).Set(float64(g.Decisions))
		m.approved.WithLabelValues(g.Attribute, g.Group, w.Name).Set(g.Approved)
		m.ratio.WithLabelValues(g.Attribute, g.Group, w.Name).Set(g.Ratio)
		m.ratioLower.WithLabelValues(g.Attribute, g.Group, w.Name).Set(g.Lower)
		m.ratioUpper.WithLabelValues(g.Attribute, g.Group, w.Name).Set(g.Upper)
	}
}

func (m *metrics) showFeature(f *drift.FeatureStatus, window string) {
	m.showEvidence(f.Feature, f.Evidence, f.Threshold, f.EvidencePSI, f.EvidenceOf)
	for g, v := range map[*prometheus.GaugeVec]float64{
		m.psi: f.PSI, m.psiAllBins: f.PSIAllBins, m.jensenShannon: f.JensenShannon, m.ks: f.KS, m.wasserstein: f.Wasserstein,
		m.chiSquare: f.ChiSquare, m.chiSquareP: f.ChiSquareP, m.missing: f.Missing, m.outside: f.OutOfRange,
	} {
		g.WithLabelValues(f.Feature, window).Set(v)
	}
}

// showEvidence is the same in every window.
func (m *metrics) showEvidence(feature string, evidence, threshold, psi float64, decisions int64) {
	m.evidence.WithLabelValues(feature).Set(evidence)
	m.required.WithLabelValues(feature).Set(threshold)
	m.evidencePSI.WithLabelValues(feature).Set(psi)
	m.evidenceOf.WithLabelValues(feature).Set(float64(decisions))
}

// forget shows nothing: another evaluator may work now.
func (m *metrics) forget() {
	m.active.Set(0)
	for _, g := range m.ofStatus {
		g.Reset()
	}
}
