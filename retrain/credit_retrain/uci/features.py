"""Engineered features: one list of operations, run by NumPy and written as ONNX nodes.

Every engine computes the same bits because sums and maxima are taken over integers
below 2**24 only, which float32 holds exactly in any order, and each ratio is a single
float32 division at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from credit_retrain.uci.contract import USED

Floats = npt.NDArray[np.float32]
LARGEST = float(np.finfo(np.float32).max)

COLUMNS: dict[str, tuple[int, int]] = {
    "limit": (0, 1),
    "status": (2, 8),
    "status_1": (2, 3),
    "status_2": (3, 4),
    "status_6": (7, 8),
    "bill": (8, 14),
    "bill_1": (8, 9),
    "bill_2": (9, 10),
    "bill_3": (10, 11),
    "bill_6": (13, 14),
    "bill_2_6": (9, 14),
    "paid": (14, 20),
    "paid_1": (14, 15),
    "paid_2": (15, 16),
    "paid_1_5": (14, 19),
}
"""Runs of columns among the used inputs, [first, last)."""


@dataclass(frozen=True)
class Step:
    """One operation: its result's name, the ONNX operator, and its arguments (names or constants)."""

    name: str
    op: str
    args: tuple[str | float, ...]


def _steps() -> list[Step]:
    def ratio(name: str, numerator: str, denominator: str) -> list[Step]:
        """Payments against a bill: the bill at least 1, the ratio from 0 to 2."""
        return [
            Step(name + "_base", "Clip", (denominator, 1.0, LARGEST)),
            Step(name + "_raw", "Div", (numerator, name + "_base")),
            Step(name, "Clip", (name + "_raw", 0.0, 2.0)),
        ]

    return [
        Step("limit_1", "Clip", ("limit", 1.0, LARGEST)),
        Step("limit_x6", "Mul", ("limit_1", 6.0)),
        Step("bill_sum", "ReduceSum", ("bill",)),
        Step("bill_max", "ReduceMax", ("bill",)),
        Step("bill_rise", "Sub", ("bill_1", "bill_6")),
        Step("util_1", "Div", ("bill_1", "limit_1")),
        Step("util_mean", "Div", ("bill_sum", "limit_x6")),
        Step("util_max", "Div", ("bill_max", "limit_1")),
        Step("util_rise", "Div", ("bill_rise", "limit_1")),
        *ratio("payratio_1", "paid_1", "bill_2"),
        *ratio("payratio_2", "paid_2", "bill_3"),
        Step("paid_sum5", "ReduceSum", ("paid_1_5",)),
        Step("bill_sum5", "ReduceSum", ("bill_2_6",)),
        *ratio("payratio_5m", "paid_sum5", "bill_sum5"),
        Step("paid_sum", "ReduceSum", ("paid",)),
        Step("paid_to_limit", "Div", ("paid_sum", "limit_1")),
        Step("delay_max", "ReduceMax", ("status",)),
        Step("delays", "Clip", ("status", 0.0, LARGEST)),
        Step("delayed", "Clip", ("status", 0.0, 1.0)),
        Step("delay_months", "ReduceSum", ("delayed",)),
        Step("delay_sum", "ReduceSum", ("delays",)),
        Step("delay_1", "Clip", ("status_1", 0.0, LARGEST)),
        Step("delay_2", "Clip", ("status_2", 0.0, LARGEST)),
        Step("delay_recent", "Add", ("delay_1", "delay_2")),
        Step("delay_trend", "Sub", ("status_1", "status_6")),
        Step("paying", "Clip", ("paid", 0.0, 1.0)),
        Step("paid_months", "ReduceSum", ("paying",)),
        Step("headroom", "Sub", ("limit_1", "bill_1")),
    ]


STEPS = _steps()

ENGINEERED: dict[str, str] = {
    "util_1": "UTILISATION",
    "util_mean": "UTILISATION",
    "util_max": "UTILISATION",
    "util_rise": "UTILISATION",
    "headroom": "UTILISATION",
    "payratio_1": "RECENT_PAYMENT",
    "payratio_2": "PAST_PAYMENTS",
    "payratio_5m": "PAST_PAYMENTS",
    "paid_to_limit": "PAST_PAYMENTS",
    "paid_months": "PAST_PAYMENTS",
    "delay_max": "PAST_DELAY",
    "delay_months": "PAST_DELAY",
    "delay_sum": "PAST_DELAY",
    "delay_recent": "RECENT_DELAY",
    "delay_trend": "RECENT_DELAY",
}
"""Engineered features that the trees see, each with its reason group."""

MEANINGS: dict[str, str] = {
    "util_1": "the latest bill over the limit",
    "util_mean": "the mean of the six bills over the limit",
    "util_max": "the highest bill over the limit",
    "util_rise": "the latest bill less the earliest, over the limit",
    "headroom": "the limit less the latest bill",
    "payratio_1": "the latest payment over the bill before it, from 0 to 2",
    "payratio_2": "the last payment but one over the bill before it, from 0 to 2",
    "payratio_5m": "the latest five payments over their five bills, from 0 to 2",
    "paid_to_limit": "the six payments over the limit",
    "paid_months": "in how many of the six months something was paid",
    "delay_max": "the worst payment status of the six months",
    "delay_months": "in how many of the six months a payment was late",
    "delay_sum": "months of delay, summed over the six months",
    "delay_recent": "months of delay, summed over the latest two months",
    "delay_trend": "the latest payment status less the earliest",
}
"""What each of them is, in words."""

RAW_GROUPS: dict[str, str] = {
    "limit_bal": "LIMIT",
    "education": "EDUCATION",
    "pay_0": "RECENT_DELAY",
    **{f"pay_{i}": "PAST_DELAY" for i in range(2, 7)},
    **{f"bill_amt{i}": "BALANCE" for i in range(1, 7)},
    "pay_amt1": "RECENT_PAYMENT",
    **{f"pay_amt{i}": "PAST_PAYMENTS" for i in range(2, 7)},
}

GROUP_TEXTS: dict[str, str] = {
    "LIMIT": "The credit limit held is low",
    "EDUCATION": "Information on education",
    "RECENT_DELAY": "Payments in the most recent months were late",
    "PAST_DELAY": "Payments in earlier months were late",
    "UTILISATION": "The share of the credit limit in use is high",
    "BALANCE": "The level or course of balances owed",
    "RECENT_PAYMENT": "The most recent payment was low against what was owed",
    "PAST_PAYMENTS": "Earlier payments were low against what was owed",
}

TREE_INPUTS: list[tuple[str, str]] = [(name, RAW_GROUPS[name]) for name in USED] + list(ENGINEERED.items())
"""Columns of the tree ensemble's input, each with its reason group."""

_NUMPY: dict[str, Any] = {
    "Clip": lambda x, low, high: np.minimum(np.maximum(x, np.float32(low)), np.float32(high)),
    "Div": np.divide,
    "Mul": lambda x, c: x * np.float32(c),
    "Sub": np.subtract,
    "Add": np.add,
    "ReduceSum": lambda x: x.sum(axis=1, keepdims=True, dtype=np.float32),
    "ReduceMax": lambda x: x.max(axis=1, keepdims=True),
}


def engineer(used: Floats) -> Floats:
    """Compute the tree ensemble's input.

    Parameters
    ----------
    used : ndarray of float32, shape (n, 20)
        Imputed inputs in the order of `USED`.

    Returns
    -------
    ndarray of float32, shape (n, 35)
        The used inputs, then the engineered features.
    """
    values: dict[str, Floats] = {name: used[:, a:b] for name, (a, b) in COLUMNS.items()}
    for step in STEPS:
        arguments = [values[a] if isinstance(a, str) else a for a in step.args]
        values[step.name] = _NUMPY[step.op](*arguments)
    return np.hstack([used] + [values[name] for name in ENGINEERED]).astype(np.float32)
