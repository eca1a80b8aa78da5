"""What the flags name, read: rows, the binary, what validation said."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credit_retrain.base.progress import report

if TYPE_CHECKING:
    from credit_retrain.artifact.native import Binary
    from credit_retrain.base.defaults import Source
    from credit_retrain.data.dataset import Dataset


def read(
    prepared: str | None, data: Source, dataset: str | None, export: str | None, min_labelled: int
) -> Dataset:
    """Return the rows that `prepare` wrote, or those of the sources."""
    if prepared:
        from credit_retrain.data import make_dataset

        return make_dataset.read(Path(prepared)).data()
    from credit_retrain.data import sources

    return sources.choose(data, dataset, export, min_labelled, report).data


def training(dataset: str | None) -> Dataset:
    """Return the training rows of the UCI data."""
    from credit_retrain.data.dataset import locate, split
    from credit_retrain.data.dataset import read as read_file

    return split(read_file(locate(dataset)))[0]


def binary(path: str | None) -> Binary | None:
    """Find the binary; without one the gates that need it say so and fail. One that was named must be it."""
    from credit_retrain.artifact.native import VARIABLE, Binary, NativeError

    try:
        return Binary.locate(path)
    except NativeError:
        if path or os.environ.get(VARIABLE):
            raise
        return None


def reason(force: str | None) -> str | None:
    """Return why a gate is overruled, None where none is."""
    if force is not None and not force.strip():
        raise ValueError("--force is empty: expected why the gates are overruled; the manifest keeps it")
    return force


def validation(path: str) -> dict[str, Any] | None:
    """Read what `validate` wrote, None where it wrote nothing."""
    file = Path(path)
    if not file.exists():
        return None
    wrong = f"--validation {path}: expected what `retrain/credit-retrain validate` writes"
    if not file.is_file():
        raise ValueError(f"{wrong}, this is no file")
    try:
        said = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{wrong}, this is not JSON: {error}") from error
    absent = _wrong(said)
    if absent is not None:
        raise ValueError(f"{wrong}: {absent}")
    found: dict[str, Any] = said
    return found


def _wrong(said: Any) -> str | None:
    """Say what the gates need and do not find in what `validate` wrote."""
    if not isinstance(said, dict) or not isinstance(said.get("passed"), bool):
        return "`passed` is not true or false"
    data = said.get("data")
    for part in ("train", "test"):
        found = data.get(part) if isinstance(data, dict) else None
        # Files that broke the contract have no digest.
        if said["passed"] and not (isinstance(found, dict) and isinstance(found.get("digest"), str)):
            return f"`data.{part}.digest` is not a string"
    checks = said.get("checks")
    if not isinstance(checks, list):
        return "`checks` is not a list"
    for i, check in enumerate(checks):
        kinds = {"name": str, "passed": bool, "gating": bool}
        if not isinstance(check, dict) or not all(isinstance(check.get(k), t) for k, t in kinds.items()):
            return f"`checks[{i}]` lacks its name, or whether it passed and is gating"
    return None
