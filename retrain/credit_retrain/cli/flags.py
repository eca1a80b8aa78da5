"""What flags may be, refused as they are read with the flag and the value named."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from datetime import datetime

from credit_retrain.data import sources

VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Versions name folders and files, and are a key on the models topic."""

MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})"
)
"""RFC 3339, as the serving side reads it: it refuses a bundle that was made at another kind of moment."""

HIGHEST_SEED = 2**32 - 1


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return what reads a whole number within bounds."""
    expected = (
        f"expected a whole number {f'of at least {least}' if most is None else f'from {least} to {most}'}"
    )

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r}: {expected}") from None
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{text}: {expected}")
        return value

    return read


seed = whole(0, HIGHEST_SEED)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Add the flags that `sources.choose` takes."""
    parser.add_argument(
        "--data",
        choices=sources.CHOICES,
        default="uci",
        help="what to train on: the UCI data, an export of decisions, both (default: %(default)s)",
    )
    parser.add_argument(
        "--export", metavar="FILE", help="written by `creditstream dataset export`, for export and both"
    )
    parser.add_argument(
        "--min-labelled",
        type=whole(0),
        default=sources.MIN_LABELLED,
        metavar="N",
        help="with fewer known outcomes in the export, the UCI data alone are used (default: %(default)s)",
    )


def add_dataset(parser: argparse.ArgumentParser) -> None:
    """Add the flag that `dataset.locate` takes."""
    parser.add_argument(
        "--dataset", metavar="FILE", help="UCI_Credit_Card.csv (default: $DATASET, then data/raw)"
    )


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add the seed of a command."""
    parser.add_argument(
        "--seed", type=seed, default=42, help="of everything drawn at random (default: %(default)s)"
    )


def moment(text: str) -> str:
    """Read a moment, and leave it as it was written."""
    expected = f"{text!r}: expected a moment of RFC 3339, as 2026-11-23T00:00:00Z"
    if not MOMENT.fullmatch(text):
        raise argparse.ArgumentTypeError(expected)
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{expected}: {error}") from None
    return text


def version(text: str) -> str:
    """Read a model version."""
    if not VERSION.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected 1 to 64 letters, digits, dots, dashes and underscores, "
            "the first a letter or digit"
        )
    return text
