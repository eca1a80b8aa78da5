"""The command line: `retrain/credit-retrain COMMAND`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from credit_retrain import whole
from credit_retrain.artifact import check, files
from credit_retrain.cli import commands as model_commands
from credit_retrain.cli import flags
from credit_retrain.cli.commands import source
from credit_retrain.data import checks, dataset, make_dataset
from credit_retrain.dev import drift_fixtures, fixtures
from credit_retrain.drift import daily
from credit_retrain.places import PROCESSED, RAW, REPORTS, ROOT, SHIPPED
from credit_retrain.problems import ProblemError
from credit_retrain.progress import report
from credit_retrain.uci import fetch, population, published, thresholds

NOT_JUDGED = 3
"""Exit code of a drift check that has too few rows to say anything; 1 is a problem, 2 a wrong flag."""
PROBLEMS = (ProblemError, ValueError, OSError)
"""What is told in a line, without a trace."""


def _prepare(arguments: argparse.Namespace) -> int:
    current = Path(arguments.current) if arguments.current else None
    out = Path(arguments.out)
    facts = make_dataset.make(source(arguments), out, current)
    for name in ("train", "test"):
        print(f"{out / name}.csv: {facts[name]['rows']} rows, {facts[name]['digest']}")
    print(f"{out / 'current.csv'}: {facts['current']['rows']} rows, {facts['current']['origin']}")
    return 0


def _validate(arguments: argparse.Namespace) -> int:
    found = checks.examine(Path(arguments.prepared))
    written = checks.write(found, Path(arguments.out))
    for c in found.checks:
        if not c.passed:
            print(f"{'FAIL' if c.gating else 'note'}  {c.name}: {c.figure}")
    verdict = "the data may be trained on" if found.passed() else "the data must not be trained on"
    print(f"{verdict}: {len(found.checks)} checks, {' and '.join(str(path) for path in written)}")
    return 0 if found.passed() else 1


def _export(arguments: argparse.Namespace) -> int:
    for path in files.write(Path(arguments.bundle).read_bytes(), Path(arguments.out)):
        print(path)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    path = Path(arguments.bundle)
    data = dataset.read(dataset.locate(arguments.dataset))
    check.check(path.read_bytes(), data, report)
    print(f"{path}: training again gives the same bytes")
    return 0


def _population(arguments: argparse.Namespace) -> int:
    training, _ = dataset.split(dataset.read(dataset.locate(arguments.dataset)))
    text = json.dumps(population.estimate(training, arguments.seed), separators=(",", ":")) + "\n"
    whole.write(Path(arguments.out), text.encode())
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


def _drift_fixtures(arguments: argparse.Namespace) -> int:
    print(drift_fixtures.write(Path(arguments.out), arguments.seed))
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    if os.environ.get("DATASET"):
        path = fetch.take(dataset.locate(None), Path(arguments.out))
        report(f"taken from {os.environ['DATASET']}, nothing is fetched")
    else:
        path = fetch.fetch(Path(arguments.out), arguments.url, report)
    rows = dataset.read(path)
    known = "the UCI data" if rows.digest() == published.DIGEST else "not the UCI data"
    print(f"{path}: {len(rows)} rows, {known}")
    return 0


def _drift(arguments: argparse.Namespace) -> int:
    reference, current = daily.read(Path(arguments.reference)), daily.read(Path(arguments.current))
    if not reference.scored:
        reference = daily.score(reference, Path(arguments.bundle).read_bytes())
    status, pages = daily.check(reference, current, arguments.drift_share)
    daily.write(Path(arguments.out), status, pages)
    data, concept = status["data_drift"], status["concept_drift"]
    told = "not judged: too few outcomes are known"
    if concept is not None:
        told = "yes" if concept["drifted"] else "no"
    if not data["judged"]:
        print(
            f"{arguments.out}: data drift not judged: {len(current)} rows against {len(reference)}, "
            f"fewer than {data['fewest_rows']} say nothing; concept drift {told}"
        )
        return NOT_JUDGED
    missing = ""
    if data["missing_columns"]:
        missing = f", missing values: {', '.join(data['missing_columns'])}"
    print(
        f"{arguments.out}: data drift {'yes' if data['drifted'] else 'no'} "
        f"({data['drifted_columns']} of {len(data['columns'])} columns{missing}), concept drift {told}"
    )
    return 0


def parser() -> argparse.ArgumentParser:
    """Build the command line."""
    out = argparse.ArgumentParser(
        prog="credit-retrain", description="Trains the models that creditstream serves."
    )
    commands = out.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str, function: object, default_out: Path) -> argparse.ArgumentParser:
        p = commands.add_parser(name, help=text, description=text)
        p.add_argument("--out", default=str(default_out), help="where to write (default: %(default)s)")
        p.set_defaults(function=function)
        return p

    p = command(
        "prepare",
        "Check the data, write train.csv, test.csv and current.csv.",
        _prepare,
        PROCESSED,
    )
    flags.add_sources(p)
    flags.add_dataset(p)
    p.add_argument(
        "--current",
        metavar="FILE",
        help="newest inputs, written by `creditstream drift current` (default: the hold-out stands in)",
    )
    p = commands.add_parser("validate", help="Say whether prepared data may be trained on.")
    p.add_argument(
        "--prepared",
        default=str(PROCESSED),
        help="folder that `prepare` wrote (default: %(default)s)",
    )
    p.add_argument(
        "--out",
        default=str(REPORTS),
        help="where to write validation.json and validation.md (default: %(default)s)",
    )
    p.set_defaults(function=_validate)
    model_commands.add(commands)
    p = commands.add_parser("export", help="Check a bundle and write its files one by one.")
    p.add_argument("--bundle", default=str(SHIPPED), help="to take apart (default: %(default)s)")
    p.add_argument("--out", required=True, metavar="FOLDER", help="where to write")
    p.set_defaults(function=_export)
    p = commands.add_parser("check", help="Train again and compare with a bundle, byte by byte.")
    flags.add_dataset(p)
    p.add_argument(
        "--bundle",
        default=str(SHIPPED),
        help="to compare with (default: %(default)s)",
    )
    p.set_defaults(function=_check)
    p = command(
        "population",
        "Estimate the synthetic population's parameters.",
        _population,
        ROOT / "producer" / "population.json",
    )
    flags.add_dataset(p)
    flags.add_seed(p)
    p = command(
        "fixtures", "Write the models and rows that the engines are tested on.", _fixtures, ROOT / "model"
    )
    flags.add_dataset(p)
    flags.add_seed(p)
    p.add_argument(
        "--bundle",
        default=str(SHIPPED),
        help="whose thresholds the rows are around (default: %(default)s)",
    )
    p = command(
        "drift-fixtures",
        "Write the counts that drift statistics are tested on.",
        _drift_fixtures,
        ROOT / "drift" / "statistic" / "testdata",
    )
    flags.add_seed(p)
    p = command(
        "fetch",
        "Fetch the dataset from its official source.",
        _fetch,
        RAW,
    )
    p.add_argument("--url", default=published.ADDRESS, help="where from (default: %(default)s)")
    p = commands.add_parser(
        "drift",
        help="Compare the last inputs with the training data (Evidently): reports and drift_status.json.",
    )
    p.add_argument("--reference", required=True, help="CSV in the contract's columns, as train.csv")
    p.add_argument("--current", required=True, help="CSV that `creditstream drift current` writes")
    p.add_argument("--out", required=True, help="folder for drift_report.html and drift_status.json")
    p.add_argument(
        "--bundle", default=str(SHIPPED), help="that scores a reference without scores (default: %(default)s)"
    )
    p.add_argument(
        "--drift-share",
        type=float,
        default=daily.DRIFT_SHARE,
        help="share of drifted columns from which all is called drifted (default: %(default)s)",
    )
    p.set_defaults(function=_drift)
    return out


def main(arguments: list[str] | None = None) -> int:
    """Run a command; problems are told in a line, without a trace."""
    given = sys.argv[1:] if arguments is None else arguments
    passed_on = None
    if given[:1] == ["release"] and "--" in given:
        at = given.index("--")
        given, passed_on = given[:at], given[at + 1 :]
    chosen = parser().parse_args(given)
    if passed_on is not None:
        chosen.flags = passed_on
    try:
        return int(chosen.function(chosen))
    except PROBLEMS as error:
        print(f"credit_retrain {chosen.command}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
