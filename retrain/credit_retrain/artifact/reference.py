"""The training distribution in fixed bins, which drift is measured against."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from credit_retrain.data.bins import edges, histogram
from credit_retrain.data.dataset import Dataset
from credit_retrain.uci.contract import FEATURES, kind

SCORE_EDGES = [round(-8 + 0.1 * i, 1) for i in range(161)]


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
