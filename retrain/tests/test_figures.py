import numpy as np
import pytest
from sklearn import metrics

from credit_retrain.data import bins
from credit_retrain.evaluate import comparison, figures, repeated
from credit_retrain.evaluate.delong import compare


@pytest.fixture(scope="module")
def scored():
    """Outcomes drawn from the probabilities themselves: a model that is right."""
    rng = np.random.default_rng(3)
    probability = rng.beta(1.2, 4, 6000)
    return (rng.random(6000) < probability).astype(np.int64), probability


def test_figures_of_a_ranking_that_can_be_counted_by_hand():
    defaulted, probability = np.array([0, 0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4, 0.9])
    assert figures.auc(defaulted, probability) == pytest.approx(5 / 6)
    assert figures.gini(defaulted, probability) == pytest.approx(2 / 3)
    assert figures.ks(defaulted, probability) == pytest.approx(2 / 3)
    assert figures.pr_auc(defaulted, probability) == pytest.approx((1 + 2 / 3) / 2)
    assert figures.brier(defaulted, probability) == pytest.approx((0.01 + 0.04 + 0.49 + 0.16 + 0.01) / 5)
    assert figures.ece(defaulted, probability, bins=1) == pytest.approx(abs(0.38 - 0.4))
    assert figures.ece(defaulted, probability, bins=5) == pytest.approx((0.1 + 0.2 + 0.7 + 0.4 + 0.1) / 5)


def test_figures_are_scikit_learns_with_ties_too(scored):
    defaulted, probability = scored
    for p in (probability, np.round(probability, 2)):
        false_positive, true_positive, _ = metrics.roc_curve(defaulted, p)
        assert figures.auc(defaulted, p) == pytest.approx(metrics.roc_auc_score(defaulted, p), abs=1e-12)
        assert figures.ks(defaulted, p) == pytest.approx(np.max(true_positive - false_positive), abs=1e-12)
        assert figures.pr_auc(defaulted, p) == pytest.approx(
            metrics.average_precision_score(defaulted, p), abs=1e-12
        )
        assert figures.brier(defaulted, p) == pytest.approx(metrics.brier_score_loss(defaulted, p), abs=1e-12)
        assert figures.cross_entropy(defaulted, p) == pytest.approx(metrics.log_loss(defaulted, p), abs=1e-12)


def test_a_model_that_is_right_shows_the_error_that_chance_gives(scored):
    defaulted, probability = scored
    mean, percentile = figures.ece_by_chance(probability, 1)
    assert 0.005 < mean < percentile
    assert figures.ece(defaulted, probability) < percentile
    wrong = np.clip(probability + 0.05, 0, 1)
    assert figures.ece(defaulted, wrong) > 2 * percentile
    assert figures.ece_by_chance(probability, 1) == (mean, percentile), "the seed decides"


def test_intervals_hold_the_figure_and_narrow_with_more_rows(scored):
    defaulted, probability = scored
    named = {"auc": figures.auc, "brier": figures.brier}
    wide = figures.intervals(defaulted[:500], probability[:500], 1, named, 200)
    narrow = figures.intervals(defaulted, probability, 1, named, 200)
    for name, figure in named.items():
        low, high = narrow[name]
        assert low < figure(defaulted, probability) < high
        assert high - low < wide[name][1] - wide[name][0]


def test_resamples_without_a_default_are_drawn_again():
    defaulted, probability = np.array([0, 0, 0, 1]), np.array([0.1, 0.3, 0.2, 0.4])
    assert figures.intervals(defaulted, probability, 1, {"auc": figures.auc}, 50)["auc"] == (1, 1)


def test_lift_adds_up(scored):
    defaulted, probability = scored
    table = figures.lift(defaulted, probability)
    assert sum(row["rows"] for row in table) == len(defaulted)
    assert table[-1]["caught"] == 1
    assert table[0]["lift"] == pytest.approx(table[0]["default_rate"] / defaulted.mean(), abs=1e-3)
    assert table[0]["default_rate"] == max(row["default_rate"] for row in table)


def test_calibration_rows_hold_what_was_observed(scored):
    for row in figures.calibration(*scored):
        assert row["interval"][0] <= row["observed"] <= row["interval"][1]


def test_wilson_against_published_values():
    # E. B. Wilson's interval as textbooks tabulate it: 0 of 10 and 8 of 10.
    assert figures.wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert figures.wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_psi_is_nought_for_equal_shares_and_symmetric():
    assert bins.psi([10, 20, 30], [10, 20, 30]) == 0
    assert bins.psi([100, 200], [10, 20]) == pytest.approx(0, abs=1e-3)
    assert bins.psi([5, 95], [95, 5]) == pytest.approx(bins.psi([95, 5], [5, 95]))
    assert np.isfinite(bins.psi([10, 0], [0, 10]))


def test_score_psi_sees_a_shift():
    rng = np.random.default_rng(5)
    before, same = rng.normal(size=20_000), rng.normal(size=20_000)
    assert figures.score_psi(before, same) < 0.01
    # Two normal distributions half a deviation apart have a PSI of a quarter.
    assert figures.score_psi(before, same + 0.5) == pytest.approx(0.25, abs=0.03)


def test_delong_counts_pairs():
    rng = np.random.default_rng(7)
    defaulted = rng.integers(0, 2, 80)
    first, second = rng.integers(0, 12, 80).astype(float), rng.normal(size=80)
    found = compare(defaulted, first, second)
    for said, score in ((found.first, first), (found.second, second)):
        bad, good = score[defaulted == 1], score[defaulted == 0]
        pairs = (bad[:, None] > good) + 0.5 * (bad[:, None] == good)
        assert said == pytest.approx(pairs.mean())


@pytest.mark.slow
def test_delongs_error_is_the_bootstraps(scored):
    defaulted, probability = scored
    rng = np.random.default_rng(11)
    noisy = np.clip(probability + rng.normal(scale=0.1, size=len(probability)), 0, 1)
    found = compare(defaulted, probability, noisy)
    draws = []
    for _ in range(1000):
        rows = rng.integers(0, len(defaulted), len(defaulted))
        draws.append(
            figures.auc(defaulted[rows], probability[rows]) - figures.auc(defaulted[rows], noisy[rows])
        )
    assert found.standard_error == pytest.approx(np.std(draws, ddof=1), rel=0.12)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(draws, [2.5, 97.5])), abs=0.002)


def test_delong_of_a_model_with_itself(scored):
    defaulted, probability = scored
    found = compare(defaulted, probability, probability * 2)
    assert (found.difference, found.standard_error) == (0, 0)


def test_delong_needs_both_classes():
    with pytest.raises(ValueError, match="at least two of either class"):
        compare(np.array([0, 0, 1]), np.arange(3.0), np.arange(3.0))


def test_the_interval_over_repeated_splits_allows_for_shared_rows():
    values = [0.78, 0.79, 0.785, 0.795, 0.788, 0.783, 0.791, 0.786, 0.789, 0.784]
    low, high = repeated.interval(values)
    naive = 2.262 * np.std(values, ddof=1) / np.sqrt(10)
    assert (high - low) / 2 == pytest.approx(naive * np.sqrt(1 + 10 * 0.25), rel=1e-3)
    assert (low + high) / 2 == pytest.approx(np.mean(values))


def test_weights_of_evidence_are_log_odds_against_all_rows():
    X = np.array([[1.0]] * 60 + [[2.0]] * 40)
    y = np.array([1] * 6 + [0] * 54 + [1] * 20 + [0] * 20)
    woe = comparison.WeightOfEvidence(2).fit(X, y)
    overall = np.log(26.5 / 74.5)
    assert woe.transform([[1.0], [2.0], [9.0]]).ravel() == pytest.approx(
        [np.log(6.5 / 54.5) - overall, np.log(20.5 / 20.5) - overall, np.log(20.5 / 20.5) - overall]
    )
