"""The daily check: Evidently's presets on the last inputs against the training data.

It looks once a day at rows, by Evidently's default tests and limits. creditstream's own evaluator looks all
the time at counts in bins and rests its alerts on a sequential test; docs/drift.md says where the two agree.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact
from sklearn.exceptions import UndefinedMetricWarning

from credit_retrain.artifact.opened import Bundle
from credit_retrain.base.defaults import DRIFT_SHARE
from credit_retrain.data.dataset import DatasetError, even
from credit_retrain.evaluate import figures
from credit_retrain.uci.contract import FEATURES, LABEL, NAMES, kind

PROBABILITY = "default_probability"
CODES = [name for name in NAMES if kind(name) == "code"]
PAGES = ("drift_report.html", "concept_report.html")
FEWEST_ROWS = 500
"""Fewer rows than these are not judged: of 200, chance alone can put half of the columns above the limits."""
FEWEST_LABELS = 200
"""Fewer loans than these, or fewer than thirty of either kind, say nothing on concept drift."""
FEWEST_OF_A_KIND = 30
SIGNIFICANCE = 0.01
"""Probability of calling concept drift where there is none; of missing values the same, over all columns."""
MISSING_FLOOR = 0.01
"""A smaller change of the share of missing values is none, however certain it is."""


@dataclass(frozen=True)
class Table:
    """Inputs, what was predicted of them and, where it is known, what became of the loans.

    Attributes
    ----------
    frame : DataFrame
        The contract's features, NaN where missing; `default_probability` and `default` where there are any.
    """

    frame: pd.DataFrame

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def scored(self) -> bool:
        """Whether every row has a probability."""
        return PROBABILITY in self.frame and bool(self.frame[PROBABILITY].notna().all())

    def labelled(self) -> pd.DataFrame:
        """Return the rows whose outcome is known."""
        if LABEL not in self.frame:
            return self.frame.iloc[:0]
        return self.frame[self.frame[LABEL].notna()]


def read(path: Path) -> Table:
    """Read a CSV in the contract's columns: train.csv, or what `creditstream drift current` writes.

    Values outside the contract's ranges stay: finding those is what the check is for.

    Raises
    ------
    DatasetError
        When a column is missing or a value is no number, naming it.
    """
    even(path)
    frame = pd.read_csv(path, index_col=False)
    missing = [name for name in NAMES if name not in frame.columns]
    if missing:
        raise DatasetError(f"{path}: no column {', '.join(missing)}")
    if frame.empty:
        raise DatasetError(f"{path}: no rows")
    known = [*NAMES, *(name for name in (PROBABILITY, LABEL) if name in frame.columns)]
    numbers: dict[str, pd.Series[float]] = {}
    for name in known:
        values = pd.to_numeric(frame[name], errors="coerce").astype(float)
        for row in np.flatnonzero((values.isna() & frame[name].notna()).to_numpy())[:1]:
            raise DatasetError(
                f"{path} row {row + 2}: {name} {frame[name].iloc[row]!r}: must be a number or empty"
            )
        numbers[name] = values
    return Table(pd.DataFrame(numbers))


def score(table: Table, bundle: bytes) -> Table:
    """Return the table with the probabilities that a bundle's model gives its rows."""
    frame = table.frame.copy()
    frame[PROBABILITY] = Bundle(bundle).score(frame[NAMES])
    return Table(frame)


def check(
    reference: Table, current: Table, share: float = DRIFT_SHARE
) -> tuple[dict[str, Any], dict[str, str]]:
    """Compare the tables.

    Returns
    -------
    status : dict
        What drift_status.json holds. Of fewer rows than FEWEST_ROWS in either table `data_drift` is not
        judged: it has no figures, and `drifted` is None.
    pages : dict of str
        Evidently's reports as HTML, by the name of the file: drift_report.html where there are enough rows,
        concept_report.html where enough outcomes are known.
    """
    os.environ["DO_NOT_TRACK"] = "1"  # its user interface would tell of its use
    import evidently
    from evidently.presets import ClassificationPreset, DataDriftPreset

    columns = [*NAMES, *([PROBABILITY] if reference.scored and current.scored else [])]
    status: dict[str, Any] = {
        "tool": f"evidently {evidently.__version__}",
        "reference": {"rows": len(reference)},
        "current": {"rows": len(current), "labelled": len(current.labelled())},
        "data_drift": {"judged": False, "fewest_rows": FEWEST_ROWS, "drifted": None},
        "concept_drift": concept_drift(reference, current),
    }
    pages: dict[str, str] = {}
    if min(len(reference), len(current)) >= FEWEST_ROWS:
        drift = _run(
            [DataDriftPreset(columns=columns, drift_share=share)],
            reference.frame[columns],
            current.frame[columns],
            categorical_columns=CODES,
            numerical_columns=[name for name in columns if name not in CODES],
        )
        status["data_drift"] = _data_drift(drift.dict(), reference, current, share)
        pages["drift_report.html"] = drift.get_html_str(as_iframe=False)
    if status["concept_drift"] is not None:
        quality = _run(
            [ClassificationPreset()],
            _labels(comparable(reference, current)),
            _labels(current.labelled()),
            classification=[
                evidently.BinaryClassification(
                    target=LABEL, prediction_labels=None, prediction_probas=PROBABILITY, pos_label=1
                )
            ],
        )
        pages["concept_report.html"] = quality.get_html_str(as_iframe=False)
    return status, pages


def _run(metrics: list[Any], reference: pd.DataFrame, current: pd.DataFrame, **definition: Any) -> Any:
    import evidently

    sets = [
        evidently.Dataset.from_pandas(frame, data_definition=evidently.DataDefinition(**definition))
        for frame in (current, reference)
    ]
    with warnings.catch_warnings():
        # Of the threshold 0.5, above which no granted loan is, and of columns that hold one value only.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"numpy\.lib\._function_base_impl")
        return evidently.Report(metrics).run(*sets)


def _labels(frame: pd.DataFrame) -> pd.DataFrame:
    labels: pd.DataFrame = frame[[LABEL, PROBABILITY]].astype({LABEL: int}).reset_index(drop=True)
    return labels


def _data_drift(report: dict[str, Any], reference: Table, current: Table, share: float) -> dict[str, Any]:
    columns = []
    metrics = [m for m in report["metrics"] if m["config"]["type"].endswith("ValueDrift")]
    for metric in metrics:
        config = metric["config"]
        name, value = config["column"], float(metric["value"])
        limit = float(config["threshold"])
        method = str(config["method"])
        # Distances grow with drift, probabilities fall.
        moved = value < limit if method.endswith("p_value") else value >= limit
        gone = missing_drift(reference.frame[name], current.frame[name], SIGNIFICANCE / len(metrics))
        columns.append(
            {
                "column": name,
                "method": method,
                "score": value,
                "threshold": limit,
                "drifted": moved or gone["missing_drifted"],
                **gone,
                "out_of_range_current": _out_of_range(name, current),
            }
        )
    drifted = sum(bool(c["drifted"]) for c in columns)
    missing = sorted(c["column"] for c in columns if c["missing_drifted"])
    return {
        "judged": True,
        "fewest_rows": FEWEST_ROWS,
        # A share of the columns is a rule for populations; one column that is no longer handed in is enough.
        "drifted": drifted >= share * len(columns) or bool(missing),
        "missing_columns": missing,
        "drifted_columns": drifted,
        "drifted_share": drifted / len(columns),
        "drifted_share_limit": share,
        "columns": sorted(columns, key=lambda c: (not c["drifted"], c["column"])),
    }


def missing_drift(
    reference: pd.Series[float], current: pd.Series[float], significance: float
) -> dict[str, Any]:
    """Ask whether a column is missing more or less often than it was.

    Evidently leaves missing values out of its tests. Fisher's exact test of the two shares, two-sided: exact
    where none is missing in one table, too.
    """
    table = [[int(column.isna().sum()), int(column.notna().sum())] for column in (reference, current)]
    before, now = (float(column.isna().mean()) for column in (reference, current))
    p = float(fisher_exact(table).pvalue)
    return {
        "missing_reference": before,
        "missing_current": now,
        "missing_p": p,
        "missing_drifted": abs(now - before) >= MISSING_FLOOR and p < significance,
    }


def _out_of_range(name: str, table: Table) -> float:
    for feature in FEATURES:
        if feature.name == name:
            values = table.frame[name]
            return float(((values < feature.minimum) | (values > feature.maximum)).mean())
    return 0.0


def comparable(reference: Table, current: Table) -> pd.DataFrame:
    """Return the labelled rows of the reference that could have been granted as the current ones were.

    Only granted loans have outcomes, and those have the lower scores: among them any model ranks worse than
    among all. So the reference is cut at the highest probability of a current loan.
    """
    rows = reference.labelled()
    granted: pd.DataFrame = rows[rows[PROBABILITY] <= current.labelled()[PROBABILITY].max()]
    return granted


def concept_drift(reference: Table, current: Table) -> dict[str, Any] | None:
    """Ask whether the same scores still mean the same risk.

    Two tests on the loans whose outcome is known, at half of SIGNIFICANCE each: the number of defaults
    against the sum of the probabilities (normal approximation, two-sided), and the AUC against the
    reference's (Hanley and McNeil, 1982, one-sided).

    Returns
    -------
    dict or None
        None where too few outcomes are known, or either table has no probabilities.
    """
    if not (reference.scored and current.scored) or 0 in (len(reference.labelled()), len(current.labelled())):
        return None
    if not _enough(current.labelled()) or not _enough(comparable(reference, current)):
        return None
    before, now = _figures(comparable(reference, current)), _figures(current.labelled())
    p = current.labelled()[PROBABILITY].to_numpy()
    off = (now["default_rate"] - now["expected_rate"]) * len(p) / math.sqrt(float((p * (1 - p)).sum()))
    fall = (before["auc"] - now["auc"]) / math.hypot(before["auc_standard_error"], now["auc_standard_error"])
    p_rate, p_auc = math.erfc(abs(off) / math.sqrt(2)), math.erfc(fall / math.sqrt(2)) / 2
    return {
        "drifted": min(p_rate, p_auc) < SIGNIFICANCE / 2,
        "significance": SIGNIFICANCE,
        "p_default_rate": p_rate,
        "p_auc": p_auc,
        "reference": before,
        "current": now,
    }


def _enough(loans: pd.DataFrame) -> bool:
    defaults = int(loans[LABEL].sum())
    return len(loans) >= FEWEST_LABELS and min(defaults, len(loans) - defaults) >= FEWEST_OF_A_KIND


def _figures(loans: pd.DataFrame) -> dict[str, float]:
    y, p = loans[LABEL].to_numpy(np.int64), loans[PROBABILITY].to_numpy(np.float64)
    auc = figures.auc(y, p)
    return {
        "loans": len(y),
        "default_rate": float(y.mean()),
        "expected_rate": float(p.mean()),
        "auc": auc,
        "auc_standard_error": _auc_error(auc, int(y.sum()), int(len(y) - y.sum())),
        "brier": figures.brier(y, p),
        "log_loss": figures.cross_entropy(y, p),
    }


def _auc_error(auc: float, bads: int, goods: int) -> float:
    q1, q2 = auc / (2 - auc), 2 * auc * auc / (1 + auc)
    variance = auc * (1 - auc) + (bads - 1) * (q1 - auc * auc) + (goods - 1) * (q2 - auc * auc)
    return math.sqrt(variance / (bads * goods))


def write(out: Path, status: dict[str, Any], pages: dict[str, str]) -> None:
    """Write drift_status.json and the reports; reports of an earlier check go that this one has not."""
    out.mkdir(parents=True, exist_ok=True)
    for name in PAGES:
        if name not in pages:
            (out / name).unlink(missing_ok=True)
    for name, page in pages.items():
        (out / name).write_text(page, encoding="utf-8")
    text = json.dumps(status, indent=1) + "\n"
    (out / "drift_status.json").write_text(text, encoding="utf-8")
