"""Tables held to the wire contract: Pandera schemas made from its JSON Schemas."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from credit_retrain.uci import contract
from credit_retrain.uci.contract import LABEL

Test = Callable[[pd.Series], pd.Series]

EXPORT_COLUMNS = (
    "application_id",
    "applied_at",
    "decided_at",
    "model_version",
    "default_probability",
    "decision",
)
"""What `creditstream dataset export` writes before the features."""

SHOWN = 50
"""Violations that a message spells out; a report has all."""


@dataclass(frozen=True)
class Violation:
    """One broken rule: the column, the line of the file (none for a column that is absent), value, rule."""

    column: str
    row: int | None
    value: str | None
    rule: str

    def __str__(self) -> str:
        where = "" if self.row is None else f"row {self.row}: "
        value = "" if self.value is None else f" {self.value!r}"
        return f"{where}{self.column}{value}: {self.rule}"


def features_schema() -> pa.DataFrameSchema:
    """Return the schema of a table of inputs; other columns do not matter."""
    return pa.DataFrameSchema({name: _column(rule) for name, rule in contract.feature_rules().items()})


def training_schema() -> pa.DataFrameSchema:
    """Return the schema of a table of inputs with a label in every row."""
    return features_schema().add_columns({LABEL: _column(_label_rule())})


def export_schema() -> pa.DataFrameSchema:
    """Return the schema of what `creditstream dataset export` writes: the label may be unknown."""
    decided = contract.rules("prediction")
    label = _label_rule()
    return features_schema().add_columns(
        {
            **{name: _column(decided[name]) for name in EXPORT_COLUMNS},
            LABEL: _column({**label, "type": [label["type"], "null"]}),
        }
    )


def violations(text: pd.DataFrame, schema: pa.DataFrameSchema) -> list[Violation]:
    """List every violation in a table of text.

    Parameters
    ----------
    text : DataFrame of str
        As read from a CSV file with a header: NaN where a field is empty, and an index that
        counts the rows of the file from 0.
    schema : DataFrameSchema
        One of this module's.
    """
    try:
        schema.validate(text, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases.to_dict("records")
        if any(case["index"] is None and case["check"] != "column_in_dataframe" for case in cases):
            raise  # a check that could not be run is no violation
        found = [_violation(case) for case in cases]
        return sorted(found, key=lambda v: (v.row or 0, v.column))
    return []


def describe(found: list[Violation]) -> str:
    """Spell violations out, one per line, and count those that are too many to show."""
    lines = [str(v) for v in found[:SHOWN]]
    if len(found) > SHOWN:
        lines.append(f"and {len(found) - SHOWN} more")
    return "\n  ".join(lines)


def _label_rule() -> dict[str, Any]:
    rule: dict[str, Any] = contract.rules("outcome")["defaulted"]
    return rule


def _column(rule: dict[str, Any]) -> pa.Column:
    """Make the column that a property's JSON Schema describes."""
    kinds = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
    kind = next(k for k in kinds if k != "null")
    text, test = _number(kind, rule) if kind in {"integer", "number"} else _string(rule)
    return pa.Column(
        checks=pa.Check(test, name=text, error=text),
        nullable="null" in kinds,
        description=rule.get("description"),
    )


def _number(kind: str, rule: dict[str, Any]) -> tuple[str, Test]:
    low, high = rule["minimum"], rule["maximum"]

    def test(values: pd.Series) -> pd.Series:
        number = pd.to_numeric(values, errors="coerce")
        good = number.between(low, high)  # not a number is not between
        return good & (number % 1 == 0) if kind == "integer" else good

    return f"must be {'an integer' if kind == 'integer' else 'a number'} from {low} to {high}", test


def _string(rule: dict[str, Any]) -> tuple[str, Test]:
    if "enum" in rule:
        allowed = rule["enum"]
        return f"must be one of {', '.join(allowed)}", lambda values: values.isin(allowed)

    def test(values: pd.Series) -> pd.Series:
        length = values.str.len()
        good = length.between(rule.get("minLength", 0), rule.get("maxLength", np.inf))
        if "pattern" in rule:  # not values.str.fullmatch: Arrow knows no \\u
            pattern = re.compile(rule["pattern"])
            good &= values.map(lambda value: pattern.fullmatch(value) is not None).astype(bool)
        if rule.get("format") == "date-time":
            good &= pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce").notna()
        return good

    return f"must be {rule['description']}", test


def _violation(case: dict[str, Any]) -> Violation:
    if case["check"] == "column_in_dataframe":
        return Violation(str(case["failure_case"]), None, None, "there is no such column")
    row = int(case["index"]) + 2  # the header is line 1
    if case["check"] == "not_nullable":
        return Violation(str(case["column"]), row, None, "must not be empty")
    return Violation(str(case["column"]), row, str(case["failure_case"]), str(case["check"]))
