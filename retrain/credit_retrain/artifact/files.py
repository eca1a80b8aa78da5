"""A bundle's files, checked and written out for tools that take them one by one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from credit_retrain.artifact.opened import Bundle
from credit_retrain.base import whole

TOLERANCE = 1e-6
"""Largest difference of a golden row's probability."""


def write(content: bytes, out: Path) -> list[Path]:
    """Write the files of a bundle whose golden rows replay on ONNX Runtime.

    Raises
    ------
    ValueError
        When it is no bundle, or disagrees with itself.
    """
    opened = Bundle(content)
    golden = json.loads(opened.files["golden.json"])["rows"]
    rows = np.array([[np.nan if v is None else v for v in row["features"]] for row in golden])
    want = np.array([row["probability"] for row in golden])
    worst = float(np.abs(opened.score(rows) - want).max())
    if worst > TOLERANCE:
        raise ValueError(f"golden rows differ by {worst:.1e} on ONNX Runtime, more than {TOLERANCE:.0e}")
    written = []
    for name, file in sorted(opened.files.items()):
        whole.write(out / name, file)
        written.append(out / name)
    return written
