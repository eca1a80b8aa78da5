"""The search for parameters: random candidates, cross-validated, the smallest good one taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import loguniform, randint, uniform
from sklearn.model_selection import RandomizedSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline

from credit_retrain.data.dataset import Dataset
from credit_retrain.model.pipeline import build

Report = Callable[[str], None]

FOLDS = 5
EVALUATION = "candidate-split-evaluation"
"""What scikit-learn calls the fit of one candidate on one fold."""

SPACE: dict[str, Any] = {
    "max_depth": [2, 3, 4],
    "n_estimators": randint(60, 301),
    "learning_rate": loguniform(0.03, 0.2),
    "subsample": uniform(0.5, 0.5),
    "max_features": uniform(0.2, 0.4),
    "min_samples_leaf": randint(20, 201),
}
"""What is drawn from. Deeper trees gain nothing on this data and cost the most to explain."""


@dataclass(frozen=True)
class Candidate:
    """Parameters, and what they were worth in cross-validation.

    Attributes
    ----------
    folds : list of float
        AUC on each fold, the same folds for every candidate.
    seconds : float
        To fit one fold, on average.
    """

    parameters: dict[str, Any]
    folds: list[float]
    seconds: float

    @property
    def auc(self) -> float:
        """The mean over the folds."""
        return float(np.mean(self.folds))

    @property
    def standard_error(self) -> float:
        """Of that mean."""
        return _error(self.folds)

    def to_dict(self) -> dict[str, Any]:
        """Return what metrics.json keeps of it."""
        return {**asdict(self), "auc": self.auc, "standard_error": self.standard_error}

    def size(self) -> tuple[int, int]:
        """Return what makes a model slow and hard to explain: its depth, then its number of leaves."""
        return self.parameters["max_depth"], self.parameters["n_estimators"] * 2 ** self.parameters[
            "max_depth"
        ]


@dataclass(frozen=True)
class Found:
    """What a search took, of which candidates, and the pipeline fitted to all training rows."""

    chosen: Candidate
    candidates: list[Candidate]
    pipeline: Pipeline


def _error(folds: list[float]) -> float:
    return float(np.std(folds, ddof=1) / np.sqrt(len(folds)))


def smallest_good(candidates: list[Candidate]) -> Candidate:
    """Take the smallest candidate whose AUC is within one standard error of the best.

    The error is that of the difference, fold by fold: what makes a fold hard is hard for both,
    and their own errors would let a model pass that is worse on every fold. Of equally small
    ones the better.
    """
    best = max(candidates, key=lambda c: c.auc)
    good = [c for c in candidates if best.auc - c.auc <= _error(np.subtract(best.folds, c.folds).tolist())]
    return min(good, key=lambda c: (c.size(), -c.auc))


class Rounded:
    """A distribution whose draws are plain numbers as JSON has them, fractions with four digits."""

    def __init__(self, distribution: Any) -> None:
        self.distribution = distribution

    def rvs(self, random_state: Any = None) -> int | float:
        """Draw a number: the one that the distribution draws for the same state, rounded."""
        value = self.distribution.rvs(random_state=random_state)
        return float(f"{value:.4g}") if isinstance(value, float | np.floating) else int(value)


class Progress:
    """A callback of scikit-learn's that reports each candidate whose folds are all handed out.

    It runs in whichever process fits the fold; scores are known when the search is done.
    """

    def __init__(self, candidates: int, report: Report) -> None:
        self.candidates = candidates
        self.report = report

    def setup(self, estimator: Any, context: Any) -> None:
        """Begin a search."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """End it."""

    def on_fit_task_begin(self, estimator: Any, context: Any, **_: Any) -> None:
        """Begin a fold, or the last fit."""

    def on_fit_task_end(self, estimator: Any, context: Any, **_: Any) -> None:
        """Report a candidate at its last fold."""
        candidate, fold = divmod(context.task_id, FOLDS)
        if context.task_name == EVALUATION and fold == FOLDS - 1:
            self.report(f"  candidate {candidate + 1} of {self.candidates} cross-validated")


def _candidates(results: dict[str, Any]) -> list[Candidate]:
    return [
        Candidate(
            {name.removeprefix("trees__"): value for name, value in parameters.items()},
            [float(results[f"split{k}_test_score"][i]) for k in range(FOLDS)],
            float(results["mean_fit_time"][i]),
        )
        for i, parameters in enumerate(results["params"])
    ]


def _smallest_good(results: dict[str, Any]) -> int:
    """Return the index of the candidate to take, as `RandomizedSearchCV(refit=...)` asks."""
    candidates = _candidates(results)
    return candidates.index(smallest_good(candidates))


def search(
    train: Dataset,
    seed: int,
    n_iter: int,
    n_jobs: int,
    report: Report,
    space: dict[str, Any] | None = None,
) -> Found:
    """Draw candidates, cross-validate them on the training rows, take and fit the smallest good one.

    Parameters
    ----------
    n_iter : int
        How many candidates.
    n_jobs : int
        Folds fitted at once; it changes nothing but the time.
    """
    searched = RandomizedSearchCV(
        build({}, seed),
        {f"trees__{name}": _rounded(values) for name, values in (space or SPACE).items()},
        n_iter=n_iter,
        n_jobs=n_jobs,
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
        scoring="roc_auc",
        random_state=seed,
        refit=_smallest_good,
        error_score="raise",
    )
    searched.set_callbacks(Progress(n_iter, report))
    searched.fit(train.features, train.defaulted)
    done = _candidates(searched.cv_results_)
    for i, candidate in enumerate(done):
        told = ", ".join(f"{k} {v:.3g}" for k, v in sorted(candidate.parameters.items()))
        report(f"  candidate {i + 1}: AUC {candidate.auc:.4f} ± {candidate.standard_error:.4f} ({told})")
    return Found(done[searched.best_index_], done, searched.best_estimator_)


def _rounded(values: Any) -> Any:
    return values if isinstance(values, list) else Rounded(values)
