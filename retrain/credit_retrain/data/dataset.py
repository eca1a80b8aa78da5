"""Rows with their outcomes: reading, checking, their digest and the hold-out."""

from __future__ import annotations

import csv
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pandera.pandas as pa

from credit_retrain.base.places import RAW
from credit_retrain.base.problems import ProblemError
from credit_retrain.data import validation
from credit_retrain.uci import published
from credit_retrain.uci.contract import LABEL, NAMES, column

HOLDOUT_SHARE = 0.2
HOLDOUT_RULE = "lowest fifth of SHA-256 over the 23 features"
"""How `holdout` chooses. Two models trained by the same rule have seen no row of each other's
hold-out, whatever else the data held."""


class DatasetError(ProblemError):
    """The dataset is absent, is not the expected one, or breaks the contract.

    Attributes
    ----------
    violations : list of Violation
        All of them; the message spells out the first.
    """

    def __init__(self, message: str, violations: list[validation.Violation] | None = None) -> None:
        super().__init__(message)
        self.violations = violations or []


@dataclass(frozen=True)
class Dataset:
    """Rows of whole numbers: features in the contract's order, and whether the loan defaulted.

    Attributes
    ----------
    features : ndarray of float64, shape (rows, 23)
        Whole numbers, NaN where a value is missing.
    defaulted : ndarray of int64, shape (rows,)
    source : str
        Where the rows come from.
    """

    features: npt.NDArray[np.float64]
    defaulted: npt.NDArray[np.int64]
    source: str = published.NAME

    def __len__(self) -> int:
        return len(self.defaulted)

    def take(self, rows: npt.NDArray[np.bool_]) -> Dataset:
        """Return the rows of a mask."""
        return Dataset(self.features[rows], self.defaulted[rows], self.source)

    def frame(self) -> pd.DataFrame:
        """Return the rows as a table of integers with the contract's names, NA where missing."""
        frame = pd.DataFrame(self.features, columns=NAMES).astype("Int64")
        frame[LABEL] = self.defaulted
        return frame

    def digest(self) -> str:
        """Digest of the content: every row as decimal text, label last, sorted.

        The order of the rows, their ids, quoting and line ends do not matter.
        """
        lines = sorted(texts(np.column_stack([self.features, self.defaulted])))
        return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def texts(table: npt.NDArray[np.float64]) -> list[str]:
    """Write rows of whole numbers as decimal text joined by commas, nothing where one is missing."""
    return [",".join("" if v != v else str(int(v)) for v in row) for row in table.tolist()]


def locate(path: str | None) -> Path:
    """Find the raw file: the path given, else ``DATASET``, else data/raw/UCI_Credit_Card.csv."""
    chosen = Path(path or os.environ.get("DATASET") or RAW)
    if chosen.is_dir():
        raise DatasetError(f"{chosen} is a folder: set DATASET to the file UCI_Credit_Card.csv in it")
    if not chosen.is_file():
        raise DatasetError(
            f"no dataset at {chosen}: set DATASET to UCI_Credit_Card.csv, or fetch it with `make data`"
        )
    return chosen


def read(path: Path, told: Path | None = None) -> Dataset:
    """Read the CSV file and check every value against the contract.

    Parameters
    ----------
    told : Path, optional
        What errors call the file, where it is a copy of another.

    Raises
    ------
    DatasetError
        With all violations together: column, row of the file, value and rule.
    """
    frame = table(path, validation.training_schema(), told)
    return Dataset(numbers(frame[NAMES]), pd.to_numeric(frame[LABEL]).to_numpy(np.int64))


def table(path: Path, schema: pa.DataFrameSchema, told: Path | None = None) -> pd.DataFrame:
    """Read a CSV file as text, its columns by the contract's names, and hold it to a schema.

    Raises
    ------
    DatasetError
        With all violations together.
    """
    even(path, told)
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""], index_col=False)
    except ValueError as error:  # no columns
        raise DatasetError(f"{told or path} is no CSV file: {error}") from error
    given, names = list(frame.columns), [column(c) for c in frame.columns]
    frame.columns = pd.Index(names)
    for name in schema.columns:
        same = [str(g) for g, n in zip(given, names, strict=True) if n == name]
        if len(same) > 1:
            raise DatasetError(f"{told or path}: columns {' and '.join(same)} are the same")
    if frame.empty:
        raise DatasetError(f"{told or path}: there is no row in it")
    found = validation.violations(frame, schema)
    if found:
        raise DatasetError(f"{told or path}:\n  {validation.describe(found)}", found)
    return frame


def even(path: Path, told: Path | None = None) -> None:
    """Hold a CSV file to its header: every line has as many fields, and no column is there twice.

    pandas takes the first column for row names where lines are longer than the header, fills up
    those that are shorter, and renames a column that is there twice.

    Raises
    ------
    DatasetError
        At the first line that has another number of fields, naming it.
    """
    named = told or path
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file)
            header = next((line for line in lines if line), [])
            twice = [name for i, name in enumerate(header) if name.strip() and name in header[:i]]
            if twice:
                raise DatasetError(f"{named}: the header names {', '.join(dict.fromkeys(twice))} twice")
            start = lines.line_num
            for line in lines:
                if line and len(line) != len(header):
                    raise DatasetError(
                        f"{named}: line {start + 1} has {_fields(len(line))}, the header {len(header)}"
                    )
                start = lines.line_num
    except (ValueError, csv.Error) as error:  # not UTF-8, or a field without an end
        raise DatasetError(f"{named} is no CSV file: {error}") from error


def _fields(n: int) -> str:
    return "1 field" if n == 1 else f"{n} fields"


def numbers(text: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return checked text as numbers, NaN where a field is empty."""
    out: npt.NDArray[np.float64] = text.apply(pd.to_numeric).to_numpy(np.float64)
    return out


def holdout(data: Dataset) -> npt.NDArray[np.bool_]:
    """Mark the hold-out: rows whose content hash falls in the lowest fifth.

    The hash is SHA-256 over the 23 features as decimal text joined by commas (nothing where
    one is missing), the label excluded, so that equal applications fall on the same side and
    a row's side never depends on the others.
    """
    limit = int(HOLDOUT_SHARE * 2**64)
    return np.array(
        [
            int.from_bytes(hashlib.sha256(row.encode()).digest()[:8], "big") < limit
            for row in texts(data.features)
        ],
        dtype=np.bool_,
    )


def split(data: Dataset) -> tuple[Dataset, Dataset]:
    """Return the training rows and the hold-out."""
    test = holdout(data)
    return data.take(~test), data.take(test)
