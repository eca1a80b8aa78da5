"""How decisions differ between groups of applicants that the law protects.

The model reads none of sex, marriage and age, which is no proof of anything: other inputs may
stand in for them. Education is read; the figures say what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from credit_retrain.data.dataset import Dataset
from credit_retrain.evaluate.figures import RESAMPLES, Doubles
from credit_retrain.uci.contract import NAMES, USED
from credit_retrain.uci.groups import ATTRIBUTES

APPROVE_BELOW = 0.20
"""The default policy's cut-off: a probability below it is approved (policy/policy.go)."""

MAX_MISSING = 3
"""The default policy refers an application that lacks more of the model's inputs."""

MIN_ROWS = 100
"""Groups with fewer rows are shown and not judged."""


def missing(rows: Dataset) -> npt.NDArray[np.int64]:
    """Count the model's inputs that each row lacks."""
    used = np.asarray(rows.features, np.float64)[:, [NAMES.index(name) for name in USED]]
    out: npt.NDArray[np.int64] = np.isnan(used).sum(axis=1)
    return out


def approve(rows: Dataset, probability: Doubles) -> npt.NDArray[np.bool_]:
    """Mark the rows that the default policy approves."""
    out: npt.NDArray[np.bool_] = (probability < APPROVE_BELOW) & (missing(rows) <= MAX_MISSING)
    return out


def assess(test: Dataset, probability: Doubles, seed: int, resamples: int = RESAMPLES) -> dict[str, Any]:
    """Compare groups under the default policy.

    For each attribute, against the group with the highest approval rate among those with at
    least `MIN_ROWS` rows: `approval_ratio` (1 where groups are approved alike; the four-fifths
    rule asks for 0.8) and `opportunity_difference`, how much less often an applicant of the
    group who would have paid is approved (0 where groups are treated alike). Intervals are the
    bootstrap's, resampling rows, the group compared with held fixed.
    """
    rng = np.random.default_rng(seed)
    n = len(test)
    # How often a row is there: once in the first line, as drawn in the others.
    weights = np.ones((1 + resamples, n))
    for i in range(1, 1 + resamples):
        weights[i] = np.bincount(rng.integers(0, n, n), minlength=n)
    approved, paid = approve(test, probability), test.defaulted == 0
    out = {}
    for attribute in ATTRIBUTES:
        values = np.asarray(test.features[:, NAMES.index(attribute.name)], np.float64)
        masks = {name: group(values) for name, group in attribute.groups.items()}
        rates = {name: _rate(weights, mask, approved) for name, mask in masks.items()}
        of_payers = {name: _rate(weights, mask & paid, approved) for name, mask in masks.items()}
        judged = [name for name, mask in masks.items() if mask.sum() >= MIN_ROWS]
        best = max(judged, key=lambda name: float(rates[name][0]), default=None)
        groups = []
        for name, mask in masks.items():
            row: dict[str, Any] = {
                "group": name,
                "rows": int(mask.sum()),
                "judged": name in judged,
                "default_rate": _round(float(test.defaulted[mask].mean()) if mask.any() else np.nan),
                "mean_probability": _round(float(probability[mask].mean()) if mask.any() else np.nan),
                "approval_rate": _round(float(rates[name][0])),
                "approval_rate_of_payers": _round(float(of_payers[name][0])),
            }
            if best is not None and name in judged:
                row["approval_ratio"] = _figure(_ratio(rates[name], rates[best]))
                row["opportunity_difference"] = _figure(of_payers[best] - of_payers[name])
            groups.append(row)
        out[attribute.name] = {
            "compared_with": best,
            "lowest_approval_ratio": _extreme(groups, "approval_ratio", min),
            "largest_opportunity_difference": _extreme(groups, "opportunity_difference", max),
            "groups": groups,
        }
    return out


def _rate(weights: Doubles, members: npt.NDArray[np.bool_], approved: npt.NDArray[np.bool_]) -> Doubles:
    """Return the share of members approved, by line of weights; NaN where there are none."""
    of, hit = weights @ members, weights @ (members & approved)
    out = np.full(len(of), np.nan)
    np.divide(hit, of, out=out, where=of > 0)
    return out


def _ratio(rates: Doubles, best: Doubles) -> Doubles:
    """Return the ratio of two rates; where nobody is approved, all are treated alike."""
    out = np.where((rates == 0) & (best == 0), 1.0, np.nan)
    np.divide(rates, best, out=out, where=best > 0)
    return out


def _figure(lines: Doubles) -> dict[str, Any] | None:
    """Return a figure with its interval over the resamples; None where it has no value."""
    if np.isnan(lines[0]) or np.isnan(lines[1:]).all():
        return None
    low, high = np.nanpercentile(lines[1:], [2.5, 97.5])
    return {"value": _round(float(lines[0])), "interval": [_round(float(low)), _round(float(high))]}


def _extreme(groups: list[dict[str, Any]], key: str, of: Callable[..., Any]) -> dict[str, Any] | None:
    known = [group[key] for group in groups if group.get(key) is not None]
    found: dict[str, Any] | None = of(known, key=lambda f: float(f["value"]), default=None)
    return found


def _round(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 5)
