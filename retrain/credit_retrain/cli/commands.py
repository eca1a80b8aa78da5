"""The commands of a model's life: train, ship, evaluate, gate, aliases, fetch-model, release."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from credit_retrain import whole
from credit_retrain.artifact import refit
from credit_retrain.artifact.native import VARIABLE, Binary, NativeError
from credit_retrain.cli import flags
from credit_retrain.data import dataset, make_dataset, sources
from credit_retrain.data.dataset import Dataset
from credit_retrain.evaluate import ceiling, gates, holdout
from credit_retrain.evaluate.gates import Case
from credit_retrain.model import candidate, search, train
from credit_retrain.places import DIST, REPORTS, SHIPPED
from credit_retrain.progress import report
from credit_retrain.registry import champions, releasing, tracking

Commands = Any
"""What argparse's add_subparsers returns; its type has no public name."""


def source(arguments: argparse.Namespace) -> sources.Source:
    """Read the rows that the flags of `flags.add_sources` name."""
    return sources.choose(arguments.data, arguments.dataset, arguments.export, arguments.min_labelled, report)


def _rows(arguments: argparse.Namespace) -> Dataset:
    """Return the rows that `prepare` wrote, or those of the sources."""
    if arguments.prepared:
        return make_dataset.read(Path(arguments.prepared)).data()
    return source(arguments).data


def _binary(path: str | None) -> Binary | None:
    """Find the binary; without one the gates that need it say so and fail. One that was named must be it."""
    try:
        return Binary.locate(path)
    except NativeError:
        if path or os.environ.get(VARIABLE):
            raise
        return None


def _validation(path: str) -> dict[str, Any] | None:
    """Read what `validate` wrote, None where it wrote nothing."""
    file = Path(path)
    if not file.exists():
        return None
    wrong = f"--validation {path}: expected what `retrain/credit-retrain validate` writes"
    if not file.is_file():
        raise ValueError(f"{wrong}, this is no file")
    try:
        said = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{wrong}, this is not JSON: {error}") from error
    absent = _wrong_in_validation(said)
    if absent is not None:
        raise ValueError(f"{wrong}: {absent}")
    found: dict[str, Any] = said
    return found


def _wrong_in_validation(said: Any) -> str | None:
    """Say what the gates need and do not find in what `validate` wrote."""
    if not isinstance(said, dict) or not isinstance(said.get("passed"), bool):
        return "`passed` is not true or false"
    data = said.get("data")
    for part in ("train", "test"):
        found = data.get(part) if isinstance(data, dict) else None
        # Files that broke the contract have no digest.
        if said["passed"] and not (isinstance(found, dict) and isinstance(found.get("digest"), str)):
            return f"`data.{part}.digest` is not a string"
    checks = said.get("checks")
    if not isinstance(checks, list):
        return "`checks` is not a list"
    for i, check in enumerate(checks):
        kinds = {"name": str, "passed": bool, "gating": bool}
        if not isinstance(check, dict) or not all(isinstance(check.get(k), t) for k, t in kinds.items()):
            return f"`checks[{i}]` lacks its name, or whether it passed and is gating"
    return None


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
    force = _reason(arguments.force)
    validation = _validation(arguments.validation)
    if (out / version).exists() and not arguments.replace:  # said before anything is read
        raise ValueError(
            f"--version {version}: {out / version} is there already; --replace trains that version again"
        )
    binary = _binary(arguments.binary)
    champion = champions.choose(arguments)
    data = _rows(arguments)
    plan = candidate.Plan(
        version=version,
        created_at=arguments.created_at or f"{now:%Y-%m-%dT%H:%M:%SZ}",
        seed=arguments.seed,
        out=out,
        n_iter=arguments.n_iter or (search.LONG if arguments.search else search.SHORT),
        n_jobs=arguments.n_jobs,
        champion=None if champion is None else champion.content,
        binary=binary,
        validation=validation,
        force=force,
        first=arguments.first,
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
    whole.write(Path(arguments.out), trained.content)
    print(
        f"{arguments.out}: version {arguments.version}, {len(trained.content)} bytes, "
        f"hold-out AUC {trained.metrics.auc:.4f}"
    )
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    opened = champions.find(arguments.bundle, "--bundle")
    _, test = dataset.split(_rows(arguments))
    found = holdout.full(test, opened.score(test.features), arguments.seed)
    text = json.dumps({"version": opened.version, "test": found}, indent=1, ensure_ascii=False) + "\n"
    if arguments.out == "-":
        print(text, end="")
    else:
        whole.write(Path(arguments.out), text.encode())
    return 0


def _ceiling(arguments: argparse.Namespace) -> int:
    training = champions.find(arguments.bundle, "--bundle").manifest["training"]
    if "parameters" not in training or "seed" not in training:
        raise ValueError(f"--bundle {arguments.bundle}: its manifest does not say how it was trained")
    train_rows, _ = dataset.split(_rows(arguments))
    models = ceiling.recipes(training["parameters"], training["seed"])
    report(f"{ceiling.FOLDS} folds of the training rows, and the test parts of {ceiling.DRAWN} seeds")
    lucky = ceiling.luck(train_rows, models[ceiling.THIS], training["seed"], arguments.n_jobs, ceiling.DRAWN)
    report("the ten splits, model by model")
    print(ceiling.table(ceiling.beside(train_rows, models, arguments.n_jobs, report)))
    print("\n" + ceiling.told(lucky))
    return 0


def _gate(arguments: argparse.Namespace) -> int:
    opened = champions.find(arguments.candidate, "--candidate")
    force = _reason(arguments.force)
    written = bool(arguments.record or force)
    if written and arguments.candidate == "shipped":
        raise ValueError("the shipped bundle is not written to: its bytes are what training gives")
    if written and arguments.candidate.startswith("models:/"):
        raise ValueError(f"--candidate {arguments.candidate}: what is registered is not written to; fetch it")
    validation = _validation(arguments.validation)
    binary = _binary(arguments.binary)
    champion = champions.choose(arguments)
    itself = gates.same_model(opened, champion)
    if itself and champion is not None:
        told = f"model {opened.version} is champion {champion.version}, by its graph: held against itself"
        if written:
            raise ValueError(f"{told}; such verdicts are not recorded, name another --champion")
        report(f"warning: {told}, its AUC and PSI say nothing")
    rows, test = dataset.split(_rows(arguments))
    case = Case(
        opened,
        champion,
        rows,
        test,
        refit.pipeline_of(opened, rows),
        binary,
        validation,
        arguments.first,
    )
    refused = gates.recordable(opened, case.held_against()) if written else None
    if refused is not None:
        raise ValueError(refused)
    with tempfile.TemporaryDirectory() as folder:
        verdicts = gates.judge(case, Path(folder))
    failed = [verdict.name for verdict in verdicts if not verdict.passed]
    if written:
        content = gates.stamp(opened, verdicts, case.held_against(), force)
        whole.write(Path(arguments.candidate), content)
    if arguments.json:
        document = {
            "version": opened.version,
            "passed": not failed,
            "forced": force if failed else None,
            "champion": case.held_against(),
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


def _fetch_model(arguments: argparse.Namespace) -> int:
    content = tracking.fetch(arguments.model)
    whole.write(Path(arguments.out), content)
    print(f"{arguments.out}: model {champions.parse(arguments.model, content).version}, {len(content)} bytes")
    return 0


def add(commands: Commands) -> None:
    """Add the commands to the command line."""

    def command(name: str, text: str, function: object) -> argparse.ArgumentParser:
        p: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
        p.set_defaults(function=function)
        return p

    def on_data(p: argparse.ArgumentParser, seed: bool = True) -> None:
        flags.add_sources(p)
        flags.add_dataset(p)
        p.add_argument("--prepared", metavar="FOLDER", help="what `prepare` wrote, instead of --data")
        if seed:
            flags.add_seed(p)

    def judged(p: argparse.ArgumentParser) -> None:
        p.add_argument(
            "--champion",
            metavar="FILE|VERSION|models:/NAME@ALIAS|shipped|none",
            help=f"the bundle that is not to be fallen behind (default: {tracking.CHAMPION_URI}; shipped "
            "where it is what the stream serves, or nothing is known of a stream)",
        )
        p.add_argument(
            "--first",
            action="store_true",
            help="nothing was released before: there is no champion, the AUC is held to the floor",
        )
        p.add_argument(
            "--validation",
            default=str(REPORTS / "validation.json"),
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

    def with_jobs(p: argparse.ArgumentParser) -> None:
        p.add_argument(
            "--n-jobs",
            type=flags.whole(1),
            default=os.cpu_count() or 1,
            metavar="N",
            help="fits at once (default: %(default)s)",
        )

    p = command("train", "Search, train, evaluate and judge a candidate; write it and its card.", _train)
    on_data(p)
    judged(p)
    p.add_argument("--out", default=str(DIST), help="where its folder is made (default: %(default)s)")
    p.add_argument(
        "--version", type=flags.version, help="of the model (default: today's date and the next free number)"
    )
    p.add_argument("--replace", action="store_true", help="train a version again whose folder is there")
    p.add_argument("--created-at", type=flags.moment, metavar="TIME", help="RFC 3339 (default: now)")
    p.add_argument("--search", action="store_true", help=f"search long: {search.LONG} candidates")
    p.add_argument(
        "--n-iter",
        type=flags.whole(1),
        metavar="N",
        help=f"candidates of the search (default: {search.SHORT})",
    )
    with_jobs(p)
    p.add_argument("--no-tracking", action="store_true", help="do not record the training in MLflow")

    p = command(
        "ship", "Train the bundle that the binary holds: no search, the same bytes every time.", _ship
    )
    on_data(p)
    p.add_argument("--out", default=str(SHIPPED), help="where to write (default: %(default)s)")
    p.add_argument(
        "--version", type=flags.version, default="2026-11-23.1", help="of the model (default: %(default)s)"
    )
    p.add_argument(
        "--created-at",
        type=flags.moment,
        metavar="TIME",
        default="2026-11-23T00:00:00Z",
        help="RFC 3339; given, so that the same training gives the same bytes (default: %(default)s)",
    )

    p = command("evaluate", "Print every figure of a bundle on the hold-out, as JSON.", _evaluate)
    on_data(p)
    p.add_argument(
        "--bundle",
        default="shipped",
        metavar="FILE|models:/NAME@ALIAS|shipped",
        help="(default: %(default)s)",
    )
    p.add_argument("--out", default="-", metavar="FILE|-", help="where to write (default: %(default)s)")

    p = command(
        "ceiling",
        "Print what other models reach on the ten splits of the training rows, and how lucky these are.",
        _ceiling,
    )
    on_data(p, seed=False)
    p.add_argument(
        "--bundle",
        default="shipped",
        metavar="FILE|models:/NAME@ALIAS|shipped",
        help="whose parameters and seed are this model's (default: %(default)s)",
    )
    with_jobs(p)

    p = command(
        "gate", "Say whether a candidate may be released: each gate with its figure and limit.", _gate
    )
    on_data(p, seed=False)
    judged(p)
    p.add_argument("--candidate", required=True, metavar="FILE|shipped", help="the bundle that is judged")
    p.add_argument("--record", action="store_true", help="write the verdicts into the candidate's manifest")
    p.add_argument("--json", action="store_true", help="print JSON")

    p = command(
        "aliases", "Set MLflow's champion and challenger to what the newest route says.", releasing.aliases
    )
    p.add_argument(
        "--route",
        default="-",
        metavar="FILE|-",
        help="from `creditstream model history --json` (default: %(default)s)",
    )

    p.add_argument(
        "--models",
        metavar="FILE",
        help="from `creditstream model list --json`: aliases then name the bytes that were released",
    )

    p = command("fetch-model", "Fetch a registered model's bundle from MLflow.", _fetch_model)
    p.add_argument("model", metavar="models:/NAME@ALIAS")
    p.add_argument("--out", required=True, metavar="FILE", help="where to write")

    p = command(
        "release", "Release a bundle that passed its gates, by the creditstream binary.", releasing.release
    )
    p.add_argument("model", metavar="FILE|models:/NAME@ALIAS")
    p.add_argument(
        "--champion",
        metavar="FILE|VERSION|shipped",
        help="what its verdicts were reached against, where that is not the champion that the stream serves",
    )
    # `main` takes what follows -- off: argparse does not, behind other flags.
    p.usage = f"{p.prog} [--champion FILE|VERSION|shipped] [--binary FILE] MODEL [-- FLAG ...]"
    p.epilog = "After --: flags for `creditstream model release`, as --brokers HOST:PORT."
    p.set_defaults(flags=[])
    needs_binary(p)
