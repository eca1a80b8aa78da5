"""The wire contract, read from the JSON Schema that the Go side generates."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

SCHEMA = Path(__file__).resolve().parents[2] / "schemas" / "jsonschema" / "application.json"


@dataclass(frozen=True)
class Feature:
    """What the contract says about one feature: its name and its inclusive range of integers."""

    name: str
    minimum: int
    maximum: int


def features(schema: Path = SCHEMA) -> list[Feature]:
    """List the features in the contract's order."""
    document = json.loads(schema.read_text(encoding="utf-8"))
    node = document["properties"]["features"]
    rules = node["properties"]
    return [Feature(name, rules[name]["minimum"], rules[name]["maximum"]) for name in node["required"]]


FEATURES: list[Feature] = features()
NAMES: list[str] = [f.name for f in FEATURES]
PROTECTED: frozenset[str] = frozenset({"sex", "marriage", "age"})
"""Protected bases in credit law: in the event for fairness monitoring, never inputs of a model."""

USED: list[str] = [name for name in NAMES if name not in PROTECTED]
"""Inputs of the model, in the contract's order."""
