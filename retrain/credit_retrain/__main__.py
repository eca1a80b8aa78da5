"""The command line: `python -m credit_retrain COMMAND`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from credit_retrain import bundle, check, dataset, fetch, fixtures, population, thresholds
from credit_retrain import commands as model_commands
from credit_retrain.commands import ROOT, SHIPPED, report
from credit_retrain.native import NativeError
from credit_retrain.tracking import TrackingError

PROBLEMS = (
    dataset.DatasetError,
    fetch.FetchError,
    check.CheckError,
    NativeError,
    TrackingError,
    ValueError,
    OSError,
)
"""What is told in a line, without a trace."""


def _prepare(arguments: argparse.Namespace) -> int:
    data = dataset.read(dataset.locate(arguments.data))
    training, test = dataset.split(data)
    for name, part in (("train", training), ("test", test)):
        path = Path(arguments.out) / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.frame().to_csv(path, index=False)
        print(f"{path}: {len(part)} rows, {part.digest()}")
    return 0


def _check(arguments: argparse.Namespace) -> int:
    path = Path(arguments.bundle)
    data = dataset.read(dataset.locate(arguments.data))
    check.check(path.read_bytes(), data, report)
    print(f"{path}: training again gives the same bytes")
    return 0


def _population(arguments: argparse.Namespace) -> int:
    training, _ = dataset.split(dataset.read(dataset.locate(arguments.data)))
    text = json.dumps(population.estimate(training, arguments.seed), separators=(",", ":")) + "\n"
    bundle.write(Path(arguments.out), text.encode())
    print(f"{arguments.out}: {len(text)} bytes")
    return 0


def _fixtures(arguments: argparse.Namespace) -> int:
    training, _ = dataset.split(dataset.read(dataset.locate(arguments.data)))
    out = Path(arguments.out)
    for path in fixtures.write(out / "forest" / "testdata", training, arguments.seed):
        print(path)
    shipped = Path(arguments.bundle).read_bytes()
    print(
        thresholds.write(out / "testdata" / "shipped-thresholds.json.gz", shipped, training, arguments.seed)
    )
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    if os.environ.get("DATASET"):
        path = dataset.locate(None)
        print(f"DATASET names {path}: {len(dataset.read(path))} rows; nothing is fetched")
        return 0
    path = fetch.fetch(Path(arguments.out), arguments.url, report)
    print(f"{path}: {len(dataset.read(path))} rows")
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    out = argparse.ArgumentParser(
        prog="credit_retrain", description="Trains the models that creditstream serves."
    )
    commands = out.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, function: object, default_out: Path) -> argparse.ArgumentParser:
        p = commands.add_parser(name, help=text, description=text)
        p.add_argument("--data", help="UCI_Credit_Card.csv (default: $DATASET, then data/raw)")
        p.add_argument("--out", default=str(default_out), help="where to write (default: %(default)s)")
        p.add_argument(
            "--seed", type=int, default=42, help="of everything drawn at random (default: %(default)s)"
        )
        p.set_defaults(function=function)
        return p

    command(
        "prepare", "Check the data and write train.csv and test.csv.", _prepare, ROOT / "data" / "processed"
    )
    model_commands.add(commands)
    p = commands.add_parser("check", help="Train again and compare with a bundle, byte by byte.")
    p.add_argument("--data", help="UCI_Credit_Card.csv (default: $DATASET, then data/raw)")
    p.add_argument(
        "--bundle",
        default=str(SHIPPED),
        help="to compare with (default: %(default)s)",
    )
    p.set_defaults(function=_check)
    command(
        "population",
        "Estimate the synthetic population's parameters.",
        _population,
        ROOT / "producer" / "population.json",
    )
    p = command(
        "fixtures", "Write the models and rows that the engines are tested on.", _fixtures, ROOT / "model"
    )
    p.add_argument(
        "--bundle",
        default=str(SHIPPED),
        help="whose thresholds the rows are around (default: %(default)s)",
    )
    p = command(
        "fetch",
        "Fetch the dataset from its official source.",
        _fetch,
        ROOT / "data" / "raw" / "UCI_Credit_Card.csv",
    )
    p.add_argument("--url", default=fetch.SOURCE, help="where from (default: %(default)s)")
    return out


def main(arguments: list[str] | None = None) -> int:
    """Run a command; problems are told in a line, without a trace."""
    chosen = parser().parse_args(arguments)
    try:
        return int(chosen.function(chosen))
    except PROBLEMS as error:
        print(f"credit_retrain {chosen.command}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
