"""A bundle's manifest, held to the shape that what reads it relies on."""

from __future__ import annotations

import json
from typing import Any

LONGEST = 80
"""Characters of a value that an error shows."""


def read(text: bytes) -> dict[str, Any]:
    """Return a manifest.

    Raises
    ------
    ValueError
        When something that is relied on is absent or of another kind; it names it.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"manifest.json is not JSON: {error}") from error
    _object(found, "manifest.json")
    if not isinstance(found.get("version"), str) or not found["version"]:
        raise _unexpected("version", found.get("version"), "a string")
    for name, said in _object(found.get("files"), "files").items():
        if not isinstance(_object(said, f"files.{name}").get("sha256"), str):
            raise _unexpected(f"files.{name}.sha256", said.get("sha256"), "a string")
    _training(_object(found.get("training"), "training"))
    metrics = _object(found.get("metrics"), "metrics")
    if metrics.get("gates") is not None:
        _gates(metrics["gates"])
    if metrics.get("champion") is not None:
        _champion(_object(metrics["champion"], "metrics.champion"))
    if found.get("forced") is not None:
        _forced(_object(found["forced"], "forced"))
    out: dict[str, Any] = found
    return out


def _training(training: dict[str, Any]) -> None:
    for name, kind, expected in (
        ("train_digest", str, "a string"),
        ("test_digest", str, "a string"),
        ("holdout", str, "a string"),
        ("parameters", dict, "an object"),
        ("seed", int, "a whole number"),
    ):
        if name in training and not isinstance(training[name], kind):
            raise _unexpected(f"training.{name}", training[name], expected)


def _gates(gates: Any) -> None:
    if not isinstance(gates, list):
        raise _unexpected("metrics.gates", gates, "a list")
    for i, gate in enumerate(gates):
        where = f"metrics.gates[{i}]"
        if not isinstance(_object(gate, where).get("name"), str):
            raise _unexpected(f"{where}.name", gate.get("name"), "a string")
        if not isinstance(gate.get("passed"), bool):
            raise _unexpected(f"{where}.passed", gate.get("passed"), "true or false")


def _champion(champion: dict[str, Any]) -> None:
    named = all(isinstance(champion.get(key), str) and champion[key] for key in ("version", "digest"))
    if not named and champion != {"first": True}:
        raise _unexpected("metrics.champion", champion, 'a version and a digest, or {"first": true}')


def _forced(forced: dict[str, Any]) -> None:
    if not isinstance(forced.get("why"), str) or not forced["why"].strip():
        raise _unexpected("forced.why", forced.get("why"), "a reason")
    gates = forced.get("gates")
    if not isinstance(gates, list) or not all(isinstance(gate, str) for gate in gates):
        raise _unexpected("forced.gates", gates, "a list of gates")


def _object(found: Any, where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise _unexpected(where, found, "an object")
    return found


def _unexpected(where: str, found: object, expected: str) -> ValueError:
    told = repr(found)
    if len(told) > LONGEST:
        told = f"{told[:LONGEST]}..."
    return ValueError(f"the bundle's manifest: {where} is {told}, expected {expected}")
