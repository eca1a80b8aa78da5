"""A set of parameters over ten stratified splits of the training rows.

One split ranks nothing: its AUC moves by 0.013 either way with the rows it happens to hold. The
hold-out takes no part here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import t as student
from sklearn.model_selection import train_test_split

from credit_retrain.data.dataset import Dataset
from credit_retrain.evaluate import figures
from credit_retrain.evaluate.figures import Doubles
from credit_retrain.model.pipeline import build

SEEDS = range(10)
TEST_SHARE = 0.2


@dataclass(frozen=True)
class Repeated:
    """Figures per split, and over all of them.

    Attributes
    ----------
    auc, ece : list of float
        Per split, in the order of the seeds.
    auc_interval : tuple of float
        95 %, of the mean, wide enough for splits that share rows.
    pooled_ece, pooled_ece_by_chance : float
        Of every row that some split tested, its predictions averaged; and what a model that is
        right would show on as many rows.
    """

    auc: list[float]
    ece: list[float]
    auc_interval: tuple[float, float]
    pooled_rows: int
    pooled_ece: float
    pooled_ece_by_chance: float

    @property
    def mean_auc(self) -> float:
        """The mean over the splits."""
        return float(np.mean(self.auc))

    def to_dict(self) -> dict[str, Any]:
        """Return the figures rounded to five places."""
        return {
            "splits": len(self.auc),
            "mean_auc": round(self.mean_auc, 5),
            "auc_interval": [round(v, 5) for v in self.auc_interval],
            "auc": [round(v, 5) for v in self.auc],
            "mean_ece": round(float(np.mean(self.ece)), 5),
            "pooled_rows": self.pooled_rows,
            "pooled_ece": round(self.pooled_ece, 5),
            "pooled_ece_by_chance": round(self.pooled_ece_by_chance, 5),
        }


def interval(values: list[float], test_share: float = TEST_SHARE) -> tuple[float, float]:
    """Return the 95 % interval of the mean over repeated splits of the same rows.

    The splits share rows, so their spread understates the variance. It is corrected by the
    share of test to training rows: C. Nadeau, Y. Bengio, "Inference for the generalization
    error", Machine Learning 52 (2003) 239-281.
    """
    n = len(values)
    error = np.sqrt((1 / n + test_share / (1 - test_share)) * np.var(values, ddof=1))
    half = float(student.ppf(0.975, n - 1) * error)
    mean = float(np.mean(values))
    return mean - half, mean + half


def _one(train: Dataset, parameters: dict[str, Any], model_seed: int, seed: int) -> tuple[Any, Doubles]:
    fitted_on, tested = train_test_split(
        np.arange(len(train)), test_size=TEST_SHARE, stratify=train.defaulted, random_state=seed
    )
    pipeline = build(parameters, model_seed).fit(train.features[fitted_on], train.defaulted[fitted_on])
    return tested, pipeline.predict_proba(train.features[tested])[:, 1]


def repeat(train: Dataset, parameters: dict[str, Any], model_seed: int, n_jobs: int) -> Repeated:
    """Fit and test the parameters on every split."""
    done = Parallel(n_jobs=n_jobs)(delayed(_one)(train, parameters, model_seed, seed) for seed in SEEDS)
    total, times = np.zeros(len(train)), np.zeros(len(train), np.int64)
    auc, ece = [], []
    for tested, probability in done:
        total[tested] += probability
        times[tested] += 1
        auc.append(figures.auc(train.defaulted[tested], probability))
        ece.append(figures.ece(train.defaulted[tested], probability))
    seen = times > 0
    pooled = total[seen] / times[seen]
    chance, _ = figures.ece_by_chance(pooled, model_seed)
    return Repeated(
        auc, ece, interval(auc), int(seen.sum()), figures.ece(train.defaulted[seen], pooled), chance
    )
