"""The UCI credit card default data: reading, checking, its digest and the hold-out."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from credit_retrain.contract import FEATURES, NAMES

LABEL = "default"
HOLDOUT_SHARE = 0.2
CANONICAL_DIGEST = "sha256:30e50432dd362df1721ebeac506ef5ed542da48e324d45fc0770aa134e9cdc71"
_LABEL_NAMES = {"default.payment.next.month", "default payment next month", LABEL}


class DatasetError(Exception):
    """The dataset is absent, is not the expected one, or breaks the contract."""


@dataclass(frozen=True)
class Dataset:
    """Rows of whole numbers: features in the contract's order, and whether the loan defaulted.

    Attributes
    ----------
    features : ndarray of int64, shape (rows, 23)
    defaulted : ndarray of int64, shape (rows,)
    """

    features: npt.NDArray[np.int64]
    defaulted: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.defaulted)

    def take(self, rows: npt.NDArray[np.bool_]) -> Dataset:
        """Return the rows of a mask."""
        return Dataset(self.features[rows], self.defaulted[rows])

    def frame(self) -> pd.DataFrame:
        """Return the rows as a table with the contract's names."""
        frame = pd.DataFrame(self.features, columns=NAMES)
        frame[LABEL] = self.defaulted
        return frame

    def digest(self) -> str:
        """Digest of the content: every row as decimal text, label last, sorted.

        The order of the rows, their ids, quoting and line ends do not matter.
        """
        table = np.column_stack([self.features, self.defaulted])
        lines = sorted(",".join(map(str, row)) for row in table.tolist())
        return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def locate(path: str | None) -> Path:
    """Find the raw file: the path given, else ``DATASET``, else data/raw/UCI_Credit_Card.csv."""
    default = Path(__file__).resolve().parents[2] / "data" / "raw" / "UCI_Credit_Card.csv"
    chosen = Path(path or os.environ.get("DATASET") or default)
    if not chosen.is_file():
        raise DatasetError(
            f"no dataset at {chosen}: set DATASET to UCI_Credit_Card.csv, or fetch it with `make data`"
        )
    return chosen


def read(path: Path) -> Dataset:
    """Read the CSV file and check every value against the contract.

    Raises
    ------
    DatasetError
        With all violations together: column, row of the file, value and rule.
    """
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame.columns = pd.Index([_canonical(c) for c in frame.columns])
    missing = [name for name in [*NAMES, LABEL] if name not in frame.columns]
    if missing:
        raise DatasetError(f"{path}: no column {', '.join(missing)}")
    problems: list[str] = []
    columns = []
    rules = [(f.name, f.minimum, f.maximum) for f in FEATURES] + [(LABEL, 0, 1)]
    for name, low, high in rules:
        values = pd.to_numeric(frame[name], errors="coerce")
        bad = values.isna() | (values % 1 != 0) | (values < low) | (values > high)
        for row in np.flatnonzero(bad.to_numpy())[:20]:
            problems.append(
                f"row {row + 2}: {name} {frame[name].iloc[row]!r}: must be an integer from {low} to {high}"
            )
        columns.append(values.where(~bad, 0).to_numpy(np.int64))
    if problems:
        raise DatasetError(f"{path}:\n  " + "\n  ".join(problems))
    table = np.column_stack(columns)
    return Dataset(table[:, :-1], table[:, -1])


def _canonical(column: str) -> str:
    name = column.strip().strip('"').lower()
    if name in _LABEL_NAMES:
        return LABEL
    return "pay_0" if name == "pay_1" else name


def holdout(data: Dataset) -> npt.NDArray[np.bool_]:
    """Mark the hold-out: rows whose content hash falls in the lowest fifth.

    The hash is SHA-256 over the 23 features as decimal text joined by commas, the
    label excluded, so that equal applications fall on the same side and a row's side
    never depends on the others.
    """
    limit = int(HOLDOUT_SHARE * 2**64)
    return np.array(
        [
            int.from_bytes(hashlib.sha256(",".join(map(str, row)).encode()).digest()[:8], "big") < limit
            for row in data.features.tolist()
        ]
    )


def split(data: Dataset) -> tuple[Dataset, Dataset]:
    """Return the training rows and the hold-out."""
    test = holdout(data)
    return data.take(~test), data.take(test)
