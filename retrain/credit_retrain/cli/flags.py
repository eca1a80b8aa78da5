"""Flags that several commands take, and what their values may be."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import typer

from credit_retrain.artifact.version import VERSION
from credit_retrain.base import defaults

MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
)
"""RFC 3339, as the serving side reads it: it refuses a bundle that was made at another kind of moment."""

MAX_SEED = 2**32 - 1
CORES = os.cpu_count() or 1
BUNDLE = "FILE|models:/NAME@ALIAS|shipped"


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return what reads a whole number within bounds."""
    expected = f"expected a whole number {f'of at least {low}' if high is None else f'from {low} to {high}'}"

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise typer.BadParameter(f"{text!r}: {expected}") from None
        if value < low or (high is not None and value > high):
            raise typer.BadParameter(f"{text}: {expected}")
        return value

    return read


seed = whole(0, MAX_SEED)


def moment(text: str) -> str:
    """Read a moment, and leave it as it was written."""
    expected = f"{text!r}: expected a moment of RFC 3339, as 2026-11-23T00:00:00Z"
    if not MOMENT.fullmatch(text):
        raise typer.BadParameter(expected)
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{expected}: {error}") from None
    return text


def version(text: str) -> str:
    """Read a model version."""
    if not VERSION.fullmatch(text):
        raise typer.BadParameter(
            f"{text!r}: expected 1 to 64 letters, digits, dots, dashes and underscores, "
            "the first a letter or digit"
        )
    return text


Data = Annotated[
    defaults.Source,
    typer.Option(help="Rows to train on: the UCI data, an export of decisions, or both."),
]
Dataset = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="UCI_Credit_Card.csv. [default: $DATASET, then data/raw]"),
]
Export = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Written by `creditstream dataset export`; for export and both."),
]
MinLabelled = Annotated[
    int,
    typer.Option(
        metavar="N",
        parser=whole(0),
        help="With fewer known outcomes in the export, use the UCI data alone.",
    ),
]
Prepared = Annotated[
    str | None, typer.Option(metavar="FOLDER", help="What `prepare` wrote; replaces --data.")
]
Seed = Annotated[int, typer.Option(metavar="N", parser=seed, help="Seed of everything drawn at random.")]
Jobs = Annotated[int, typer.Option(metavar="N", parser=whole(1), help="Fits at once.")]
Out = Annotated[str, typer.Option(metavar="PATH", help="Where to write.")]
Bundle = Annotated[str, typer.Option(metavar=BUNDLE, help="The bundle.")]
Champion = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|VERSION|models:/NAME@ALIAS|shipped|none",
        help=f"Bundle to compare with. [default: {defaults.CHAMPION_URI}; shipped where the stream serves "
        "it, or nothing is known of a stream]",
    ),
]
First = Annotated[
    bool,
    typer.Option("--first", help="First model of all: no champion, the AUC is compared with the floor."),
]
Validation = Annotated[str, typer.Option(metavar="FILE", help="What `validate` says of the rows.")]
Force = Annotated[
    str | None,
    typer.Option(metavar="WHY", help="Release although a gate fails; the manifest keeps the reason."),
]
Binary = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="creditstream. [default: $CREDITSTREAM_BINARY, then bin/]"),
]
