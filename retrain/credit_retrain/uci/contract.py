"""The wire contract, read from the JSON Schemas that the Go side generates."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

SCHEMAS = resources.files("credit_retrain") / "schemas"
LABEL = "default"
"""Column of a training table that says whether the loan defaulted; `defaulted` in an outcome."""


@dataclass(frozen=True)
class Feature:
    """What the contract says about one feature: its name and its inclusive range of integers."""

    name: str
    minimum: int
    maximum: int


def rules(event: str) -> dict[str, Any]:
    """Return the JSON Schema of every property of an event: `application`, `prediction`, `outcome`."""
    document = json.loads((SCHEMAS / f"{event}.json").read_text(encoding="utf-8"))
    properties: dict[str, Any] = document["properties"]
    return properties


def feature_rules() -> dict[str, Any]:
    """Return the JSON Schema of every feature, in the contract's order."""
    node = rules("application")["features"]
    return {name: node["properties"][name] for name in node["required"]}


FEATURES: list[Feature] = [
    Feature(name, rule["minimum"], rule["maximum"]) for name, rule in feature_rules().items()
]
NAMES: list[str] = [f.name for f in FEATURES]
PROTECTED: frozenset[str] = frozenset({"sex", "marriage", "age"})
"""Protected bases in credit law: in the event for fairness monitoring, never inputs of a model."""

USED: list[str] = [name for name in NAMES if name not in PROTECTED]
"""Inputs of the model, in the contract's order."""

USED_COLUMNS: list[int] = [NAMES.index(name) for name in USED]

USED_RUNS: list[tuple[int, int]] = [
    (i, next((j for j in range(i, len(NAMES)) if NAMES[j] in PROTECTED), len(NAMES)))
    for i in USED_COLUMNS
    if i == 0 or NAMES[i - 1] in PROTECTED
]
"""Runs of used columns among all of them, [first, last)."""

_LABELS = {"default.payment.next.month", "default payment next month", LABEL}


def column(name: str) -> str:
    """Return the contract's name of a column of the published file."""
    name = name.strip().strip('"').lower()
    if name in _LABELS:
        return LABEL
    return "pay_0" if name == "pay_1" else name


def kind(name: str) -> str:
    """Return what a feature is: a code or status takes few values, an age or amount many."""
    if name in {"sex", "education", "marriage"}:
        return "code"
    if name.startswith("pay_") and not name.startswith("pay_amt"):
        return "status"
    return "age" if name == "age" else "amount"
