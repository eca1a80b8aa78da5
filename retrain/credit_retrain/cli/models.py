"""Commands on models: train, ship, evaluate, ceiling, gate, export, check."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from credit_retrain.base import whole
from credit_retrain.base.defaults import LONG, MIN_LABELLED, SEED, SHIPPED_AT, SHIPPED_VERSION, SHORT
from credit_retrain.base.places import DIST, REPORTS, SHIPPED
from credit_retrain.base.progress import report
from credit_retrain.cli import flags, rows

VALIDATION = str(REPORTS / "validation.json")
BundleFile = Annotated[str, typer.Option(metavar="FILE", help="The bundle.")]


def train(
    data: flags.Data = "uci",
    export: flags.Export = None,
    min_labelled: flags.MinLabelled = MIN_LABELLED,
    dataset: flags.Dataset = None,
    prepared: flags.Prepared = None,
    seed: flags.Seed = SEED,
    champion: flags.Champion = None,
    first: flags.First = False,
    validation: flags.Validation = VALIDATION,
    force: flags.Force = None,
    binary: flags.Binary = None,
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where its folder is made.")] = str(DIST),
    version: Annotated[
        str | None,
        typer.Option(
            metavar="VERSION",
            parser=flags.version,
            help="Model version. [default: today's date and the next free number]",
        ),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Train a version again whose folder is there.")
    ] = False,
    created_at: Annotated[
        str | None, typer.Option(metavar="TIME", parser=flags.moment, help="RFC 3339. [default: now]")
    ] = None,
    search: Annotated[bool, typer.Option("--search", help=f"Search long: {LONG} candidates.")] = False,
    n_iter: Annotated[
        int | None,
        typer.Option(
            metavar="N", parser=flags.whole(1), help=f"Candidates of the search. [default: {SHORT}]"
        ),
    ] = None,
    n_jobs: flags.Jobs = flags.CORES,
    no_tracking: Annotated[
        bool, typer.Option("--no-tracking", help="Do not record the training in MLflow.")
    ] = False,
) -> int:
    """Search, train, evaluate and judge a candidate; write it and its card."""
    from credit_retrain.model import candidate
    from credit_retrain.registry import champions, tracking

    now = datetime.now(UTC)
    folder = Path(out)
    named = version or candidate.next_version(folder, f"{now:%Y-%m-%d}")
    why = rows.reason(force)
    said = rows.validation(validation)
    if (folder / named).exists() and not replace:  # said before anything is read
        raise ValueError(
            f"--version {named}: {folder / named} is there already; --replace trains that version again"
        )
    native = rows.binary(binary)
    yardstick = champions.choose(champion, first)
    plan = candidate.Plan(
        version=named,
        created_at=created_at or f"{now:%Y-%m-%dT%H:%M:%SZ}",
        seed=seed,
        out=folder,
        n_iter=n_iter or (LONG if search else SHORT),
        n_jobs=n_jobs,
        champion=None if yardstick is None else yardstick.content,
        binary=native,
        validation=said,
        force=why,
        first=first,
    )
    known = rows.read(prepared, data, dataset, export, min_labelled)
    report(f"training model {named}")
    made = candidate.make(known, plan, report)
    if not no_tracking:
        tracking.log(made, report)
    print(f"{made.file}: model {named}, {made.file.stat().st_size} bytes")
    if not made.released:
        failed = ", ".join(g.name for g in made.gates if not g.passed)
        report(f"model {named} is not for release: it failed at {failed}")
        return 1
    return 0


def ship(
    data: flags.Data = "uci",
    export: flags.Export = None,
    min_labelled: flags.MinLabelled = MIN_LABELLED,
    dataset: flags.Dataset = None,
    prepared: flags.Prepared = None,
    seed: flags.Seed = SEED,
    out: flags.Out = str(SHIPPED),
    version: Annotated[
        str, typer.Option(metavar="VERSION", parser=flags.version, help="Model version.")
    ] = SHIPPED_VERSION,
    created_at: Annotated[
        str,
        typer.Option(
            metavar="TIME",
            parser=flags.moment,
            help="RFC 3339; given, so that the same training gives the same bytes.",
        ),
    ] = SHIPPED_AT,
) -> int:
    """Train the bundle that the binary holds: no search, the same bytes every time."""
    from credit_retrain.model.train import train_bundle

    known = rows.read(prepared, data, dataset, export, min_labelled)
    trained = train_bundle(known, version, created_at, seed, report)
    whole.write(Path(out), trained.content)
    print(f"{out}: version {version}, {len(trained.content)} bytes, hold-out AUC {trained.metrics.auc:.4f}")
    return 0


def evaluate(
    data: flags.Data = "uci",
    export: flags.Export = None,
    min_labelled: flags.MinLabelled = MIN_LABELLED,
    dataset: flags.Dataset = None,
    prepared: flags.Prepared = None,
    seed: flags.Seed = SEED,
    bundle: flags.Bundle = "shipped",
    out: Annotated[str, typer.Option(metavar="FILE|-", help="Where to write.")] = "-",
) -> int:
    """Print every figure of a bundle on the hold-out, as JSON."""
    from credit_retrain.data.dataset import split
    from credit_retrain.evaluate import holdout
    from credit_retrain.registry import champions

    opened = champions.find(bundle, "--bundle")
    _, test = split(rows.read(prepared, data, dataset, export, min_labelled))
    found = holdout.full(test, opened.score(test.features), seed)
    text = json.dumps({"version": opened.version, "test": found}, indent=1, ensure_ascii=False) + "\n"
    if out == "-":
        print(text, end="")
    else:
        whole.write(Path(out), text.encode())
    return 0


def ceiling(
    data: flags.Data = "uci",
    export: flags.Export = None,
    min_labelled: flags.MinLabelled = MIN_LABELLED,
    dataset: flags.Dataset = None,
    prepared: flags.Prepared = None,
    bundle: Annotated[
        str, typer.Option(metavar=flags.BUNDLE, help="Bundle whose parameters and seed are this model's.")
    ] = "shipped",
    n_jobs: flags.Jobs = flags.CORES,
) -> int:
    """Print what other models reach on the ten splits of the training rows, and how lucky these are."""
    from credit_retrain.data.dataset import split
    from credit_retrain.evaluate import ceiling as study
    from credit_retrain.registry import champions

    recipe = champions.find(bundle, "--bundle").manifest["training"]
    if "parameters" not in recipe or "seed" not in recipe:
        raise ValueError(f"--bundle {bundle}: its manifest does not say how it was trained")
    train_rows, _ = split(rows.read(prepared, data, dataset, export, min_labelled))
    models = study.recipes(recipe["parameters"], recipe["seed"])
    report(f"{study.FOLDS} folds of the training rows, and the test parts of {study.DRAWN} seeds")
    lucky = study.luck(train_rows, models[study.THIS], recipe["seed"], n_jobs, study.DRAWN)
    report("the ten splits, model by model")
    print(study.table(study.beside(train_rows, models, n_jobs, report)))
    print("\n" + study.told(lucky))
    return 0


def gate(
    candidate: Annotated[str, typer.Option(metavar="FILE|shipped", help="Bundle to judge.")],
    data: flags.Data = "uci",
    export: flags.Export = None,
    min_labelled: flags.MinLabelled = MIN_LABELLED,
    dataset: flags.Dataset = None,
    prepared: flags.Prepared = None,
    champion: flags.Champion = None,
    first: flags.First = False,
    validation: flags.Validation = VALIDATION,
    force: flags.Force = None,
    binary: flags.Binary = None,
    record: Annotated[
        bool, typer.Option("--record", help="Write the verdicts into the candidate's manifest.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Say whether a candidate may be released: each gate with its figure and limit."""
    from credit_retrain.artifact import refit
    from credit_retrain.data.dataset import split
    from credit_retrain.evaluate import gates
    from credit_retrain.registry import champions

    opened = champions.find(candidate, "--candidate")
    why = rows.reason(force)
    written = bool(record or why)
    if written and candidate == "shipped":
        raise ValueError("the shipped bundle is not written to: its bytes are what training gives")
    if written and candidate.startswith("models:/"):
        raise ValueError(f"--candidate {candidate}: what is registered is not written to; fetch it")
    said = rows.validation(validation)
    native = rows.binary(binary)
    yardstick = champions.choose(champion, first)
    if yardstick is not None and gates.same_model(opened, yardstick):
        told = f"model {opened.version} is champion {yardstick.version}, by its graph: held against itself"
        if written:
            raise ValueError(f"{told}; such verdicts are not recorded, name another --champion")
        report(f"warning: {told}, its AUC and PSI say nothing")
    train_rows, test = split(rows.read(prepared, data, dataset, export, min_labelled))
    pipeline = refit.pipeline_of(opened, train_rows)
    case = gates.Case(opened, yardstick, train_rows, test, pipeline, native, said, first)
    refused = gates.recordable(opened, case.held_against()) if written else None
    if refused is not None:
        raise ValueError(refused)
    with tempfile.TemporaryDirectory() as folder:
        verdicts = gates.judge(case, Path(folder))
    failed = [verdict.name for verdict in verdicts if not verdict.passed]
    if written:
        content = gates.stamp(opened, verdicts, case.held_against(), why)
        whole.write(Path(candidate), content)
    if as_json:
        document = {
            "version": opened.version,
            "passed": not failed,
            "forced": why if failed else None,
            "champion": case.held_against(),
            "gates": gates.record(verdicts),
        }
        print(json.dumps(document, ensure_ascii=False))
    else:
        for verdict in verdicts:
            print(verdict.line())
        overruled = f"; overruled: {why}" if why else ""
        print(
            f"model {opened.version} " + (f"fails at {', '.join(failed)}{overruled}" if failed else "passes")
        )
    return 1 if failed and not why else 0


def export(
    out: Annotated[str, typer.Option(metavar="FOLDER", help="Where to write.")],
    bundle: BundleFile = str(SHIPPED),
) -> int:
    """Check a bundle and write its files one by one."""
    from credit_retrain.artifact import files

    for path in files.write(Path(bundle).read_bytes(), Path(out)):
        print(path)
    return 0


def check(dataset: flags.Dataset = None, bundle: BundleFile = str(SHIPPED)) -> int:
    """Train again and compare with a bundle, byte by byte."""
    from credit_retrain.artifact.check import check as compare
    from credit_retrain.data.dataset import locate, read

    path = Path(bundle)
    compare(path.read_bytes(), read(locate(dataset)), report)
    print(f"{path}: training again gives the same bytes")
    return 0
