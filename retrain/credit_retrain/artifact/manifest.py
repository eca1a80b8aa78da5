"""A bundle's manifest, compared with the shape that what reads it relies on."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

MAX_SHOWN = 80
"""Characters of a value that an error shows."""

ABSENT: Any = None
"""Default of what must be there: validated as null, so that an error says what was expected instead."""

EXPECTED = {
    "string_type": "a string",
    "string_too_short": "a string",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}
"""What to say for an error of pydantic's."""


def _reason(text: str) -> str:
    if not text.strip():
        raise ValueError("a reason")
    return text


def _champion(found: dict[str, Any]) -> dict[str, Any]:
    named = all(isinstance(found.get(key), str) and found[key] for key in ("version", "digest"))
    if not named and found != {"first": True}:
        raise ValueError('a version and a digest, or {"first": true}')
    return found


class _Part(BaseModel):
    """An object of the manifest; what nothing relies on may be in it as well, and what is absent is null."""

    model_config = ConfigDict(extra="allow", strict=True, validate_default=True)


class File(_Part):
    """A file of the bundle."""

    sha256: str = ABSENT


class Training(_Part):
    """How it was trained: enough to train it again, where that is known."""

    train_digest: str | None = None
    test_digest: str | None = None
    holdout: str | None = None
    parameters: dict[str, Any] | None = None
    seed: int | None = None


class Verdict(_Part):
    """A gate's verdict."""

    name: str = ABSENT
    passed: bool = ABSENT


class Forced(_Part):
    """Which gates were overruled, and why."""

    why: Annotated[str, AfterValidator(_reason)] = ABSENT
    gates: list[str] = ABSENT


class Metrics(_Part):
    """What it is worth, what its gates say, and which champion it was compared with."""

    gates: list[Verdict] | None = None
    champion: Annotated[dict[str, Any], AfterValidator(_champion)] | None = None


class Manifest(_Part):
    """A manifest."""

    version: str = Field(default=ABSENT, min_length=1)
    files: dict[str, File] = ABSENT
    training: Training = ABSENT
    metrics: Metrics = ABSENT
    forced: Forced | None = None


def read(text: bytes) -> dict[str, Any]:
    """Return a manifest, as it is written.

    Raises
    ------
    ValueError
        When something that is relied on is absent or of another kind; it names it.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"manifest.json is not JSON: {error}") from error
    check(found)
    out: dict[str, Any] = found
    return out


def check(found: Any) -> None:
    """Compare what a manifest holds with its shape.

    Raises
    ------
    ValueError
        When something that is relied on is absent or of another kind; it names it.
    """
    try:
        Manifest.model_validate(found)
    except ValidationError as error:
        raise _unexpected(error) from error


def _unexpected(error: ValidationError) -> ValueError:
    first = error.errors(include_url=False)[0]
    where = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"]).lstrip(".")
    wrong = first.get("ctx", {}).get("error")
    expected = str(wrong) if wrong is not None else EXPECTED.get(first["type"], first["msg"])
    shown = repr(first["input"])
    if len(shown) > MAX_SHOWN:
        shown = f"{shown[:MAX_SHOWN]}..."
    return ValueError(f"the bundle's manifest: {where or 'manifest.json'} is {shown}, expected {expected}")
