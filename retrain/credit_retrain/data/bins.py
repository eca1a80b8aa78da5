"""Values counted in fixed bins, and how far two counts are apart."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from credit_retrain.uci.contract import kind

QUANTILE_BINS = 20

Doubles = npt.NDArray[np.float64]


def edges(name: str, low: int, high: int, values: Doubles) -> list[int]:
    """Return ascending whole-number edges for known values; bin i holds edges[i-1] <= x < edges[i].

    A column of one value, or with nearly nothing else, has a bin of that value and one on either side:
    in a single bin nothing that happens to it would be seen.
    """
    if kind(name) in {"code", "status"}:
        return list(range(low + 1, high + 1))
    if len(values) == 0:  # whatever comes is news beside what was missing
        return []
    quantiles = np.quantile(values, np.linspace(0, 1, QUANTILE_BINS + 1)[1:-1], method="inverted_cdf")
    distinct = {int(q) for q in quantiles}
    if len(distinct) == 1:
        (value,) = distinct
        return [value, value + 1]
    return sorted(distinct - {int(values.min())})


def histogram(values: Doubles, edges: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Count values in bins; bin i holds edges[i-1] <= x < edges[i], the first and last are open."""
    at = np.asarray(edges, np.float64)
    return np.bincount(np.searchsorted(at, values, side="right"), minlength=len(at) + 1)


def psi(expected: npt.ArrayLike, actual: npt.ArrayLike) -> float:
    """Return the population stability index of two histograms over the same bins.

    Half a row is added to every bin, so that an empty one stays finite.
    """
    e, a = np.asarray(expected, np.float64) + 0.5, np.asarray(actual, np.float64) + 0.5
    e, a = e / e.sum(), a / a.sum()
    return float(((a - e) * np.log(a / e)).sum())
