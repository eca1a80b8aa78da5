"""Figures of predicted probabilities against what came of them, each with its interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from credit_retrain.data.bins import histogram, psi

Doubles = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Figure = Callable[[Labels, Doubles], float]

ECE_BINS = 15
RESAMPLES = 500


def auc(defaulted: Labels, probability: Doubles) -> float:
    """Area under the ROC curve: how often a default ranks above a loan that was paid.

    By ranks, as the Mann-Whitney statistic; a bootstrap asks for it thousands of times.
    """
    bad = int(defaulted.sum())
    good = len(defaulted) - bad
    ranks = rankdata(probability)  # ties share their mean rank
    return float((ranks[defaulted == 1].sum() - bad * (bad + 1) / 2) / (bad * good))


def gini(defaulted: Labels, probability: Doubles) -> float:
    """Twice the AUC, less one."""
    return 2 * auc(defaulted, probability) - 1


def _caught(defaulted: Labels, probability: Doubles) -> tuple[Labels, Labels]:
    """Count defaults and paid loans at or above every distinct probability, the highest first."""
    order = np.argsort(-probability, kind="stable")
    last = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    bad = np.cumsum(defaulted[order])[last]
    return bad, last + 1 - bad


def ks(defaulted: Labels, probability: Doubles) -> float:
    """Kolmogorov-Smirnov: the largest distance between the two classes' distributions of scores."""
    bad, good = _caught(defaulted, probability)
    return float(np.max(bad / bad[-1] - good / good[-1]))


def pr_auc(defaulted: Labels, probability: Doubles) -> float:
    """Average precision: the area under the precision-recall curve as a sum of steps."""
    bad, good = _caught(defaulted, probability)
    return float((np.diff(bad, prepend=0) / bad[-1] * bad / (bad + good)).sum())


def brier(defaulted: Labels, probability: Doubles) -> float:
    """Mean squared distance of probability and outcome."""
    return float(np.mean((probability - defaulted) ** 2))


def cross_entropy(defaulted: Labels, probability: Doubles) -> float:
    """Mean negative log-likelihood, natural logarithm."""
    tiny = np.finfo(np.float64).eps
    of_what_came = np.where(defaulted == 1, probability, 1 - probability)
    return float(-np.log(np.clip(of_what_came, tiny, 1 - tiny)).mean())


def ece(defaulted: Labels, probability: Doubles, bins: int = ECE_BINS) -> float:
    """Mean distance of predicted and observed default rate over bins of equal numbers of rows."""
    order = np.argsort(probability, kind="stable")
    error = 0.0
    for part in np.array_split(order, bins):
        error += len(part) / len(order) * abs(probability[part].mean() - defaulted[part].mean())
    return float(error)


def ece_by_chance(
    probability: Doubles, seed: int, draws: int = RESAMPLES, bins: int = ECE_BINS
) -> tuple[float, float]:
    """Say what calibration error a model that is right shows on as many rows.

    Outcomes are drawn from the probabilities themselves, so that all that is left is the
    noise of few rows per bin.

    Returns
    -------
    mean, percentile : float
        Over the draws; the percentile is the 95th.
    """
    rng = np.random.default_rng(seed)
    ordered = np.sort(probability, kind="stable")
    starts = np.cumsum([0, *(len(part) for part in np.array_split(ordered, bins))])[:-1]
    gaps = np.empty(draws)
    for i in range(draws):
        outcomes = rng.random(len(ordered)) < ordered
        gaps[i] = np.abs(np.add.reduceat(outcomes - ordered, starts)).sum() / len(ordered)
    return float(gaps.mean()), float(np.percentile(gaps, 95))


ALL: dict[str, Figure] = {
    "auc": auc,
    "gini": gini,
    "ks": ks,
    "pr_auc": pr_auc,
    "brier": brier,
    "log_loss": cross_entropy,
    "ece": ece,
}


def intervals(
    defaulted: Labels, probability: Doubles, seed: int, figures: dict[str, Figure], resamples: int = RESAMPLES
) -> dict[str, tuple[float, float]]:
    """Bootstrap the rows: the 2.5 and 97.5 percentiles of every figure over the same resamples.

    A resample without one of the classes is drawn again.
    """
    rng = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {name: [] for name in figures}
    drawn = 0
    while drawn < resamples:
        rows = rng.integers(0, len(defaulted), len(defaulted))
        if not 0 < defaulted[rows].sum() < len(rows):
            continue
        drawn += 1
        for name, figure in figures.items():
            draws[name].append(figure(defaulted[rows], probability[rows]))
    out = {}
    for name, values in draws.items():
        low, high = np.percentile(values, [2.5, 97.5])
        out[name] = (float(low), float(high))
    return out


def lift(defaulted: Labels, probability: Doubles, parts: int = 10) -> list[dict[str, Any]]:
    """Tabulate equal parts of the rows, the riskiest first: default rate, lift, share of defaults caught."""
    order = np.argsort(-probability, kind="stable")
    rate, total, caught = defaulted.mean(), defaulted.sum(), 0
    table = []
    for i, part in enumerate(np.array_split(order, parts), 1):
        caught += int(defaulted[part].sum())
        table.append(
            {
                "part": i,
                "rows": len(part),
                "lowest_probability": round(float(probability[part].min()), 5),
                "default_rate": round(float(defaulted[part].mean()), 5),
                "lift": round(float(defaulted[part].mean() / rate), 3),
                "caught": round(caught / float(total), 5),
            }
        )
    return table


def calibration(defaulted: Labels, probability: Doubles, bins: int = ECE_BINS) -> list[dict[str, Any]]:
    """Tabulate predicted and observed default rate over bins of equal numbers of rows, lowest first.

    The interval is Wilson's, 95 %, of the observed rate.
    """
    order = np.argsort(probability, kind="stable")
    table = []
    for part in np.array_split(order, bins):
        low, high = wilson(int(defaulted[part].sum()), len(part))
        table.append(
            {
                "rows": len(part),
                "predicted": round(float(probability[part].mean()), 5),
                "observed": round(float(defaulted[part].mean()), 5),
                "interval": [round(low, 5), round(high, 5)],
            }
        )
    return table


def wilson(hits: int, rows: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a share."""
    share = hits / rows
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return float(centre - half), float(centre + half)


def score_psi(before: Doubles, after: Doubles, bins: int = 10) -> float:
    """PSI of two sets of scores over bins that hold equal shares of the first."""
    edges = np.unique(np.quantile(before, np.linspace(0, 1, bins + 1)[1:-1]))
    return psi(histogram(before, edges), histogram(after, edges))
