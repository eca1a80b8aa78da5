"""Two models' AUC on the same rows, compared by DeLong's method.

E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the areas under two or more correlated
receiver operating characteristic curves", Biometrics 44 (1988) 837-845; in n log n by ranks after
X. Sun, W. Xu, IEEE Signal Processing Letters 21 (2014) 1389-1393.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from credit_retrain.evaluate.figures import Doubles, Labels


@dataclass(frozen=True)
class Comparison:
    """The difference of two AUCs, the first less the second, with its standard error.

    Attributes
    ----------
    low, high : float
        The 95 % interval of the difference.
    """

    first: float
    second: float
    difference: float
    standard_error: float
    low: float
    high: float


def _placements(defaulted: Labels, score: Doubles) -> tuple[float, Doubles, Doubles]:
    """Return the AUC and, per default and per paid loan, the share of the other class ranked right."""
    bad, good = score[defaulted == 1], score[defaulted == 0]
    together = rankdata(np.concatenate([bad, good]))  # ties share their mean rank
    of_bad = (together[: len(bad)] - rankdata(bad)) / len(good)
    of_good = 1 - (together[len(bad) :] - rankdata(good)) / len(bad)
    return float(of_bad.mean()), of_bad, of_good


def compare(defaulted: Labels, first: Doubles, second: Doubles) -> Comparison:
    """Compare two models' scores of the same rows.

    Raises
    ------
    ValueError
        When the rows hold fewer than two of either class.
    """
    bad = int(defaulted.sum())
    if min(bad, len(defaulted) - bad) < 2:
        raise ValueError(f"{bad} of {len(defaulted)} rows defaulted: expected at least two of either class")
    a, a_bad, a_good = _placements(defaulted, first)
    b, b_bad, b_good = _placements(defaulted, second)
    variance = np.var(a_bad - b_bad, ddof=1) / bad + np.var(a_good - b_good, ddof=1) / (len(defaulted) - bad)
    error = float(np.sqrt(variance))
    difference = a - b
    half = float(norm.ppf(0.975)) * error
    return Comparison(a, b, difference, error, difference - half, difference + half)
