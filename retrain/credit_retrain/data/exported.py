"""Decisions as `creditstream dataset export` writes them, joined with what became of the loans."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from credit_retrain.data import validation
from credit_retrain.data.bins import edges, histogram, psi
from credit_retrain.data.dataset import Dataset, DatasetError, even, numbers
from credit_retrain.uci.contract import FEATURES, LABEL, NAMES

CHUNK = 200_000
"""Rows that are text in memory at a time; as text they take ten times the room."""

DECISIONS = ["approve", "refer", "decline"]
GRANTED = "approve"


@dataclass(frozen=True)
class Exported:
    """Decisions with what became of their loans, each once.

    Of an application its newest decision, and every earlier one that an outcome is of: an outcome
    labels the decision that it is of, never a later one.

    Attributes
    ----------
    frame : DataFrame
        `application_id`, `decided_at`, `model_version`, `default_probability`, `decision`, the
        features as float32 (exact: they are whole numbers below 2**24) and `default`, NaN where unknown.
    rows : int
        Rows of the file, repeated decisions among them.
    conflicting : int
        Decisions that the file tells both outcomes of.
    """

    frame: pd.DataFrame
    rows: int
    conflicting: int

    def __len__(self) -> int:
        return len(self.frame)

    def labelled(self) -> Dataset:
        """Return the decisions whose outcome is known."""
        known = self.frame[self.frame[LABEL].notna()]
        first, last = self.stretch()
        return Dataset(
            known[NAMES].to_numpy(np.float64),
            known[LABEL].to_numpy(np.int64),
            f"decisions from {first} to {last} with known outcomes",
        )

    def stretch(self) -> tuple[str, str]:
        """Return the first and the last moment of decision."""
        at = self.frame["decided_at"]
        return tuple(f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (at.min(), at.max()))  # type: ignore[return-value]

    def facts(self) -> dict[str, Any]:
        """Say how much is labelled, who is, and how those differ from everybody.

        Outcomes exist for loans that were granted, and a model that learns from them alone has
        not seen whom its predecessors refused. `psi` tells, by feature, how far the granted and
        the labelled are from all applications.
        """
        frame = self.frame
        known = frame[LABEL].notna().to_numpy()
        granted = (frame["decision"] == GRANTED).to_numpy()
        first, last = self.stretch()
        return {
            "rows": self.rows,
            "applications": len(frame),
            "repeated": self.rows - len(frame),
            "conflicting": self.conflicting,
            "decided_from": first,
            "decided_to": last,
            "model_versions": {str(k): int(v) for k, v in frame["model_version"].value_counts().items()},
            "missing_share": _rounded(frame[NAMES].isna().to_numpy().mean()),
            **_labels(frame),
            "by_decision": {d: _labels(frame[frame["decision"] == d]) for d in DECISIONS},
            "mean_probability": {
                "all": _mean(frame["default_probability"]),
                "granted": _mean(frame["default_probability"][granted]),
                "labelled": _mean(frame["default_probability"][known]),
            },
            "psi": {"granted": self._distances(granted), "labelled": self._distances(known)},
        }

    def _distances(self, part: npt.NDArray[np.bool_]) -> dict[str, float] | None:
        if not part.any():
            return None
        out = {}
        for feature in FEATURES:
            values = self.frame[feature.name].to_numpy(np.float64)
            known = values[~np.isnan(values)]
            at = edges(feature.name, feature.minimum, feature.maximum, known) if len(known) else []
            out[feature.name] = round(psi(_counts(values, at), _counts(values[part], at)), 4)
        return out


def read(path: Path) -> Exported:
    """Read an export and check every value against the contract.

    A decision, by `application_id` and `decided_at`, counts once, with the first outcome told of
    it; one without an outcome counts only where it is the newest on its application.
    `creditstream dataset export` writes it so; rows of several exports that were put together are
    held to the same.

    Raises
    ------
    DatasetError
        When the file is no export, was cut off, holds no row or breaks the contract; with
        all violations together.
    """
    if not path.is_file():
        raise DatasetError(f"no export at {path}: write one with `creditstream dataset export --out {path}`")
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(size - 1, 0))
        if file.read() != b"\n":
            raise DatasetError(f"{path}: the last line is not whole: the export was cut off")
    schema = validation.export_schema()
    found: list[validation.Violation] = []
    parts = []
    for text in _chunks(path):
        found += validation.violations(text, schema)
        if not found and not text.empty:
            parts.append(_typed(text))
    if found:
        raise DatasetError(f"{path}:\n  {validation.describe(found)}", found)
    if not parts:
        raise DatasetError(f"{path}: there is no decision in it")
    frame = pd.concat(parts, ignore_index=True)
    return Exported(_once(frame), len(frame), _conflicting(frame))


def lines(facts: dict[str, Any]) -> list[str]:
    """Tell the facts in a few lines."""
    decisions = ", ".join(
        f"{d} {part['labelled']} of {part['applications']}" for d, part in facts["by_decision"].items()
    )
    rate = "" if facts["default_rate"] is None else f", {facts['default_rate']:.1%} of them defaulted"
    out = [
        f"export: {facts['rows']} rows, {facts['applications']} decisions "
        f"({facts['repeated']} repeated, or without an outcome and not the newest), "
        f"decided {facts['decided_from']} to {facts['decided_to']}",
        f"labelled: {facts['labelled']} of {facts['applications']} ({facts['labelled_share']:.1%}){rate}; "
        f"by decision: {decisions}",
    ]
    if facts["conflicting"]:
        decided = "1 decision" if facts["conflicting"] == 1 else f"{facts['conflicting']} decisions"
        out.append(f"conflicting: both outcomes are told of {decided}, the first counts")
    means, distances = facts["mean_probability"], facts["psi"]["granted"]
    if distances is None:
        return [*out, "bias: none was granted, so nothing can be said of the granted"]
    furthest = sorted(distances.items(), key=lambda item: -item[1])[:3]
    return [
        *out,
        f"bias: mean probability of default {means['granted']:.4f} among the granted, {means['all']:.4f} "
        "among all; furthest from all applications (PSI): "
        + ", ".join(f"{name} {value:.3f}" for name, value in furthest),
    ]


def _chunks(path: Path) -> Iterator[pd.DataFrame]:
    even(path)
    try:
        yield from pd.read_csv(
            path, dtype=str, keep_default_na=False, na_values=[""], index_col=False, chunksize=CHUNK
        )
    except ValueError as error:  # no columns
        raise DatasetError(f"{path} is no CSV file: {error}") from error


def _typed(text: pd.DataFrame) -> pd.DataFrame:
    frame = pd.DataFrame(numbers(text[NAMES]), columns=NAMES, index=text.index).astype(np.float32)
    frame.insert(0, "application_id", text["application_id"])
    frame.insert(1, "decided_at", pd.to_datetime(text["decided_at"], format="ISO8601", utc=True))
    frame.insert(2, "model_version", text["model_version"].astype("category"))
    frame.insert(3, "default_probability", pd.to_numeric(text["default_probability"]).astype(np.float64))
    frame.insert(4, "decision", text["decision"].astype(pd.CategoricalDtype(DECISIONS)))
    frame[LABEL] = pd.to_numeric(text[LABEL]).astype(np.float32)
    return frame


DECISION = ["application_id", "decided_at"]
"""What tells decisions apart."""


def _once(frame: pd.DataFrame) -> pd.DataFrame:
    # Rows with an outcome first: of a decision that stands twice, the first of them counts.
    ordered = frame.assign(_unknown=frame[LABEL].isna()).sort_values("_unknown", kind="stable")
    decisions = ordered.drop_duplicates(DECISION, keep="first").sort_values("decided_at", kind="stable")
    newest = ~decisions.duplicated("application_id", keep="last")
    out = decisions[newest | ~decisions["_unknown"]].drop(columns="_unknown")
    return out.sort_index().reset_index(drop=True)


def _conflicting(frame: pd.DataFrame) -> int:
    told = frame.dropna(subset=[LABEL]).groupby(DECISION)[LABEL].nunique()
    return int((told > 1).sum())


def _counts(values: npt.NDArray[np.float64], at: list[int]) -> npt.NDArray[np.int64]:
    known = values[~np.isnan(values)]
    return np.append(histogram(known, at), len(values) - len(known))


def _labels(frame: pd.DataFrame) -> dict[str, Any]:
    known = frame[LABEL].dropna()
    return {
        "applications": len(frame),
        "labelled": len(known),
        "labelled_share": _rounded(len(known) / len(frame)) if len(frame) else None,
        "default_rate": _mean(known),
    }


def _mean(values: pd.Series) -> float | None:
    return _rounded(values.mean()) if len(values) else None


def _rounded(value: float) -> float:
    return round(float(value), 6)
