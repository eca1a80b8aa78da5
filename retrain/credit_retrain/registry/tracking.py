"""MLflow: where people compare candidates. Serving does without it.

Runs, metrics and the registered model go to SQLite below data/ unless ``MLFLOW_TRACKING_URI``
names a server. The registered model's aliases say what the newest route says; the route is the
truth (docs/decisions/0004).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from credit_retrain.artifact.opened import Bundle
from credit_retrain.base.defaults import CHALLENGER, CHAMPION, CHAMPION_URI
from credit_retrain.base.defaults import MODEL as NAME
from credit_retrain.base.places import ROOT
from credit_retrain.base.problems import ProblemError

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from credit_retrain.model.candidate import Made

EXPERIMENT = "credit_default"
MODEL = "model"
"""Where a run keeps its model: the ONNX graph as MLflow has it, and the bundle."""
VERSION_TAG, DIGEST_TAG = "creditstream.version", "creditstream.bundle"
SERVES_TAG, SERVES_DIGEST_TAG = "creditstream.serves", "creditstream.serves.bundle"
REVISION_TAG = "creditstream.route.revision"
"""Tags of the registered model: the route's champion when the aliases last followed it, registered or not."""

Report = Callable[[str], None]


class TrackingError(ProblemError):
    """MLflow does not hold what was asked for, or holds something else."""


def connect(folder: Path | None = None) -> MlflowClient:
    """Return a client of the tracking server and the registry.

    Parameters
    ----------
    folder : Path, optional
        Where SQLite and the artefacts go when ``MLFLOW_TRACKING_URI`` names no server; data/ by
        default.
    """
    # Nothing about a training goes to anyone but the server named here.
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    from mlflow import MlflowClient

    uri = _address(folder)
    return MlflowClient(uri, uri)


def _address(folder: Path | None) -> str:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri:
        return uri
    folder = folder or ROOT / "data"
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{(folder / 'mlflow.db').resolve()}"


def _experiment(client: MlflowClient, folder: Path | None) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    if os.environ.get("MLFLOW_TRACKING_URI"):  # the server says where artefacts go
        return str(client.create_experiment(EXPERIMENT))
    location = ((folder or ROOT / "data") / "mlruns").resolve().as_uri()
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))


def log(made: Made, report: Report, folder: Path | None = None) -> str:
    """Record a candidate as a run and as a version of the registered model.

    One that passed its gates, or was forced, becomes the challenger.

    Returns
    -------
    str
        The registered model's version number.
    """
    client = connect(folder)
    training = made.manifest["training"]
    version = str(made.manifest["version"])
    tags = {
        VERSION_TAG: version,
        "dataset.digest": training["dataset_digest"],
        "train.digest": training["train_digest"],
        "test.digest": training["test_digest"],
        "gates": "passed" if all(g.passed for g in made.gates) else "forced" if made.released else "failed",
    }
    run = client.create_run(_experiment(client, folder), run_name=version, tags=tags)
    run_id = run.info.run_id
    try:
        _figures(client, run_id, made)
        with tempfile.TemporaryDirectory() as scratch:
            model = Path(scratch) / MODEL
            _model(made, model)
            client.log_artifacts(run_id, str(model), MODEL)
        for path in sorted(made.folder.iterdir()):
            if path.suffix in {".md", ".json", ".png"}:
                client.log_artifact(run_id, str(path))
        client.set_terminated(run_id, "FINISHED")
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    _ensure(client)
    digest = hashlib.sha256(made.file.read_bytes()).hexdigest()
    registered = client.create_model_version(
        NAME,
        f"{run.info.artifact_uri}/{MODEL}",
        run_id,
        tags={VERSION_TAG: version, DIGEST_TAG: f"sha256:{digest}", "gates": tags["gates"]},
        description=f"Model {version}, AUC {made.manifest['metrics']['test']['auc']:.4f} on the hold-out.",
    )
    if made.released:
        client.set_registered_model_alias(NAME, CHALLENGER, registered.version)
    report(
        f"MLflow: run {run_id}, {NAME} version {registered.version}"
        + (f", {CHALLENGER}" if made.released else ", no alias: a gate failed")
    )
    return str(registered.version)


def _figures(client: MlflowClient, run_id: str, made: Made) -> None:
    """Log parameters, metrics, and the curves as metrics with steps."""
    from mlflow.entities import Dataset as Entity
    from mlflow.entities import DatasetInput, InputTag, Metric, Param

    training, metrics = made.manifest["training"], made.metrics
    parameters = {**training["parameters"], "seed": training["seed"], "searched": training["searched"]}
    now = int(time.time() * 1000)
    values: dict[str, float] = {
        "repeated.mean_auc": metrics["repeated"]["mean_auc"],
        "repeated.pooled_ece": metrics["repeated"]["pooled_ece"],
    }
    for name, figure in metrics["test"]["figures"].items():
        low, high = figure["interval"]
        values |= {f"test.{name}": figure["value"], f"test.{name}.low": low, f"test.{name}.high": high}
    for model, other in metrics["comparison"].items():
        values[f"{model}.auc"] = other["auc"]
    for attribute, found in metrics["test"]["fairness"].items():
        for key in ("lowest_approval_ratio", "largest_opportunity_difference"):
            if found[key] is not None:
                values[f"fairness.{attribute}.{key}"] = found[key]["value"]
    points = [Metric(name, value, now, 0) for name, value in values.items()]
    points += [
        Metric(f"search.{key}", candidate[key], now, step)
        for step, candidate in enumerate(metrics["search"]["candidates"])
        for key in ("auc", "standard_error")
    ]
    points += [Metric("repeated.auc", auc, now, seed) for seed, auc in enumerate(metrics["repeated"]["auc"])]
    points += [
        Metric(f"lift.{key}", row[key], now, row["part"])
        for row in metrics["test"]["lift"]
        for key in ("default_rate", "lift", "caught")
    ]
    points += [
        Metric(f"calibration.{key}", row[key], now, step)
        for step, row in enumerate(metrics["test"]["calibration"])
        for key in ("predicted", "observed")
    ]
    client.log_batch(run_id, points, [Param(name, str(value)) for name, value in parameters.items()])
    for part in ("train", "test"):
        # MLflow keeps 36 characters of a digest; the whole one is among the run's tags.
        digest = training[f"{part}_digest"].removeprefix("sha256:")[:32]
        source = json.dumps({"dataset": training["dataset"], "digest": training["dataset_digest"]})
        profile = json.dumps({"num_rows": training[f"{part}_rows"]})
        entity = Entity(f"{EXPERIMENT}.{part}", digest, "local", source, profile=profile)
        client.log_inputs(run_id, [DatasetInput(entity, [InputTag("mlflow.data.context", part)])])


def _model(made: Made, folder: Path) -> None:
    """Write the graph as an MLflow model, with the bundle beside it."""
    import mlflow.onnx
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    opened = Bundle(made.file.read_bytes())
    libraries = opened.manifest["training"]["libraries"]
    inputs = len(opened.manifest["inputs"])
    mlflow.onnx.save_model(
        opened.graph(),
        str(folder),
        save_as_external_data=False,
        # Named, or MLflow would look for them by running the model in a process of its own.
        pip_requirements=[f"onnx=={libraries['onnx']}", "onnxruntime"],
        signature=ModelSignature(
            inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, inputs), "features")]),
            outputs=Schema(
                [
                    TensorSpec(np.dtype(np.int64), (-1,), "label"),
                    TensorSpec(np.dtype(np.float32), (-1, 2), "probabilities"),
                ]
            ),
        ),
    )
    shutil.copyfile(made.file, folder / f"{made.manifest['version']}.bundle")


@dataclass(frozen=True)
class Moved:
    """An alias and what became of it: the registered version it names now, None where it names none."""

    alias: str
    version: str | None
    told: str


@dataclass(frozen=True)
class Serving:
    """What the stream serves as champion.

    Attributes
    ----------
    digest : str or None
        Of the bundle that was released, None where it is not known.
    revision : str or None
        The route's.
    """

    version: str
    digest: str | None
    revision: str | None

    @classmethod
    def by(cls, route: dict[str, Any], released: dict[str, str] | None = None) -> Serving:
        """Read it off a route, and the digests of the released bundles."""
        revision = route.get("revision")
        version = str(route["champion"])
        return cls(version, (released or {}).get(version), None if revision is None else str(revision))

    def told(self) -> str:
        """Say which it is."""
        digest = f" ({self.digest})" if self.digest else ""
        revision = f", route revision {self.revision}" if self.revision is not None else ""
        return f"model {self.version}{digest}{revision}"


def mirror(
    history: list[dict[str, Any]],
    folder: Path | None = None,
    released: dict[str, str] | None = None,
    challenger: bool = True,
) -> list[Moved]:
    """Set the aliases to what the newest route says.

    The champion is the route's. The challenger is its canary, else its shadow; where it has
    neither, a challenger that was routed before is one no longer, and one that was not stays:
    it waits for its release. Which champion the route names is kept among the registered model's
    tags, so that one that is not registered is missed by name (`serving`).

    Parameters
    ----------
    history : list of dict
        What ``creditstream model history --json`` prints, oldest first.
    released : dict of str, optional
        The digests of the released bundles by model version. With it an alias names the bytes
        that serve; without it a version that was registered with several is refused.
    challenger : bool
        Whether the challenger is set too.

    Raises
    ------
    TrackingError
        When there is no route, it is not clear which bytes of a version are meant, or MLflow
        cannot be asked.
    """
    from mlflow.exceptions import MlflowException

    try:
        return _mirror(history, folder, released, challenger)
    except MlflowException as error:
        raise TrackingError(f"the aliases of {NAME}: {error.message}") from error


def _mirror(
    history: list[dict[str, Any]], folder: Path | None, released: dict[str, str] | None, challenger: bool
) -> list[Moved]:
    if not history:
        raise TrackingError("there is no route yet: `creditstream model history --json` printed none")
    client = connect(folder)
    entries = registered(client)
    route = history[-1]
    canary = route.get("canary")
    tested = canary["model_version"] if canary else route.get("shadow")
    # Before any alias moves: none does where one is not clear.
    found = {
        version: _which(entries, version, released)
        for version in (route["champion"], tested if challenger else None)
        if version is not None
    }
    _remember(client, Serving.by(route, released))
    out = [_point(client, found, CHAMPION, route["champion"])]
    if not challenger:
        return out
    if tested is not None:
        return [*out, _point(client, found, CHALLENGER, tested)]
    current = _aliases(client).get(CHALLENGER)
    name = next((e.version for e in entries if e.number == current), None)
    if current is None:
        return [*out, Moved(CHALLENGER, None, "none: the route has neither canary nor shadow")]
    if name is not None and name not in _routed(history):
        return [*out, Moved(CHALLENGER, current, f"stays {name}: no route has named it yet")]
    client.delete_registered_model_alias(NAME, CHALLENGER)
    return [*out, Moved(CHALLENGER, None, f"no longer {name}: the route has neither canary nor shadow")]


def _remember(client: MlflowClient, found: Serving) -> None:
    _ensure(client)
    for tag, value in (
        (SERVES_TAG, found.version),
        (SERVES_DIGEST_TAG, found.digest),
        (REVISION_TAG, found.revision),
    ):
        client.set_registered_model_tag(NAME, tag, value or "")


def _ensure(client: MlflowClient) -> None:
    if not client.search_registered_models(f"name='{NAME}'"):
        client.create_registered_model(NAME, description="Probability of default on the next payment.")


def _which(entries: list[Registered], version: str, released: dict[str, str] | None) -> str | None:
    """Return the number of the registered model that a version of the route is, None where there is none."""
    same = [e for e in entries if e.version == version]
    if released is not None:
        same = [e for e in same if e.digest == released.get(version)]
    digests = {e.digest for e in same}
    if len(digests) > 1:
        raise TrackingError(
            f"{version} is registered with {len(digests)} different bundles: --models FILE, from "
            "`creditstream model list --json`, says which of them was released"
        )
    return same[-1].number if same else None


def _point(client: MlflowClient, found: dict[str, str | None], alias: str, version: str) -> Moved:
    number = found[version]
    if number is not None:
        client.set_registered_model_alias(NAME, alias, number)
        return Moved(alias, number, f"{version}, {NAME} version {number}")
    if alias in _aliases(client):  # one that names another version would be a lie
        client.delete_registered_model_alias(NAME, alias)
    return Moved(alias, None, f"{version} is not registered here")


def _routed(history: list[dict[str, Any]]) -> set[str]:
    out = set()
    for route in history:
        out |= {route["champion"], route.get("shadow")}
        if route.get("canary"):
            out.add(route["canary"]["model_version"])
    return out


@dataclass(frozen=True)
class Registered:
    """A version of the registered model: its number, the model's version and its bundle's digest."""

    number: str
    version: str
    digest: str | None


def registered(client: MlflowClient) -> list[Registered]:
    """Return what is registered, oldest first."""
    found = sorted(client.search_model_versions(f"name='{NAME}'"), key=lambda v: int(v.version))
    return [
        Registered(str(v.version), v.tags[VERSION_TAG], v.tags.get(DIGEST_TAG))
        for v in found
        if VERSION_TAG in v.tags
    ]


def _aliases(client: MlflowClient) -> dict[str, str]:
    if not client.search_registered_models(f"name='{NAME}'"):
        return {}
    return {alias: str(v) for alias, v in client.get_registered_model(NAME).aliases.items()}


def kept(folder: Path | None = None) -> bool:
    """Say whether there is a registry to ask: a server that is named, or the file of an earlier training."""
    file = (folder or ROOT / "data") / "mlflow.db"
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or file.is_file()


def serving(folder: Path | None = None) -> Serving | None:
    """Return what the stream served when the aliases last followed its route, None where they never did.

    Raises
    ------
    TrackingError
        When the server cannot be asked.
    """
    if not kept(folder):
        return None
    client = connect(folder)
    from mlflow.exceptions import MlflowException

    try:
        if not client.search_registered_models(f"name='{NAME}'"):
            return None
        tags = client.get_registered_model(NAME).tags
    except MlflowException as error:
        raise TrackingError(f"{NAME}: {error.message}") from error
    if not tags.get(SERVES_TAG):
        return None
    return Serving(tags[SERVES_TAG], tags.get(SERVES_DIGEST_TAG) or None, tags.get(REVISION_TAG) or None)


def empty(folder: Path | None = None) -> bool:
    """Say whether no model was ever registered."""
    return not kept(folder) or not registered(connect(folder))


def of_version(version: str, folder: Path | None = None) -> bytes | None:
    """Return the bundle that is registered under a model version, None where there is none.

    Raises
    ------
    TrackingError
        When there are several.
    """
    if not kept(folder):
        return None
    same = [entry for entry in registered(connect(folder)) if entry.version == version]
    if len({entry.digest for entry in same}) > 1:
        numbers = " and ".join(f"models:/{NAME}/{entry.number}" for entry in same)
        raise TrackingError(f"{version} is registered with different bundles: {numbers}")
    return fetch(f"models:/{NAME}/{same[-1].number}", folder) if same else None


def champion(folder: Path | None = None) -> bytes | None:
    """Return the bundle that the champion's alias names, None where there is no store or no such alias.

    Raises
    ------
    TrackingError
        When the server cannot be asked, or holds other bytes than were registered.
    """
    if not kept(folder):
        return None
    client = connect(folder)
    from mlflow.exceptions import MlflowException

    try:
        if CHAMPION not in _aliases(client):
            return None
    except MlflowException as error:
        raise TrackingError(f"{CHAMPION_URI}: {error.message}") from error
    return fetch(CHAMPION_URI, folder)


def fetch(uri: str, folder: Path | None = None) -> bytes:
    """Return the bundle of a registered model, as ``models:/credit_default@challenger`` names it.

    Raises
    ------
    TrackingError
        When there is none, or its bytes are not those that were registered.
    """
    client = connect(folder)
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    name, at, alias = uri.removeprefix("models:/").partition("@")
    try:
        if at:
            version = client.get_model_version_by_alias(name, alias)
        else:
            name, _, number = name.partition("/")
            version = client.get_model_version(name, number)
        with tempfile.TemporaryDirectory() as scratch:
            source = client.get_model_version_download_uri(name, version.version)
            local = download_artifacts(source, dst_path=scratch, tracking_uri=_address(folder))
            found = sorted(Path(local).glob("*.bundle"))
            if len(found) != 1:
                raise TrackingError(f"{uri} holds {len(found)} bundles, expected one")
            content = found[0].read_bytes()
    except MlflowException as error:
        raise TrackingError(f"{uri}: {error.message}") from error
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if version.tags.get(DIGEST_TAG) != digest:
        raise TrackingError(f"{uri} holds {digest}, registered was {version.tags.get(DIGEST_TAG)}")
    return content
