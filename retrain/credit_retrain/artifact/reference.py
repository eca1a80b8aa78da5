"""The training distribution in fixed bins, which drift is measured against."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from credit_retrain.data.dataset import Dataset
from credit_retrain.evaluate.figures import histogram
from credit_retrain.uci.contract import FEATURES

QUANTILE_BINS = 20
SCORE_EDGES = [round(-8 + 0.1 * i, 1) for i in range(161)]


def kind(name: str) -> str:
    """Say how a feature is binned: code and status by value, age and amount by quantiles."""
    if name in {"sex", "education", "marriage"}:
        return "code"
    if name.startswith("pay_") and not name.startswith("pay_amt"):
        return "status"
    return "age" if name == "age" else "amount"


def edges(name: str, low: int, high: int, values: npt.NDArray[np.float64]) -> list[int]:
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


def build(train: Dataset, log_odds: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Count the training rows per bin, and their scores per bin of log-odds."""
    out = []
    for i, feature in enumerate(FEATURES):
        column = train.features[:, i]
        values = column[~np.isnan(column)]
        at = edges(feature.name, feature.minimum, feature.maximum, values)
        out.append(
            {
                "name": feature.name,
                "kind": kind(feature.name),
                "edges": at,
                "counts": histogram(values, at).tolist(),
                "missing": len(column) - len(values),
                "out_of_range": 0,
            }
        )
    return {
        "rows": len(train),
        "features": out,
        "scores": {"edges": SCORE_EDGES, "counts": histogram(log_odds, SCORE_EDGES).tolist()},
    }
