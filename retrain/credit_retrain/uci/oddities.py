"""What is odd about the rows: counted, and kept on purpose (docs/data.md)."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from credit_retrain.data.dataset import Dataset, texts
from credit_retrain.uci.contract import NAMES, kind

UNDOCUMENTED: dict[str, tuple[int, ...]] = {"education": (0, 5, 6), "marriage": (0,)}
"""Codes that the description of the UCI data does not know."""

NO_USE = -2
"""Repayment status that the description does not know either: the card was not used in the month."""

STATUS = [name for name in NAMES if kind(name) == "status"]


@dataclass(frozen=True)
class Oddities:
    """Counts of rows.

    Attributes
    ----------
    undocumented : dict of dict
        Rows by feature and code.
    no_use : dict
        Rows with status −2, by month.
    duplicates : int
        Rows that repeat an earlier row, label included.
    same_features : int
        Rows that have the features of an earlier row, whatever the label.
    conflicting_groups, conflicting_rows : int
        Sets of equal features that hold both labels, and the rows in them.
    negative_bills : int
        Rows with a bill below nought: more was paid than owed.
    over_limit : int
        Rows whose latest bill is above the limit.
    """

    rows: int
    undocumented: dict[str, dict[str, int]]
    no_use: dict[str, int]
    duplicates: int
    same_features: int
    conflicting_groups: int
    conflicting_rows: int
    negative_bills: int
    over_limit: int

    def to_dict(self) -> dict[str, Any]:
        """Return the counts by name."""
        return asdict(self)


def count(data: Dataset) -> Oddities:
    """Count them."""
    column = {name: data.features[:, i] for i, name in enumerate(NAMES)}
    features = texts(data.features)
    defaults: Counter[str] = Counter()
    for row, defaulted in zip(features, data.defaulted.tolist(), strict=True):
        defaults[row] += defaulted
    sizes = Counter(features)
    conflicting = [n for row, n in sizes.items() if 0 < defaults[row] < n]
    labelled = set(zip(features, data.defaulted.tolist(), strict=True))
    bills = data.features[:, NAMES.index("bill_amt1") : NAMES.index("bill_amt6") + 1]
    return Oddities(
        rows=len(data),
        undocumented={
            name: {str(code): int((column[name] == code).sum()) for code in codes}
            for name, codes in UNDOCUMENTED.items()
        },
        no_use={name: int((column[name] == NO_USE).sum()) for name in STATUS},
        duplicates=len(data) - len(labelled),
        same_features=len(data) - len(sizes),
        conflicting_groups=len(conflicting),
        conflicting_rows=sum(conflicting),
        negative_bills=int((bills < 0).any(axis=1).sum()),
        over_limit=int((column["bill_amt1"] > column["limit_bal"]).sum()),
    )
