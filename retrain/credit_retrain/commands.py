"""The commands of a model's life: train, ship, evaluate, gate, aliases, fetch-model, release."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from credit_retrain import (
    bundle,
    candidate,
    dataset,
    evaluate,
    gates,
    make_dataset,
    search,
    sources,
    thresholds,
    tracking,
    train,
)
from credit_retrain.dataset import Dataset
from credit_retrain.gates import Bundle, Case
from credit_retrain.native import Binary, NativeError

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "model" / "shipped" / "credit-default.bundle"
DIST = ROOT / "dist"

Commands = Any
"""What argparse's add_subparsers returns; its type has no public name."""


def report(line: str) -> None:
    """Tell of progress, on the standard error."""
    print(line, file=sys.stderr, flush=True)


def source(arguments: argparse.Namespace) -> sources.Source:
    """Read the rows that the flags of `sources.add_arguments` name."""
    return sources.choose(arguments.data, arguments.dataset, arguments.export, arguments.min_labelled, report)


def _rows(arguments: argparse.Namespace) -> Dataset:
    """Return the rows that `prepare` wrote, or those of the sources."""
    if arguments.prepared:
        return make_dataset.read(Path(arguments.prepared)).data()
    return source(arguments).data


def _bundle(path: str) -> Bundle | None:
    """Read a bundle: a file, `shipped`, or `none`."""
    if path == "none":
        return None
    file = SHIPPED if path == "shipped" else Path(path)
    try:
        return Bundle(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def _binary(path: str | None) -> Binary | None:
    """Find the binary; without one the gates that need it say so and fail."""
    try:
        return Binary.locate(path)
    except NativeError:
        if path:
            raise
        return None


def _validation(path: str) -> dict[str, Any] | None:
    """Read what `validate` wrote, None where it wrote nothing."""
    file = Path(path)
    if not file.is_file():
        return None
    said = json.loads(file.read_text("utf-8"))
    if not isinstance(said, dict) or not {"passed", "data", "checks"} <= said.keys():
        raise ValueError(f"--validation {path}: expected what `python -m credit_retrain validate` writes")
    return said


def _reason(force: str | None) -> str | None:
    if force is not None and not force.strip():
        raise ValueError(
            "--force is empty: expected why the gates are overruled, for those who read the manifest"
        )
    return force


def _train(arguments: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    out = Path(arguments.out)
    version = arguments.version or candidate.next_version(out, f"{now:%Y-%m-%d}")
    champion = _bundle(arguments.champion)
    data = _rows(arguments)
    plan = candidate.Plan(
        version=version,
        created_at=arguments.created_at or f"{now:%Y-%m-%dT%H:%M:%SZ}",
        seed=arguments.seed,
        out=out,
        n_iter=arguments.n_iter or (search.LONG if arguments.search else search.SHORT),
        n_jobs=arguments.n_jobs,
        champion=None if champion is None else champion.content,
        binary=_binary(arguments.binary),
        validation=_validation(arguments.validation),
        force=_reason(arguments.force),
    )
    report(f"training model {version}")
    made = candidate.make(data, plan, report)
    if not arguments.no_tracking:
        tracking.log(made, report)
    print(f"{made.file}: model {version}, {made.file.stat().st_size} bytes")
    if not made.released:
        failed = ", ".join(g.name for g in made.gates if not g.passed)
        report(f"model {version} is not for release: it failed at {failed}")
        return 1
    return 0


def _ship(arguments: argparse.Namespace) -> int:
    data = _rows(arguments)
    trained = train.train_bundle(data, arguments.version, arguments.created_at, arguments.seed, report)
    bundle.write(Path(arguments.out), trained.content)
    print(
        f"{arguments.out}: version {arguments.version}, {len(trained.content)} bytes, "
        f"hold-out AUC {trained.metrics.auc:.4f}"
    )
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    opened = _bundle(arguments.bundle)
    if opened is None:
        raise ValueError("--bundle none: expected a file or shipped")
    _, test = dataset.split(_rows(arguments))
    found = evaluate.full(test, opened.score(test), arguments.seed)
    text = json.dumps({"version": opened.version, "test": found}, indent=1, ensure_ascii=False) + "\n"
    if arguments.out == "-":
        print(text, end="")
    else:
        bundle.write(Path(arguments.out), text.encode())
    return 0


def _gate(arguments: argparse.Namespace) -> int:
    opened = _bundle(arguments.candidate)
    if opened is None:
        raise ValueError("--candidate none: expected a file or shipped")
    force = _reason(arguments.force)
    rows, test = dataset.split(_rows(arguments))
    case = Case(
        opened,
        _bundle(arguments.champion),
        rows,
        test,
        thresholds.pipeline_of(opened.content, rows),
        _binary(arguments.binary),
        _validation(arguments.validation),
    )
    with tempfile.TemporaryDirectory() as folder:
        verdicts = gates.judge(case, Path(folder))
    failed = [verdict.name for verdict in verdicts if not verdict.passed]
    if arguments.record or force:
        if arguments.candidate == "shipped":
            raise ValueError("the shipped bundle is not written to: its bytes are what training gives")
        bundle.write(Path(arguments.candidate), gates.stamp(opened, verdicts, force))
    if arguments.json:
        document = {
            "version": opened.version,
            "passed": not failed,
            "forced": force if failed else None,
            "gates": gates.record(verdicts),
        }
        print(json.dumps(document, ensure_ascii=False))
    else:
        for verdict in verdicts:
            print(verdict.line())
        print(
            f"model {opened.version} "
            + (
                "passes"
                if not failed
                else f"fails at {', '.join(failed)}" + (f"; overruled: {force}" if force else "")
            )
        )
    return 1 if failed and not force else 0


def _aliases(arguments: argparse.Namespace) -> int:
    text = sys.stdin.read() if arguments.route == "-" else Path(arguments.route).read_text("utf-8")
    try:
        history = json.loads(text)
        if not isinstance(history, list) or not all(isinstance(r, dict) and "champion" in r for r in history):
            raise ValueError("no list of routes")
    except ValueError as error:
        raise ValueError(
            f"--route {arguments.route}: {error}: expected what `creditstream model history --json` prints"
        ) from error
    for moved in tracking.mirror(history):
        print(f"{moved.alias}: {moved.told}")
    return 0


def _fetch_model(arguments: argparse.Namespace) -> int:
    content = tracking.fetch(arguments.model)
    bundle.write(Path(arguments.out), content)
    print(f"{arguments.out}: model {Bundle(content).version}, {len(content)} bytes")
    return 0


def _release(arguments: argparse.Namespace) -> int:
    binary = Binary.locate(arguments.binary)
    source = arguments.model
    content = tracking.fetch(source) if source.startswith("models:/") else Path(source).read_bytes()
    refused = gates.releasable(Bundle(content))
    if refused is not None:
        raise ValueError(refused)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "candidate.bundle"
        file.write_bytes(content)
        print(binary.run(["model", "release", str(file), *arguments.flags]), end="")
    return 0


def add(commands: Commands) -> None:
    """Add the commands to the command line."""

    def command(name: str, text: str, function: object) -> argparse.ArgumentParser:
        p: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
        p.set_defaults(function=function)
        return p

    def on_data(p: argparse.ArgumentParser, seed: bool = True) -> None:
        sources.add_arguments(p)
        p.add_argument(
            "--dataset", metavar="FILE", help="UCI_Credit_Card.csv (default: $DATASET, then data/raw)"
        )
        p.add_argument("--prepared", metavar="FOLDER", help="what `prepare` wrote, instead of --data")
        if seed:
            p.add_argument(
                "--seed", type=int, default=42, help="of everything drawn at random (default: %(default)s)"
            )

    def judged(p: argparse.ArgumentParser) -> None:
        p.add_argument(
            "--champion",
            default="shipped",
            metavar="FILE|shipped|none",
            help="the bundle that is not to be fallen behind (default: %(default)s)",
        )
        p.add_argument(
            "--validation",
            default=str(ROOT / "data" / "reports" / "validation.json"),
            metavar="FILE",
            help="what `validate` says of the rows (default: %(default)s)",
        )
        p.add_argument(
            "--force", metavar="WHY", help="release although a gate fails; the reason stands in the manifest"
        )
        needs_binary(p)

    def needs_binary(p: argparse.ArgumentParser) -> None:
        p.add_argument(
            "--binary", metavar="FILE", help="creditstream (default: $CREDITSTREAM_BINARY, then bin/)"
        )

    p = command("train", "Search, train, evaluate and judge a candidate; write it and its card.", _train)
    on_data(p)
    judged(p)
    p.add_argument("--out", default=str(DIST), help="where its folder is made (default: %(default)s)")
    p.add_argument("--version", help="of the model (default: today's date and the next free number)")
    p.add_argument("--created-at", help="RFC 3339 (default: now)")
    p.add_argument("--search", action="store_true", help=f"search long: {search.LONG} candidates")
    p.add_argument(
        "--n-iter", type=int, metavar="N", help=f"candidates of the search (default: {search.SHORT})"
    )
    p.add_argument(
        "--n-jobs",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="fits at once (default: %(default)s)",
    )
    p.add_argument("--no-tracking", action="store_true", help="do not record the training in MLflow")

    p = command(
        "ship", "Train the bundle that the binary holds: no search, the same bytes every time.", _ship
    )
    on_data(p)
    p.add_argument("--out", default=str(SHIPPED), help="where to write (default: %(default)s)")
    p.add_argument("--version", default="2026-11-23.1", help="of the model (default: %(default)s)")
    p.add_argument(
        "--created-at",
        default="2026-11-23T00:00:00Z",
        help="RFC 3339; given, so that the same training gives the same bytes (default: %(default)s)",
    )

    p = command("evaluate", "Print every figure of a bundle on the hold-out, as JSON.", _evaluate)
    on_data(p)
    p.add_argument("--bundle", default="shipped", metavar="FILE|shipped", help="(default: %(default)s)")
    p.add_argument("--out", default="-", metavar="FILE|-", help="where to write (default: %(default)s)")

    p = command(
        "gate", "Say whether a candidate may be released: each gate with its figure and limit.", _gate
    )
    on_data(p, seed=False)
    judged(p)
    p.add_argument("--candidate", required=True, metavar="FILE|shipped", help="the bundle that is judged")
    p.add_argument("--record", action="store_true", help="write the verdicts into the candidate's manifest")
    p.add_argument("--json", action="store_true", help="print JSON")

    p = command("aliases", "Set MLflow's champion and challenger to what the newest route says.", _aliases)
    p.add_argument(
        "--route",
        default="-",
        metavar="FILE|-",
        help="from `creditstream model history --json` (default: %(default)s)",
    )

    p = command("fetch-model", "Fetch a registered model's bundle from MLflow.", _fetch_model)
    p.add_argument("model", metavar="models:/NAME@ALIAS")
    p.add_argument("--out", required=True, metavar="FILE", help="where to write")

    p = command("release", "Release a bundle that passed its gates, by the creditstream binary.", _release)
    p.add_argument("model", metavar="FILE|models:/NAME@ALIAS")
    p.add_argument(
        "flags", nargs="*", metavar="-- FLAG", help="after --: for `creditstream model release`, as --brokers"
    )
    needs_binary(p)
