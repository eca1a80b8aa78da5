"""Commands on data: fetch, prepare, validate."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from credit_retrain.base.defaults import MIN_LABELLED
from credit_retrain.base.places import PROCESSED, RAW, REPORTS
from credit_retrain.base.progress import report
from credit_retrain.cli import flags
from credit_retrain.uci import published


def fetch(
    out: flags.Out = str(RAW),
    url: Annotated[str, typer.Option(metavar="URL", help="Where from.")] = published.ADDRESS,
) -> int:
    """Fetch the dataset from its official source."""
    from credit_retrain.data import dataset
    from credit_retrain.uci import fetch as source

    if os.environ.get("DATASET"):
        path = source.take(dataset.locate(None), Path(out))
        report(f"taken from {os.environ['DATASET']}, nothing is fetched")
    else:
        path = source.fetch(Path(out), url, report)
    rows = dataset.read(path)
    known = "the UCI data" if rows.digest() == published.DIGEST else "not the UCI data"
    print(f"{path}: {len(rows)} rows, {known}")
    return 0


def prepare(
    data: flags.Data = "uci",
    export: flags.Export = None,
    min_labelled: flags.MinLabelled = MIN_LABELLED,
    dataset: flags.Dataset = None,
    current: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Newest inputs, written by `creditstream drift current`. [default: the hold-out stands in]",
        ),
    ] = None,
    out: flags.Out = str(PROCESSED),
) -> int:
    """Check the data, write train.csv, test.csv and current.csv."""
    from credit_retrain.data import make_dataset, sources

    folder = Path(out)
    source = sources.choose(data, dataset, export, min_labelled, report)
    facts = make_dataset.make(source, folder, Path(current) if current else None)
    for name in ("train", "test"):
        print(f"{folder / name}.csv: {facts[name]['rows']} rows, {facts[name]['digest']}")
    print(f"{folder / 'current.csv'}: {facts['current']['rows']} rows, {facts['current']['origin']}")
    return 0


def validate(
    prepared: Annotated[str, typer.Option(metavar="FOLDER", help="Folder that `prepare` wrote.")] = str(
        PROCESSED
    ),
    out: Annotated[
        str, typer.Option(metavar="FOLDER", help="Where to write validation.json and validation.md.")
    ] = str(REPORTS),
) -> int:
    """Say whether prepared data may be trained on."""
    from credit_retrain.data import checks

    found = checks.examine(Path(prepared))
    written = checks.write(found, Path(out))
    for c in found.checks:
        if not c.passed:
            print(f"{'FAIL' if c.gating else 'note'}  {c.name}: {c.figure}")
    verdict = "the data may be trained on" if found.passed() else "the data must not be trained on"
    print(f"{verdict}: {len(found.checks)} checks, {' and '.join(str(path) for path in written)}")
    return 0 if found.passed() else 1
