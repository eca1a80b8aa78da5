"""Which model a candidate must not fall behind, by name, by alias, or by what the stream serves."""

from __future__ import annotations

from pathlib import Path

from credit_retrain.artifact.opened import Bundle
from credit_retrain.artifact.version import VERSION
from credit_retrain.base.defaults import CHAMPION_URI
from credit_retrain.base.places import DIST, SHIPPED
from credit_retrain.base.progress import report
from credit_retrain.evaluate import gates
from credit_retrain.registry import tracking


def find(path: str, flag: str, versions: bool = False) -> Bundle:
    """Read a bundle: a file, `shipped`, or a registered model as `models:/NAME@ALIAS`.

    Parameters
    ----------
    flag : str
        What errors call it by.
    versions : bool
        Whether a model version may name it: one that was trained here or is registered in MLflow.
    """
    if path.startswith("models:/"):
        return parse(path, tracking.fetch(path))
    file = SHIPPED if path == "shipped" else Path(path)
    if versions and not file.is_file() and VERSION.fullmatch(path):
        file = DIST / path / f"{path}.bundle"
        content = None if file.is_file() else tracking.of_version(path)
        if content is not None:
            return parse(f"{flag} {path}", content)
    try:
        return parse(str(file), file.read_bytes())
    except OSError as error:
        also = ", a version that dist/ or MLflow has" if versions else ""
        raise ValueError(
            f"{flag} {path}: expected a bundle: a file{also}, shipped, or models:/NAME@ALIAS; "
            f"{(error.strerror or str(error)).lower()}"
        ) from error


def parse(named: str, content: bytes) -> Bundle:
    """Take a bundle apart; errors name it so."""
    try:
        return Bundle(content)
    except ValueError as error:
        raise ValueError(f"{named}: {error}") from error


def choose(asked: str | None = None, first: bool = False) -> Bundle | None:
    """Return the bundle that is not to be fallen behind, None without one, and say which it is.

    Parameters
    ----------
    asked : str, optional
        What names it. Without it is the one that the champion's alias names, else the shipped one.
    first : bool
        Whether there is none, because nothing was released before.
    """
    if first:
        if asked not in (None, "none"):
            raise ValueError(f"--first with --champion {asked}: the first model has no champion")
        known, serving = tracking.champion(), tracking.serving()
        if known is not None:
            raise ValueError(
                f"--first: {CHAMPION_URI} is model {parse(CHAMPION_URI, known).version}, "
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
        found, named = find(asked, "--champion", versions=True), asked
    elif content is not None:
        found, named = parse(CHAMPION_URI, content), CHAMPION_URI
        serving = tracking.serving()
        if serving is not None and serving.revision is not None:
            named += f", as of route revision {serving.revision}"
    else:
        found = find("shipped", "--champion")
        named = why_shipped(found, tracking.serving())
    report(f"champion: model {found.version} ({found.digest}), {named}")
    return found


FOLLOW = "`creditstream model history --json | retrain/credit-retrain aliases`"


def why_shipped(shipped: Bundle, serving: tracking.Serving | None) -> str:
    """Say why the shipped model is the yardstick where the alias names none, and refuse where it is not."""
    if serving is not None:
        if serves(serving, shipped):
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


def serves(serving: tracking.Serving, bundle: Bundle) -> bool:
    """Say whether a bundle is what the stream serves; by its version where the digest is not known."""
    return serving.version == bundle.version and serving.digest in (None, bundle.digest)


def warn_unknown(serving: tracking.Serving) -> None:
    """Say loudly that the champion is none of the registered models."""
    if tracking.champion() is not None:
        return
    if serves(serving, find("shipped", "--champion")):
        report(f"{serving.told()} is the shipped model: candidates are held against it")
        return
    report(
        f"warning: the stream serves {serving.told()}, which is not registered in MLflow: "
        f"{CHAMPION_URI} names nothing, and train, gate and release want --champion until it does"
    )


def held_against_another(opened: Bundle, serving: tracking.Serving | None, asked: str | None) -> str | None:
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
    again = "run `retrain/credit-retrain gate --record`"
    if asked is not None:
        named = find(asked, "--champion", versions=True)
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
            report(f"the stream has no route and {CHAMPION_URI} names nothing: no champion is known")
            return None
        champion = parse(CHAMPION_URI, known)
        right = champion.digest in (held.get("digest"), opened.digest)
        told = f"{CHAMPION_URI} is model {champion.version} ({champion.digest})"
    else:
        shipped = find("shipped", "--champion")
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
