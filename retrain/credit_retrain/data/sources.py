"""Which rows are trained on: the UCI data, decisions with their outcomes, or both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from credit_retrain.base import defaults
from credit_retrain.data import dataset, exported
from credit_retrain.data.dataset import Dataset, DatasetError, texts
from credit_retrain.uci.contract import NAMES

CHOICES = get_args(defaults.Source)

Report = Callable[[str], None]


@dataclass(frozen=True)
class Source:
    """Rows to train and test on, and what is to be said of where they come from.

    Attributes
    ----------
    asked, used : str
        Of `CHOICES`; they differ where too few outcomes are known.
    export : dict or None
        `exported.Exported.facts`.
    """

    data: Dataset
    asked: str
    used: str
    min_labelled: int
    export: dict[str, Any] | None

    def facts(self) -> dict[str, Any]:
        """Return all but the rows."""
        return {
            "source": self.data.source,
            "asked": self.asked,
            "used": self.used,
            "min_labelled": self.min_labelled,
            "rows": len(self.data),
            "digest": self.data.digest(),
            "export": self.export,
        }


def choose(
    asked: str,
    raw: str | None,
    export: str | None,
    min_labelled: int = defaults.MIN_LABELLED,
    report: Report = print,
) -> Source:
    """Read what was asked for, tell how much of an export is labelled, and who that is.

    Of `both`, decisions on rows that the UCI data hold are left out.

    Parameters
    ----------
    asked : str
        Of `CHOICES`.
    raw : str or None
        UCI_Credit_Card.csv, as `dataset.locate` takes it.
    export : str or None
        An export of decisions.

    Raises
    ------
    DatasetError
        When a file is absent or breaks the contract, or an export lacks every value of a feature.
    """
    if asked not in CHOICES:
        raise DatasetError(f"--data {asked}: must be one of {', '.join(CHOICES)}")
    if asked == "uci":
        return Source(dataset.read(dataset.locate(raw)), asked, "uci", min_labelled, None)
    if not export:
        raise DatasetError(f"--data {asked} needs --export FILE, written by `creditstream dataset export`")
    decisions = exported.read(Path(export))
    facts = decisions.facts()
    for line in exported.lines(facts):
        report(line)
    labelled = decisions.labelled()
    uci = None
    if asked == "both":
        uci = dataset.read(dataset.locate(raw))
        labelled, facts = _without(uci, labelled, facts, report)
    problem = _too_few(labelled, min_labelled)
    if problem:
        report(f"{problem}: the UCI data alone are used")
        uci = uci or dataset.read(dataset.locate(raw))
        return Source(uci, asked, "uci", min_labelled, facts)
    if uci is None:
        nowhere = np.flatnonzero(np.isnan(labelled.features).all(axis=0))
        absent = [NAMES[i] for i in nowhere]
        if absent:
            raise DatasetError(f"{export}: no labelled row has a value of {', '.join(absent)}")
        return Source(labelled, asked, "export", min_labelled, facts)
    both = Dataset(
        np.vstack([uci.features, labelled.features]),
        np.concatenate([uci.defaulted, labelled.defaulted]),
        f"{uci.source}, and {labelled.source}",
    )
    return Source(both, asked, "both", min_labelled, facts)


def _without(
    uci: Dataset, labelled: Dataset, facts: dict[str, Any], report: Report
) -> tuple[Dataset, dict[str, Any]]:
    """Leave out the decisions on rows that the UCI data hold: replayed, they would count twice."""
    known = set(texts(uci.features))
    again = np.array([row in known for row in texts(labelled.features)], dtype=np.bool_)
    n = int(again.sum())
    told = f"{n} of {len(labelled)} labelled decisions have the features of a UCI row"
    if n:
        told += (
            ": they are left out, from the training rows and the hold-out; rows that are there twice are "
            "no new evidence, and would make every interval and DeLong's test surer than they are"
        )
    report(told)
    return labelled.take(~again), {**facts, "also_in_uci": n}


def _too_few(labelled: Dataset, least: int) -> str | None:
    if len(labelled) < least:
        return f"{len(labelled)} known outcomes are fewer than the {least} that --min-labelled asks for"
    train, test = dataset.split(labelled)
    for name, part in (("training rows", train), ("hold-out", test)):
        if len(np.unique(part.defaulted)) < 2:
            return f"the {name} of the export do not hold both outcomes"
    return None
