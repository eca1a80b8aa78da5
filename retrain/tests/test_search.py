import numpy as np
import pytest
from sklearn.model_selection import ParameterSampler

from credit_retrain import search
from credit_retrain.dataset import Dataset
from credit_retrain.search import Candidate

TINY = {**search.SPACE, "max_depth": [1, 2], "n_estimators": [3, 6]}


def of(depth, trees, auc, error=0.004):
    return Candidate({"max_depth": depth, "n_estimators": trees}, auc, error, 1.0)


def test_the_smallest_within_one_standard_error_of_the_best_is_taken():
    best, shallow, poor = of(4, 300, 0.790), of(2, 100, 0.787), of(2, 60, 0.785)
    assert search.smallest_good([best, poor, shallow]) is shallow
    assert search.smallest_good([best, poor]) is best


def test_depth_counts_before_trees_and_the_better_of_equals_wins():
    assert search.smallest_good([of(3, 60, 0.79), of(2, 300, 0.79)]).parameters["max_depth"] == 2
    assert search.smallest_good([of(2, 100, 0.789), of(2, 100, 0.79)]).auc == 0.79


@pytest.fixture(scope="module")
def few(uci):
    return Dataset(uci.features[:1500], uci.defaulted[:1500])


def test_progress_is_told_for_every_candidate(few):
    lines = []
    chosen, found = search.search(few, 5, 3, 1, lines.append, TINY)
    assert len(lines) == len(found) == 3
    assert lines[0].startswith("  candidate 1 of 3: AUC 0.")
    assert chosen in found


def test_the_seed_decides_and_the_number_of_jobs_does_not(few):
    def run(seed, jobs):
        chosen, found = search.search(few, seed, 3, jobs, lambda _: None, TINY)
        return chosen.parameters, [(c.parameters, c.auc) for c in found]

    assert run(5, 1) == run(5, 2)
    assert run(5, 1) != run(6, 1)


def test_candidates_are_the_ones_scikit_learn_draws(few):
    _, found = search.search(few, 5, 3, 1, lambda _: None, TINY)
    named = {f"trees__{name}": values for name, values in TINY.items()}
    drawn = list(ParameterSampler(named, 3, random_state=5))
    for candidate, parameters in zip(found, drawn, strict=True):
        for name, value in parameters.items():
            assert candidate.parameters[name.removeprefix("trees__")] == pytest.approx(value, rel=1e-3)
        assert np.isfinite(candidate.auc)
