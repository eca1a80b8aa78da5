"""The search for parameters: random candidates, cross-validated, the smallest good one taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import loguniform, randint, uniform
from sklearn.model_selection import ParameterSampler, RandomizedSearchCV, StratifiedKFold

from credit_retrain.data.dataset import Dataset
from credit_retrain.model.pipeline import build

Report = Callable[[str], None]

FOLDS = 5

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

    def size(self) -> tuple[int, int]:
        """Return what makes a model slow and hard to explain: its depth, then its number of leaves."""
        return self.parameters["max_depth"], self.parameters["n_estimators"] * 2 ** self.parameters[
            "max_depth"
        ]


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


class _Told(RandomizedSearchCV):  # type: ignore[misc]
    """A randomised search that says of each candidate how it did.

    The candidates are the ones that RandomizedSearchCV draws for the same seed, their fractions
    rounded to four digits.
    """

    report: Report

    def _run_search(self, evaluate_candidates: Callable[[list[dict[str, Any]]], dict[str, Any]]) -> None:
        drawn = list(ParameterSampler(self.param_distributions, self.n_iter, random_state=self.random_state))
        for i, parameters in enumerate(drawn):
            plain = {name: _plain(value) for name, value in parameters.items()}
            done = _candidates(evaluate_candidates([plain]))
            best = max(c.auc for c in done)
            told = ", ".join(f"{k} {v:.3g}" for k, v in sorted(done[-1].parameters.items()))
            self.report(
                f"  candidate {i + 1} of {len(drawn)}: AUC {done[-1].auc:.4f} "
                f"± {done[-1].standard_error:.4f}, best so far {best:.4f} ({told})"
            )


def _candidates(results: dict[str, Any]) -> list[Candidate]:
    return [
        Candidate(
            {name.removeprefix("trees__"): value for name, value in parameters.items()},
            [float(results[f"split{k}_test_score"][i]) for k in range(FOLDS)],
            float(results["mean_fit_time"][i]),
        )
        for i, parameters in enumerate(results["params"])
    ]


def _plain(value: Any) -> Any:
    """Return a number as JSON has it, a fraction with four digits."""
    if isinstance(value, float | np.floating):
        return float(f"{value:.4g}")
    return int(value)


def search(
    train: Dataset,
    seed: int,
    n_iter: int,
    n_jobs: int,
    report: Report,
    space: dict[str, Any] | None = None,
) -> tuple[Candidate, list[Candidate]]:
    """Draw candidates, cross-validate them on the training rows and take the smallest good one.

    Parameters
    ----------
    n_iter : int
        How many candidates.
    n_jobs : int
        Folds fitted at once; it changes nothing but the time.

    Returns
    -------
    chosen, all : Candidate, list of Candidate
    """
    told = _Told(
        build({}, seed),
        {f"trees__{name}": values for name, values in (space or SPACE).items()},
        n_iter=n_iter,
        n_jobs=n_jobs,
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=seed),
        scoring="roc_auc",
        random_state=seed,
        refit=False,
        error_score="raise",
    )
    told.report = report
    told.fit(train.features, train.defaulted)
    done = _candidates(told.cv_results_)
    return smallest_good(done), done
