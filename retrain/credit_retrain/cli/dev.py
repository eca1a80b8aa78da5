"""Commands that write what tests of both halves run on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from credit_retrain.base import whole
from credit_retrain.base.defaults import SEED
from credit_retrain.base.places import ROOT, SHIPPED
from credit_retrain.cli import flags, rows


def population(
    dataset: flags.Dataset = None,
    seed: flags.Seed = SEED,
    out: flags.Out = str(ROOT / "producer" / "population.json"),
) -> int:
    """Estimate the synthetic population's parameters."""
    from credit_retrain.uci.population import estimate

    text = json.dumps(estimate(rows.training(dataset), seed), separators=(",", ":")) + "\n"
    whole.write(Path(out), text.encode())
    print(f"{out}: {len(text)} bytes")
    return 0


def fixtures(
    dataset: flags.Dataset = None,
    seed: flags.Seed = SEED,
    bundle: Annotated[
        str, typer.Option(metavar="FILE", help="Bundle whose thresholds the rows are around.")
    ] = str(SHIPPED),
    out: flags.Out = str(ROOT / "model"),
) -> int:
    """Write the models and rows that the engines are tested on."""
    from credit_retrain.dev import fixtures as small
    from credit_retrain.uci import thresholds

    training = rows.training(dataset)
    for path in small.write(Path(out) / "forest" / "testdata", training, seed):
        print(path)
    shipped = Path(bundle).read_bytes()
    around = Path(out) / "testdata" / "shipped-thresholds.json.gz"
    print(thresholds.write(around, shipped, training, seed))
    return 0


def drift_fixtures(
    seed: flags.Seed = SEED, out: flags.Out = str(ROOT / "drift" / "statistic" / "testdata")
) -> int:
    """Write the counts that drift statistics are tested on."""
    from credit_retrain.dev.drift_fixtures import write

    print(write(Path(out), seed))
    return 0
