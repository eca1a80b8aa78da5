"""The commands that follow the stream: aliases and release."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from credit_retrain.artifact.native import Binary
from credit_retrain.base.progress import report
from credit_retrain.evaluate import gates
from credit_retrain.registry import champions, tracking


def _list(text: str, flag: str, named: str, command: str, whole: Callable[[dict[str, Any]], bool]) -> Any:
    """Read a list of objects that a command of the binary printed."""
    expected = f"{flag} {named}: expected what `creditstream {command} --json` prints"
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{expected}: {error}") from error
    if not isinstance(found, list) or not all(isinstance(f, dict) and whole(f) for f in found):
        raise ValueError(expected)
    return found


def _is_route(route: dict[str, Any]) -> bool:
    canary, shadow = route.get("canary"), route.get("shadow")
    return (
        isinstance(route.get("champion"), str)
        and (canary is None or (isinstance(canary, dict) and isinstance(canary.get("model_version"), str)))
        and (shadow is None or isinstance(shadow, str))
    )


def _is_released(model: dict[str, Any]) -> bool:
    return isinstance(model.get("version"), str) and isinstance(model.get("digest"), str)


def aliases(route: str, listed: str | None) -> list[str]:
    """Let the aliases name what the newest route serves; return what moved, a line each.

    Parameters
    ----------
    route : str
        File with what `creditstream model history --json` printed, - for the standard input.
    listed : str or None
        File with what `creditstream model list --json` printed.
    """
    text = sys.stdin.read() if route == "-" else Path(route).read_text("utf-8")
    history = _list(text, "--route", route, "model history", _is_route)
    released = None
    if listed:
        text = Path(listed).read_text("utf-8")
        models = _list(text, "--models", listed, "model list", _is_released)
        released = {model["version"]: model["digest"] for model in models}
    moved = [f"{m.alias}: {m.told}" for m in tracking.mirror(history, released=released)]
    champions.warn_unknown(tracking.Serving.by(history[-1], released))
    return moved


RELEASE_ALONE = {"--engine": True, "--ungated": True, "--by": True, "--first": False, "--json": False}
"""Flags that `model release` takes and `model history` does not, and whether they take a value."""


def connection(given: list[str]) -> list[str]:
    """Return the flags for `model release` that say where the stream is."""
    out, value = [], False
    for word in given:
        name, equals, _ = word.partition("=")
        if value:
            value = False
        elif name in RELEASE_ALONE:
            value = RELEASE_ALONE[name] and not equals
        else:
            out.append(word)
    return out


def _follow(binary: Binary, given: list[str]) -> tracking.Serving | None:
    """Ask the stream which champion it serves, None where it has no route, and let the alias name it.

    The challenger stays: it may be what is to be released.
    """
    where = connection(given)
    history = _list(
        binary.run(["model", "history", "--json", *where]), "release", "--", "model history", _is_route
    )
    if not history:
        return None
    models = _list(
        binary.run(["model", "list", "--json", *where]), "release", "--", "model list", _is_released
    )
    released = {model["version"]: model["digest"] for model in models}
    serving = tracking.Serving.by(history[-1], released)
    if tracking.kept():
        try:
            for moved in tracking.mirror(history, released=released, challenger=False):
                report(f"{moved.alias}: {moved.told}")
            champions.warn_unknown(serving)
        except tracking.TrackingError as error:
            # The release is held to the stream itself.
            report(f"warning: the alias does not follow the route: {error}")
    return serving


def release(model: str, champion: str | None, path: str | None, flags: list[str]) -> str:
    """Release a bundle that was compared with what serves, by the binary; return what that printed.

    Parameters
    ----------
    champion : str or None
        What its verdicts were reached against, where the stream serves another.
    path : str or None
        Of the binary.
    flags : list of str
        For `creditstream model release`.
    """
    opened = champions.find(model, "MODEL")
    binary = Binary.locate(path)
    refused = gates.releasable(opened)
    if refused is None:
        refused = champions.held_against_another(opened, _follow(binary, flags), champion)
    if refused is not None:
        raise ValueError(refused)
    report(f"model {opened.version}: {gates.judged_against(opened)}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "candidate.bundle"
        file.write_bytes(opened.content)
        return binary.run(["model", "release", str(file), *flags])
