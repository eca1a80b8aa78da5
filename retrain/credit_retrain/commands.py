"""The commands of a model's life: train, ship, evaluate, gate, aliases, fetch-model, release."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from credit_retrain import (
    bundle,
    candidate,
    ceiling,
    dataset,
    evaluate,
    flags,
    gates,
    make_dataset,
    search,
    sources,
    thresholds,
    tracking,
    train,
)
from credit_retrain.dataset import Dataset
from credit_retrain.gates import Case
from credit_retrain.native import VARIABLE, Binary, NativeError
from credit_retrain.opened import Bundle

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


def _bundle(path: str, flag: str, versions: bool = False) -> Bundle:
    """Read a bundle: a file, `shipped`, or a registered model as `models:/NAME@ALIAS`.

    Parameters
    ----------
    flag : str
        What errors call it by.
    versions : bool
        Whether a model version may name it: one that was trained here or is registered in MLflow.
    """
    if path.startswith("models:/"):
        return _opened(path, tracking.fetch(path))
    file = SHIPPED if path == "shipped" else Path(path)
    if versions and not file.is_file() and flags.VERSION.fullmatch(path):
        file = DIST / path / f"{path}.bundle"
        content = None if file.is_file() else tracking.of_version(path)
        if content is not None:
            return _opened(f"{flag} {path}", content)
    try:
        return _opened(str(file), file.read_bytes())
    except OSError as error:
        also = ", a version that dist/ or MLflow has" if versions else ""
        raise ValueError(
            f"{flag} {path}: expected a bundle: a file{also}, shipped, or models:/NAME@ALIAS; "
            f"{(error.strerror or str(error)).lower()}"
        ) from error


def _opened(named: str, content: bytes) -> Bundle:
    try:
        return Bundle(content)
    except ValueError as error:
        raise ValueError(f"{named}: {error}") from error


def _champion(arguments: argparse.Namespace) -> Bundle | None:
    """Return the bundle that is not to be fallen behind, and say which it is.

    Without a flag it is the one that the champion's alias names, else the shipped one.
    """
    asked = arguments.champion
    if arguments.first:
        if asked not in (None, "none"):
            raise ValueError(f"--first with --champion {asked}: the first model has no champion")
        known, serving = tracking.champion(), tracking.serving()
        if known is not None:
            raise ValueError(
                f"--first: {tracking.CHAMPION_URI} is model {_opened(tracking.CHAMPION_URI, known).version}, "
                "so this is not the first"
            )
        if serving is not None:
            raise ValueError(f"--first: the stream serves {serving.told()}, so this is not the first")
        report("champion: none, this is the first model")
        return None
    if asked == "none":
        report("champion: none was named; the gates that need it fail (--first for the first model of all)")
        return None
    content = tracking.champion() if asked is None else None
    if asked is not None:
        found, named = _bundle(asked, "--champion", versions=True), asked
    elif content is not None:
        found, named = _opened(tracking.CHAMPION_URI, content), tracking.CHAMPION_URI
        serving = tracking.serving()
        if serving is not None and serving.revision is not None:
            named += f", as of route revision {serving.revision}"
    else:
        found = _bundle("shipped", "--champion")
        named = _why_shipped(found, tracking.serving())
    report(f"champion: model {found.version} ({found.digest}), {named}")
    return found


FOLLOW = "`creditstream model history --json | python -m credit_retrain aliases`"


def _why_shipped(shipped: Bundle, serving: tracking.Serving | None) -> str:
    """Say why the shipped model is the yardstick where the alias names none, and refuse where it is not."""
    if serving is not None:
        if _serves(serving, shipped):
            return f"shipped: the stream serves it, as of route revision {serving.revision}"
        raise ValueError(
            f"the stream serves {serving.told()}, and MLflow does not hold that bundle: name it with "
            "--champion FILE or VERSION; --champion shipped holds the candidate against the shipped model "
            "all the same"
        )
    if tracking.empty():
        return "shipped: no model was ever registered"
    report(
        f"warning: MLflow was never told what the stream serves, the shipped model stands in: run {FOLLOW}"
    )
    return "shipped: no alias names one"


def _serves(serving: tracking.Serving, bundle: Bundle) -> bool:
    """Say whether a bundle is what the stream serves; by its version where the digest is not known."""
    return serving.version == bundle.version and serving.digest in (None, bundle.digest)


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
    wrong = f"--validation {path}: expected what `python -m credit_retrain validate` writes"
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
    champion = _champion(arguments)
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
    bundle.write(Path(arguments.out), trained.content)
    print(
        f"{arguments.out}: version {arguments.version}, {len(trained.content)} bytes, "
        f"hold-out AUC {trained.metrics.auc:.4f}"
    )
    return 0


def _evaluate(arguments: argparse.Namespace) -> int:
    opened = _bundle(arguments.bundle, "--bundle")
    _, test = dataset.split(_rows(arguments))
    found = evaluate.full(test, opened.score(test.features), arguments.seed)
    text = json.dumps({"version": opened.version, "test": found}, indent=1, ensure_ascii=False) + "\n"
    if arguments.out == "-":
        print(text, end="")
    else:
        bundle.write(Path(arguments.out), text.encode())
    return 0


def _ceiling(arguments: argparse.Namespace) -> int:
    training = _bundle(arguments.bundle, "--bundle").manifest["training"]
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
    opened = _bundle(arguments.candidate, "--candidate")
    force = _reason(arguments.force)
    written = bool(arguments.record or force)
    if written and arguments.candidate == "shipped":
        raise ValueError("the shipped bundle is not written to: its bytes are what training gives")
    if written and arguments.candidate.startswith("models:/"):
        raise ValueError(f"--candidate {arguments.candidate}: what is registered is not written to; fetch it")
    validation = _validation(arguments.validation)
    binary = _binary(arguments.binary)
    champion = _champion(arguments)
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
        thresholds.pipeline_of(opened, rows),
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
        bundle.write(Path(arguments.candidate), content)
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


def _list(text: str, flag: str, named: str, command: str, whole: Callable[[dict[str, Any]], bool]) -> Any:
    """Read a list of objects that a command of the binary printed."""
    expected = f"{flag} {named}: expected what `creditstream {command} --json` prints"
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{expected}: {error}") from error
    if not isinstance(found, list) or not all(isinstance(f, dict) and whole(f) for f in found):
        raise ValueError(expected)
    return found


def _is_route(route: dict[str, Any]) -> bool:
    canary, shadow = route.get("canary"), route.get("shadow")
    return (
        isinstance(route.get("champion"), str)
        and (canary is None or (isinstance(canary, dict) and isinstance(canary.get("model_version"), str)))
        and (shadow is None or isinstance(shadow, str))
    )


def _is_released(model: dict[str, Any]) -> bool:
    return isinstance(model.get("version"), str) and isinstance(model.get("digest"), str)


def _aliases(arguments: argparse.Namespace) -> int:
    text = sys.stdin.read() if arguments.route == "-" else Path(arguments.route).read_text("utf-8")
    history = _list(text, "--route", arguments.route, "model history", _is_route)
    released = None
    if arguments.models:
        text = Path(arguments.models).read_text("utf-8")
        models = _list(text, "--models", arguments.models, "model list", _is_released)
        released = {model["version"]: model["digest"] for model in models}
    for moved in tracking.mirror(history, released=released):
        print(f"{moved.alias}: {moved.told}")
    _warn_unknown(tracking.Serving.by(history[-1], released))
    return 0


def _warn_unknown(serving: tracking.Serving) -> None:
    """Say loudly that the champion is none of the registered models."""
    if tracking.champion() is not None:
        return
    if _serves(serving, _bundle("shipped", "--champion")):
        report(f"{serving.told()} is the shipped model: candidates are held against it")
        return
    report(
        f"warning: the stream serves {serving.told()}, which is not registered in MLflow: "
        f"{tracking.CHAMPION_URI} names nothing, and train, gate and release want --champion until it does"
    )


def _fetch_model(arguments: argparse.Namespace) -> int:
    content = tracking.fetch(arguments.model)
    bundle.write(Path(arguments.out), content)
    print(f"{arguments.out}: model {_opened(arguments.model, content).version}, {len(content)} bytes")
    return 0


RELEASE_ALONE = {"--engine": True, "--ungated": True, "--by": True, "--first": False, "--json": False}
"""Flags that `model release` takes and `model history` does not, and whether they take a value."""


def _connection(given: list[str]) -> list[str]:
    """Return the flags for `model release` that say where the stream is."""
    out, value = [], False
    for word in given:
        name, equals, _ = word.partition("=")
        if value:
            value = False
        elif name in RELEASE_ALONE:
            value = RELEASE_ALONE[name] and not equals
        else:
            out.append(word)
    return out


def _follow(binary: Binary, given: list[str]) -> tracking.Serving | None:
    """Ask the stream which champion it serves, None where it has no route, and let the alias name it.

    The challenger stays: it may be what is to be released.
    """
    where = _connection(given)
    history = _list(
        binary.run(["model", "history", "--json", *where]), "release", "--", "model history", _is_route
    )
    if not history:
        return None
    models = _list(
        binary.run(["model", "list", "--json", *where]), "release", "--", "model list", _is_released
    )
    released = {model["version"]: model["digest"] for model in models}
    serving = tracking.Serving.by(history[-1], released)
    if tracking.kept():
        try:
            for moved in tracking.mirror(history, released=released, challenger=False):
                report(f"{moved.alias}: {moved.told}")
            _warn_unknown(serving)
        except tracking.TrackingError as error:
            # The release is held to the stream itself.
            report(f"warning: the alias does not follow the route: {error}")
    return serving


def _other_champion(opened: Bundle, serving: tracking.Serving | None, asked: str | None) -> str | None:
    """Say that a bundle was held against another champion than the one that serves, None where it was not.

    Parameters
    ----------
    serving : Serving or None
        By the stream; None where it has no route. Then the alias is asked.
    asked : str or None
        A champion that is named instead.
    """
    held = opened.manifest["metrics"].get("champion") or {}
    forced = opened.manifest.get("forced") or {"gates": []}
    if "AUC" in forced["gates"]:
        return None
    again = "run `python -m credit_retrain gate --record`"
    if asked is not None:
        named = _bundle(asked, "--champion", versions=True)
        if held.get("digest") != named.digest:
            told = f"--champion {asked} is model {named.version} ({named.digest})"
            return f"model {opened.version} was {gates.judged_against(opened)}, and {told}: {again}"
        report(
            f"warning: whatever the stream serves, champion {named.version} is named by --champion {asked}"
        )
        return None
    if serving is None:
        known = tracking.champion()
        if known is None:
            report(f"the stream has no route and {tracking.CHAMPION_URI} names nothing: no champion is known")
            return None
        champion = _opened(tracking.CHAMPION_URI, known)
        right = champion.digest in (held.get("digest"), opened.digest)
        told = f"{tracking.CHAMPION_URI} is model {champion.version} ({champion.digest})"
    else:
        shipped = _bundle("shipped", "--champion")
        digest = serving.digest or (shipped.digest if serving.version == shipped.version else None)
        # A version that was never released (a replica's own file) has no digest to go by.
        right = (
            held.get("version") == serving.version
            if digest is None
            else digest in (held.get("digest"), opened.digest)
        )
        told = f"the stream serves {serving.told()}"
    if right:
        return None
    return (
        f"model {opened.version} was {gates.judged_against(opened)}, and {told}: {again} "
        "(--champion FILE or VERSION where MLflow does not hold it), or take those verdicts by naming here "
        "what they were reached against: --champion"
    )


def _release(arguments: argparse.Namespace) -> int:
    opened = _bundle(arguments.model, "MODEL")
    binary = Binary.locate(arguments.binary)
    refused = gates.releasable(opened)
    if refused is None:
        refused = _other_champion(opened, _follow(binary, arguments.flags), arguments.champion)
    if refused is not None:
        raise ValueError(refused)
    report(f"model {opened.version}: {gates.judged_against(opened)}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "candidate.bundle"
        file.write_bytes(opened.content)
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

    p = command("aliases", "Set MLflow's champion and challenger to what the newest route says.", _aliases)
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

    p = command("release", "Release a bundle that passed its gates, by the creditstream binary.", _release)
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
