"""Raw rows around every threshold of the shipped model, with what scikit-learn and shap say of them.

A split compares one tree input with a threshold, and most tree inputs are computed. So the rows
are found backwards: whole numbers within the contract from which the graph computes the float32 at
the threshold, and those next to it.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.pipeline import Pipeline

from credit_retrain.artifact import bundle, golden, refit
from credit_retrain.artifact.opened import Bundle
from credit_retrain.data.dataset import Dataset
from credit_retrain.model.pipeline import tree_inputs
from credit_retrain.uci.contract import FEATURES, NAMES, USED, kind
from credit_retrain.uci.features import TREE_INPUTS

Doubles = npt.NDArray[np.float64]

INPUTS = [name for name, _ in TREE_INPUTS]
LOW = {f.name: f.minimum for f in FEATURES}
HIGH = {f.name: f.maximum for f in FEATURES}
STATUS = [n for n in NAMES if kind(n) == "status"]
BILL = [n for n in NAMES if n.startswith("bill_amt")]
PAID = [n for n in NAMES if n.startswith("pay_amt")]

Row = dict[str, int | None]
"""A row by feature, None where missing."""


@dataclass(frozen=True)
class Ratio:
    """A tree input that divides the sum (or the largest) of some columns by the sum of others."""

    numerator: list[str]
    denominator: list[str]
    largest: bool = False
    times: int = 1
    """What the denominator is multiplied with."""


RATIOS = {
    "util_1": Ratio(["bill_amt1"], ["limit_bal"]),
    "util_mean": Ratio(BILL, ["limit_bal"], times=6),
    "util_max": Ratio(BILL, ["limit_bal"], largest=True),
    "util_rise": Ratio(["bill_amt1", "bill_amt6"], ["limit_bal"]),
    "payratio_1": Ratio(["pay_amt1"], ["bill_amt2"]),
    "payratio_2": Ratio(["pay_amt2"], ["bill_amt3"]),
    "payratio_5m": Ratio(PAID[:5], BILL[1:]),
    "paid_to_limit": Ratio(PAID, ["limit_bal"]),
}


def splits(pipeline: Pipeline) -> list[tuple[int, float]]:
    """List every tree input with a threshold, as scikit-learn has it, once."""
    return sorted(
        {
            (int(f), float(t))
            for tree in pipeline.named_steps["trees"].estimators_[:, 0]
            for f, t in zip(tree.tree_.feature, tree.tree_.threshold, strict=True)
            if f >= 0
        }
    )


def around(threshold: float) -> list[float]:
    """Return the largest float32 that goes left and its two neighbours."""
    at = np.float32(threshold)
    if float(at) > threshold:
        at = np.nextafter(at, np.float32(-np.inf))
    return [
        float(np.nextafter(at, np.float32(-np.inf))),
        float(at),
        float(np.nextafter(at, np.float32(np.inf))),
    ]


def _spread(row: Row, names: list[str], total: int) -> bool:
    """Give columns the sum, as evenly as whole numbers do; say whether their ranges allow it."""
    share, rest = divmod(total, len(names))
    for i, name in enumerate(names):
        row[name] = share + (i < rest)
    return all(LOW[n] <= share and share + (i < rest) <= HIGH[n] for i, n in enumerate(names))


def _numerator(row: Row, name: str, value: int) -> bool:
    """Give a ratio's numerator a value; say whether the columns' ranges allow it."""
    ratio = RATIOS[name]
    if name == "util_rise":  # a difference
        row["bill_amt1"], row["bill_amt6"] = value - value // 2, -(value // 2)
        return abs(value) <= 2 * HIGH["bill_amt1"]
    if not ratio.largest:
        return _spread(row, ratio.numerator, value)
    for column in ratio.numerator:
        row[column] = min(value, row[column] or 0)
    row[ratio.numerator[0]] = value
    return LOW[ratio.numerator[0]] <= value <= HIGH[ratio.numerator[0]]


def _ratio_rows(base: Row, name: str, threshold: float, medians: dict[str, int]) -> Iterable[Row]:
    """Yield rows whose ratio is at the threshold and next to it, with several denominators.

    First the fraction nearest to each float32: with denominators this large it rounds to it.
    Then for the base's own denominator, and for a missing one, which counts as its median, the
    numerators to either side.
    """
    ratio = RATIOS[name]
    highest = sum(HIGH[c] for c in ratio.denominator)
    most = (len(ratio.numerator) if not ratio.largest else 1) * HIGH[ratio.numerator[0]]
    for value in around(threshold):
        scaled = Fraction(value) * ratio.times
        bound = highest if abs(scaled) <= 1 else min(highest, floor(most / abs(scaled)))
        fraction = scaled.limit_denominator(max(bound, 1))
        row = dict(base)
        if _numerator(row, name, fraction.numerator) and _spread(
            row, ratio.denominator, fraction.denominator
        ):
            yield row
    own = max(sum(base[c] or 0 for c in ratio.denominator), 1)
    imputed = max(sum(medians[c] for c in ratio.denominator), 1)
    for denominator, missing in ((own, False), (imputed, True)):
        left = floor(Fraction(threshold) * ratio.times * denominator)
        for numerator in (left, left + 1):
            row = dict(base)
            fits = _numerator(row, name, numerator)
            if missing:
                row.update(dict.fromkeys(ratio.denominator))
            else:
                fits = _spread(row, ratio.denominator, denominator) and fits
            if fits:
                yield row


def _whole(base: Row, name: str, value: int) -> Row | None:
    """Return the base with a tree input of whole numbers at a value, None where no row has it."""
    row = dict(base)
    ok = True
    if name in USED:
        row[name] = value
    elif name == "headroom":  # the limit less the latest bill
        limit = min(max(base["limit_bal"] or 1, value + LOW["bill_amt1"], 1), HIGH["limit_bal"])
        row["limit_bal"], row["bill_amt1"] = limit, limit - value
    elif name == "paid_months":
        row.update({c: int(i < value) for i, c in enumerate(PAID)})
        ok = 0 <= value <= len(PAID)
    elif name == "delay_months":
        row.update({c: 1 if i < value else -1 for i, c in enumerate(STATUS)})
        ok = 0 <= value <= len(STATUS)
    elif name == "delay_max":
        row.update({c: min(value, base[c] or 0) for c in STATUS})
        row[STATUS[value % len(STATUS)]] = value
    elif name == "delay_sum":
        ok = value >= 0 and _spread(row, STATUS, value)
    elif name == "delay_recent":
        ok = value >= 0 and _spread(row, STATUS[:2], value)
    elif name == "delay_trend":  # the latest less the earliest
        earliest = min(max(-value, LOW["pay_6"]), HIGH["pay_6"])
        row["pay_0"], row["pay_6"] = value + earliest, earliest
    else:
        raise ValueError(f"tree input {name}: no way is known to reach a value of it")
    return row if ok and all(v is None or LOW[c] <= v <= HIGH[c] for c, v in row.items()) else None


def _hide(row: Row, name: str, rng: np.random.Generator) -> Row:
    """Return a copy with about half of what the tree input is not made from missing."""
    out = dict(row)
    if name in RATIOS:
        kept = {*RATIOS[name].numerator, *RATIOS[name].denominator}
    elif name == "headroom":
        kept = {"limit_bal", "bill_amt1"}
    elif name == "paid_months":
        kept = set(PAID)
    elif name in USED:
        kept = {name}
    else:
        kept = set(STATUS)
    for column in NAMES:
        if column not in kept and rng.random() < 0.5:
            out[column] = None
    return out


def _matrix(rows: list[Row]) -> Doubles:
    return np.array([[np.nan if (v := row[n]) is None else v for n in NAMES] for row in rows], np.float64)


def rows(pipeline: Pipeline, train: Dataset, seed: int) -> list[tuple[int, float, Row]]:
    """Find rows for every split: its tree input, threshold, and a row at or next to it.

    For a tree input of whole numbers they hold the largest that goes left, the one below it and the
    one above; for a ratio the float32 at the threshold with both neighbours, where fractions within
    the contract reach them, and the nearest fractions of two more denominators, one of them imputed.
    The first three are there again with other features missing.

    Raises
    ------
    ValueError
        When a threshold has no row on one of its sides.
    """
    rng = np.random.default_rng(seed)
    medians = {
        name: int(v) for name, v in zip(USED, pipeline.named_steps["impute"].medians_.tolist(), strict=True)
    }
    out: list[tuple[int, float, Row]] = []
    for k, threshold in splits(pipeline):
        name = INPUTS[k]
        raw = train.features[int(rng.integers(len(train)))]
        base: Row = {n: int(v) for n, v in zip(NAMES, raw, strict=True)}
        if name in RATIOS:
            found = list(_ratio_rows(base, name, threshold, medians))
        else:
            left = floor(threshold)
            found = [r for v in (left - 1, left, left + 1) if (r := _whole(base, name, v)) is not None]
        if name in USED and medians[name] in (floor(threshold), floor(threshold) + 1):
            found.append({**base, name: None})  # imputed right beside the threshold
        found += [_hide(row, name, rng) for row in found[:3]]
        values = tree_inputs(pipeline, _matrix(found))[:, k] if found else np.empty(0)
        if not ((values <= threshold).any() and (values > threshold).any()):
            raise ValueError(f"tree input {name}, threshold {threshold}: rows on one side only: {values}")
        out += [(k, threshold, row) for row in found]
    return out


def document(pipeline: Pipeline, train: Dataset, seed: int) -> dict[str, Any]:
    """Record the rows around every threshold as golden rows, each with the split it is for."""
    found = rows(pipeline, train, seed)
    named = [
        (f"row {i}, {INPUTS[k]} at {threshold:.9g}", values)
        for i, ((k, threshold, _), values) in enumerate(
            zip(found, _matrix([row for _, _, row in found]), strict=True)
        )
    ]
    out = golden.build(pipeline, golden.Explainer(pipeline), named)
    for (k, threshold, _), row in zip(found, out["rows"], strict=True):
        row["contributions"] = np.round(row["contributions"], 7).tolist()
        row["tree_input"], row["threshold"] = INPUTS[k], threshold
    return {"splits": len(splits(pipeline)), **out}


def write(path: Path, shipped: bytes, train: Dataset, seed: int) -> Path:
    """Write the document for a bundle, compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = bundle.to_json(document(refit.pipeline_of(Bundle(shipped), train), train, seed))
    path.write_bytes(gzip.compress(text, mtime=0))
    return path
