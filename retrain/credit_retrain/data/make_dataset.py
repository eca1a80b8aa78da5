"""data/processed: training rows and hold-out with their engineered features, and the newest inputs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from credit_retrain.base import whole
from credit_retrain.data import dataset, validation
from credit_retrain.data.dataset import Dataset, DatasetError
from credit_retrain.data.sources import Source
from credit_retrain.uci.contract import LABEL, NAMES, USED
from credit_retrain.uci.features import ENGINEERED, Floats, engineer
from credit_retrain.uci.transformers import Imputer

STAND_IN = "the hold-out's inputs, as a stand-in: `creditstream drift current` writes the real ones"


class NotPreparedError(DatasetError):
    """A file that `make` writes is not there."""


class RefusedError(DatasetError):
    """Files that `make` wrote are not what they should be.

    Attributes
    ----------
    problems : dict
        By the file's name.
    """

    def __init__(self, problems: dict[str, DatasetError]) -> None:
        super().__init__("\n".join(str(p) for p in problems.values()))
        self.problems = problems


@dataclass(frozen=True)
class Prepared:
    """What `make` wrote, read back.

    Attributes
    ----------
    engineered : dict of ndarray of float32, shape (rows, 15)
        By part, `train` and `test`, as the files have them.
    current : ndarray of float64, shape (rows, 23)
    facts : dict
        source.json.
    """

    train: Dataset
    test: Dataset
    engineered: dict[str, Floats]
    current: npt.NDArray[np.float64]
    facts: dict[str, Any]

    def data(self) -> Dataset:
        """Return training rows and hold-out together, as `dataset.split` takes them."""
        return Dataset(
            np.vstack([self.train.features, self.test.features]),
            np.concatenate([self.train.defaulted, self.test.defaulted]),
            self.train.source,
        )


def make(source: Source, out: Path, current: Path | None = None) -> dict[str, Any]:
    """Write train.csv, test.csv, current.csv and source.json.

    train.csv and test.csv have the 23 features as they came (empty where missing), the 15
    engineered features that a model of these training rows sees, and the label. The hold-out
    is chosen by a hash of each row's features. current.csv has the 23 features only.

    Parameters
    ----------
    source : Source
    out : Path
        The folder.
    current : Path, optional
        What `creditstream drift current` wrote. Without it the hold-out stands in.

    Returns
    -------
    dict
        source.json.
    """
    train, test = dataset.split(source.data)
    imputer = Imputer().fit(train.features)
    out.mkdir(parents=True, exist_ok=True)
    for name, part in (("train", train), ("test", test)):
        frame = part.frame()
        label = frame.pop(LABEL)
        values = pd.DataFrame(engineered(imputer, part), columns=list(ENGINEERED))
        _write(out / f"{name}.csv", pd.concat([frame, values, label], axis=1))
    if current is None:
        newest, origin = test.frame()[NAMES], STAND_IN
    else:
        newest, origin = _inputs(read_inputs(current)), str(current)
    _write(out / "current.csv", newest)
    facts = {
        **source.facts(),
        "train": {"rows": len(train), "digest": train.digest(), "default_rate": _rate(train)},
        "test": {"rows": len(test), "digest": test.digest(), "default_rate": _rate(test)},
        "current": {"rows": len(newest), "origin": origin},
        "medians": dict(zip(USED, imputer.medians_.astype(int).tolist(), strict=True)),
    }
    whole.write(out / "source.json", (json.dumps(facts, indent=1) + "\n").encode())
    return facts


def engineered(imputer: Imputer, part: Dataset) -> Floats:
    """Return the engineered features alone, shape (rows, 15), as the trees see them."""
    return engineer(imputer.transform(part.features))[:, len(USED) :]


def read(folder: Path) -> Prepared:
    """Read the folder that `make` wrote and check every value against the contract.

    Raises
    ------
    NotPreparedError
        When a file is absent.
    RefusedError
        When one breaks the contract, or a row lies on the wrong side; with everything that is wrong.
    """
    names = ("train.csv", "test.csv", "current.csv", "source.json")
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise NotPreparedError(f"{folder} lacks {', '.join(absent)}: run `retrain/credit-retrain prepare`")
    facts = json.loads((folder / "source.json").read_text(encoding="utf-8"))
    parts: dict[str, tuple[Dataset, Floats]] = {}
    problems: dict[str, DatasetError] = {}
    for name, held_out in (("train", False), ("test", True)):
        try:
            parts[name] = _part(folder / f"{name}.csv", held_out, facts["source"])
        except DatasetError as error:
            problems[f"{name}.csv"] = error
    try:
        current = read_inputs(folder / "current.csv")
    except DatasetError as error:
        problems["current.csv"] = error
    if problems:
        raise RefusedError(problems)
    (train, train_engineered), (test, test_engineered) = parts["train"], parts["test"]
    return Prepared(train, test, {"train": train_engineered, "test": test_engineered}, current, facts)


def read_inputs(path: Path) -> npt.NDArray[np.float64]:
    """Read a table of inputs, shape (rows, 23), NaN where missing; other columns do not matter.

    Raises
    ------
    DatasetError
        When it breaks the contract, with all violations together.
    """
    return dataset.numbers(dataset.table(path, validation.features_schema())[NAMES])


def _part(path: Path, held_out: bool, source: str) -> tuple[Dataset, Floats]:
    part = dataset.read(path)
    wrong = int((dataset.holdout(part) != held_out).sum())
    if wrong:
        raise DatasetError(f"{path}: {wrong} rows belong on the other side of the hold-out")
    columns = list(ENGINEERED)
    try:
        values = pd.read_csv(path, usecols=columns, dtype=np.float32)[columns].to_numpy()
    except ValueError as error:
        raise DatasetError(f"{path}: engineered features: {error}") from error
    return Dataset(part.features, part.defaulted, source), values


def _inputs(values: npt.NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame(values, columns=NAMES).astype("Int64")


def _write(path: Path, frame: pd.DataFrame) -> None:
    temporary = path.with_suffix(".partial")
    frame.to_csv(temporary, index=False, lineterminator="\n")
    temporary.replace(path)


def _rate(part: Dataset) -> float:
    return round(float(part.defaulted.mean()), 6)
