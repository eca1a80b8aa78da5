import numpy as np
import pytest
from sklearn.model_selection import ParameterSampler

from credit_retrain.base.progress import report
from credit_retrain.model import search
from credit_retrain.model.pipeline import build
from credit_retrain.model.search import Candidate

TINY = {**search.SPACE, "max_depth": [1, 2], "n_estimators": [3, 6]}


HARD = np.array([0.01, -0.01, 0.005, -0.005, 0.0])
"""How hard the folds are, for every candidate alike."""


def of(depth, trees, auc, noise=(0, 0, 0, 0, 0)):
    folds = (auc + HARD + np.array(noise)).tolist()
    return Candidate({"max_depth": depth, "n_estimators": trees}, folds, 1.0)


def test_the_smallest_within_one_standard_error_of_the_best_is_taken():
    uneven = np.array([0.004, -0.004, 0.002, -0.002, 0])
    best, shallow, poor = of(4, 300, 0.790), of(2, 100, 0.789, uneven), of(2, 60, 0.785, uneven)
    assert search.smallest_good([best, poor, shallow]) is shallow
    assert search.smallest_good([best, poor]) is best


def test_one_that_is_worse_on_every_fold_is_not_taken():
    best, worse = of(4, 300, 0.790), of(2, 60, 0.789)
    assert best.standard_error > 0.003, "its own error would let the other pass"
    assert search.smallest_good([best, worse]) is best


def test_depth_counts_before_trees_and_the_better_of_equals_wins():
    uneven = (0.004, -0.004, 0.002, -0.002, 0)
    assert search.smallest_good([of(3, 60, 0.79), of(2, 300, 0.79)]).parameters["max_depth"] == 2
    assert search.smallest_good([of(2, 100, 0.7895, uneven), of(2, 100, 0.79)]).auc == pytest.approx(0.79)


def test_progress_is_told_for_every_candidate(few):
    lines = []
    found = search.search(few, 5, 3, 1, lines.append, TINY)
    assert [line.split(":")[0] for line in lines] == [
        *(f"  candidate {i} of 3 cross-validated" for i in (1, 2, 3)),
        *(f"  candidate {i}" for i in (1, 2, 3)),
    ]
    assert found.chosen is search.smallest_good(found.candidates)


@pytest.mark.slow
def test_progress_of_other_processes_is_told_as_well(few, capfd):
    search.search(few, 5, 3, 2, report, TINY)
    told = capfd.readouterr().err
    assert all(f"candidate {i} of 3 cross-validated" in told for i in (1, 2, 3))


def test_the_pipeline_is_the_one_taken_fitted_to_all_rows(few):
    found = search.search(few, 5, 3, 1, lambda _: None, TINY)
    again = build(found.chosen.parameters, 5).fit(few.features, few.defaulted)
    assert (found.pipeline.predict_proba(few.features) == again.predict_proba(few.features)).all()


def test_the_seed_decides_and_the_number_of_jobs_does_not(few):
    def run(seed, jobs):
        found = search.search(few, seed, 3, jobs, lambda _: None, TINY)
        return found.chosen.parameters, [(c.parameters, c.auc) for c in found.candidates]

    assert run(5, 1) == run(5, 2)
    assert run(5, 1) != run(6, 1)


def test_candidates_are_the_ones_scikit_learn_draws(few):
    found = search.search(few, 5, 3, 1, lambda _: None, TINY).candidates
    named = {f"trees__{name}": values for name, values in TINY.items()}
    drawn = list(ParameterSampler(named, 3, random_state=5))
    for candidate, parameters in zip(found, drawn, strict=True):
        for name, value in parameters.items():
            assert candidate.parameters[name.removeprefix("trees__")] == pytest.approx(value, rel=1e-3)
        assert np.isfinite(candidate.auc)
