"""What the default policy makes of a model's probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from credit_retrain.data.dataset import Dataset
from credit_retrain.evaluate.fairness import MAX_MISSING, approve, missing
from credit_retrain.evaluate.figures import Doubles, wilson

DECLINE_FROM = 0.45
"""The default policy's other cut-off: a probability at or above it is declined (policy/policy.go)."""


def decide(rows: Dataset, probability: Doubles) -> npt.NDArray[np.str_]:
    """Return approve, refer or decline for every row."""
    declined = (probability >= DECLINE_FROM) & (missing(rows) <= MAX_MISSING)
    return np.where(approve(rows, probability), "approve", np.where(declined, "decline", "refer"))


def table(rows: Dataset, probability: Doubles) -> list[dict[str, Any]]:
    """Tabulate the decisions, with what became of the loans.

    Returns
    -------
    list of dict
        `decision`, `rows`, `share`, `default_rate` with its Wilson `interval` (None without rows),
        `defaults`: the share of all defaults that fell to it.
    """
    decided, defaulted = decide(rows, probability), rows.defaulted
    out = []
    for decision in ("approve", "refer", "decline"):
        those = decided == decision
        n, bad = int(those.sum()), int(defaulted[those].sum())
        out.append(
            {
                "decision": decision,
                "rows": n,
                "share": round(n / len(rows), 5),
                "default_rate": round(bad / n, 5) if n else None,
                "interval": [round(v, 5) for v in wilson(bad, n)] if n else None,
                "defaults": round(bad / max(int(defaulted.sum()), 1), 5),
            }
        )
    return out
