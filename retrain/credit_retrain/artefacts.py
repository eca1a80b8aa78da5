"""A bundle's files, checked and written out for tools that take them one by one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx

from credit_retrain import bundle
from credit_retrain.export import run

TOLERANCE = 1e-6
"""Largest difference of a golden row's probability."""


class BundleError(Exception):
    """A bundle is none, or disagrees with itself."""


def files(content: bytes) -> dict[str, bytes]:
    """Return a bundle's files by name, every one held to the manifest's digest.

    Raises
    ------
    BundleError
        When the bytes are no bundle, or a file is absent or is not what the manifest says.
    """
    try:
        found = bundle.unpack(content)
        listed = json.loads(found["manifest.json"])["files"]
    except (KeyError, ValueError) as error:
        raise BundleError(str(error)) from error
    wrong = [
        name
        for name, known in listed.items()
        if name not in found or hashlib.sha256(found[name]).hexdigest() != known["sha256"]
    ]
    if wrong:
        raise BundleError(f"{', '.join(wrong)}: not what the manifest says")
    return found


def write(content: bytes, out: Path) -> list[Path]:
    """Write the files of a bundle whose golden rows replay on ONNX Runtime.

    Raises
    ------
    BundleError
        When the bundle disagrees with itself.
    """
    found = files(content)
    golden = json.loads(found["golden.json"])["rows"]
    rows = np.array([[np.nan if v is None else v for v in row["features"]] for row in golden], np.float32)
    want = np.array([row["probability"] for row in golden])
    worst = float(np.abs(run(onnx.load_from_string(found["model.onnx"]), rows) - want).max())
    if worst > TOLERANCE:
        raise BundleError(f"golden rows differ by {worst:.1e} on ONNX Runtime, more than {TOLERANCE:.0e}")
    written = []
    for name, file in sorted(found.items()):
        bundle.write(out / name, file)
        written.append(out / name)
    return written
