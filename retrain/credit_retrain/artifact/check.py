"""A bundle held against the training that its manifest describes."""

from __future__ import annotations

import json
from typing import Any

from credit_retrain.artifact import bundle
from credit_retrain.base.problems import ProblemError
from credit_retrain.data.dataset import Dataset
from credit_retrain.model import train


class CheckError(ProblemError):
    """Training again does not give the bundle's bytes."""


def check(shipped: bytes, data: Dataset, report: train.Report) -> None:
    """Train again with the bundle's version, date and seed, and compare byte by byte.

    Raises
    ------
    CheckError
        When a byte differs; it names the files, and the facts of the manifest, that do.
    """
    manifest = json.loads(bundle.unpack(shipped)["manifest.json"])
    trained = train.train_bundle(
        data, manifest["version"], manifest["created_at"], manifest["training"]["seed"], report
    )
    if trained.content == shipped:
        return
    raise CheckError(
        "training again gives another bundle (run `make ship` and look at what changed):\n  "
        + "\n  ".join(differences(shipped, trained.content))
    )


def differences(was: bytes, now: bytes) -> list[str]:
    """List the files that differ, and the values of the manifest that do."""
    old, new = bundle.unpack(was), bundle.unpack(now)
    out = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    facts_old, facts_new = (_flat(json.loads(files["manifest.json"])) for files in (old, new))
    for key in sorted(facts_old.keys() | facts_new.keys()):
        if facts_old.get(key) != facts_new.get(key):
            out.append(f"manifest {key}: was {facts_old.get(key)!r}, is {facts_new.get(key)!r}")
    return out or ["the archive around equal files"]


def _flat(node: Any, path: str = "") -> dict[str, object]:
    if isinstance(node, dict):
        return {k: v for key, value in node.items() for k, v in _flat(value, f"{path}{key}.").items()}
    return {path.rstrip("."): node}
