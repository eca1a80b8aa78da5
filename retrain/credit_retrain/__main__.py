"""The command line: `python -m credit_retrain COMMAND`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np

from credit_retrain import (
    artefacts,
    bundle,
    check,
    data_report,
    dataset,
    evaluate,
    fetch,
    fixtures,
    make_dataset,
    population,
    sources,
    thresholds,
    train,
)

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "model" / "shipped" / "credit-default.bundle"
PROBLEMS = (
    dataset.DatasetError,
    fetch.FetchError,
    check.CheckError,
    artefacts.BundleError,
    ValueError,
    OSError,
)
"""What is told in a line, without a trace."""


def _report(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _rows(arguments: argparse.Namespace) -> dataset.Dataset:
    """Return the rows to train on: those that `prepare` wrote, or what the sources hold."""
    if arguments.prepared:
        return make_dataset.read(Path(arguments.prepared)).data()
    return _source(arguments).data


def _source(arguments: argparse.Namespace) -> sources.Source:
    return sources.choose(
        arguments.data, arguments.dataset, arguments.export, arguments.min_labelled, _report
    )


def _prepare(arguments: argparse.Namespace) -> int:
    current = Path(arguments.current) if arguments.current else None
    out = Path(arguments.out)
    facts = make_dataset.make(_source(arguments), out, current)
    for name in ("train", "test"):
        print(f"{out / name}.csv: {facts[name]['rows']} rows, {facts[name]['digest']}")
    print(f"{out / 'current.csv'}: {facts['current']['rows']} rows, {facts['current']['origin']}")
    return 0


def _validate(arguments: argparse.Namespace) -> int:
    report = data_report.examine(Path(arguments.prepared))
    written = data_report.write(report, Path(arguments.out))
    for c in report.checks:
        if not c.passed:
            print(f"{'FAIL' if c.gating else 'note'}  {c.name}: {c.figure}")
    verdict = "the data may be trained on" if report.passed() else "the data must not be trained on"
    print(f"{verdict}: {len(report.checks)} checks, {' and '.join(str(path) for path in written)}")
    return 0 if report.passed() else 1


def _train(arguments: argparse.Namespace) -> int:
    data = _rows(arguments)
    trained = train.train_bundle(data, arguments.version, arguments.created_at, arguments.seed, _report)
    bundle.write(Path(arguments.out), trained.content)
    print(
        f"{arguments.out}: version {arguments.version}, {len(trained.content)} bytes, "
        f"hold-out AUC {trained.metrics.auc:.4f}"
    )
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    files = artefacts.files(Path(arguments.bundle).read_bytes())
    _, test = dataset.split(_rows(arguments))
    probability = artefacts.probabilities(files, test.features.astype(np.float32)).astype(np.float64)
    metrics = evaluate.evaluate(test.defaulted, probability, arguments.seed)
    version = json.loads(files["manifest.json"])["version"]
    text = json.dumps({"version": version, "test": metrics.to_dict()}, indent=1) + "\n"
    bundle.write(Path(arguments.out), text.encode())
    print(f"{arguments.out}: version {version}, {len(test)} rows, AUC {metrics.auc:.4f}")
    return 0


def _export(arguments: argparse.Namespace) -> int:
    for path in artefacts.write(Path(arguments.bundle).read_bytes(), Path(arguments.out)):
        print(path)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    path = Path(arguments.bundle)
    data = dataset.read(dataset.locate(arguments.dataset))
    check.check(path.read_bytes(), data, _report)
    print(f"{path}: training again gives the same bytes")
    return 0


def _population(arguments: argparse.Namespace) -> int:
    training, _ = dataset.split(dataset.read(dataset.locate(arguments.dataset)))
    text = json.dumps(population.estimate(training, arguments.seed), separators=(",", ":")) + "\n"
    bundle.write(Path(arguments.out), text.encode())
    print(f"{arguments.out}: {len(text)} bytes")
    return 0


def _fixtures(arguments: argparse.Namespace) -> int:
    training, _ = dataset.split(dataset.read(dataset.locate(arguments.dataset)))
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
        path = fetch.take(dataset.locate(None), Path(arguments.out))
        _report(f"taken from {os.environ['DATASET']}, nothing is fetched")
    else:
        path = fetch.fetch(Path(arguments.out), arguments.url, _report)
    rows = dataset.read(path)
    known = "the UCI data" if rows.digest() == dataset.CANONICAL_DIGEST else "not the UCI data"
    print(f"{path}: {len(rows)} rows, {known}")
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    out = argparse.ArgumentParser(
        prog="credit_retrain", description="Trains the models that creditstream serves."
    )
    commands = out.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, function: object, default_out: Path) -> argparse.ArgumentParser:
        p = commands.add_parser(name, help=text, description=text)
        p.add_argument(
            "--dataset", metavar="FILE", help="UCI_Credit_Card.csv (default: $DATASET, then data/raw)"
        )
        p.add_argument("--out", default=str(default_out), help="where to write (default: %(default)s)")
        p.add_argument(
            "--seed", type=int, default=42, help="of everything drawn at random (default: %(default)s)"
        )
        p.set_defaults(function=function)
        return p

    p = command(
        "prepare",
        "Check the data, write train.csv, test.csv and current.csv.",
        _prepare,
        ROOT / "data" / "processed",
    )
    sources.add_arguments(p)
    p.add_argument(
        "--current",
        metavar="FILE",
        help="newest inputs, written by `creditstream drift current` (default: the hold-out stands in)",
    )
    p = commands.add_parser("validate", help="Say whether prepared data may be trained on.")
    p.add_argument(
        "--prepared",
        default=str(ROOT / "data" / "processed"),
        help="folder that `prepare` wrote (default: %(default)s)",
    )
    p.add_argument(
        "--out",
        default=str(ROOT / "data" / "reports"),
        help="where to write validation.json and validation.md (default: %(default)s)",
    )
    p.set_defaults(function=_validate)
    p = command(
        "train", "Train a model and write its bundle.", _train, ROOT / "dist" / "credit-default.bundle"
    )
    sources.add_arguments(p)
    p.add_argument("--prepared", metavar="FOLDER", help="train on what `prepare` wrote, instead of --data")
    p.add_argument("--version", default="2026-11-23.1", help="of the model (default: %(default)s)")
    p.add_argument(
        "--created-at",
        default="2026-11-23T00:00:00Z",
        help="RFC 3339; given, so that the same training gives the same bytes (default: %(default)s)",
    )
    p = command(
        "evaluate",
        "Write a bundle's figures on the hold-out.",
        _evaluate,
        ROOT / "data" / "reports" / "metrics.json",
    )
    p.add_argument("--bundle", default=str(SHIPPED), help="to evaluate (default: %(default)s)")
    sources.add_arguments(p)
    p.add_argument(
        "--prepared", metavar="FOLDER", help="the hold-out that `prepare` wrote, instead of --data"
    )
    p = commands.add_parser("export", help="Check a bundle and write its files one by one.")
    p.add_argument("--bundle", default=str(SHIPPED), help="to take apart (default: %(default)s)")
    p.add_argument("--out", required=True, metavar="FOLDER", help="where to write")
    p.set_defaults(function=_export)
    p = commands.add_parser("check", help="Train again and compare with a bundle, byte by byte.")
    p.add_argument("--dataset", metavar="FILE", help="UCI_Credit_Card.csv (default: $DATASET, then data/raw)")
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
