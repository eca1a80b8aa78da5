"""Models in a registry of a test's own: the candidate under other versions, and what aliases name."""

import hashlib
import json

from credit_retrain.artifact.opened import Bundle
from credit_retrain.evaluate import gates
from credit_retrain.evaluate.gates import Gate
from credit_retrain.model.candidate import Made
from credit_retrain.registry import champions, tracking

SHIPPED = Bundle(champions.SHIPPED.read_bytes())


def as_version(made, tmp_path, version):
    """The same model under another version."""

    manifest = json.loads(json.dumps(made.manifest))
    manifest.pop("files")
    manifest["version"] = version
    opened = Bundle(made.file.read_bytes())
    files = {name: content for name, content in opened.files.items() if name != "manifest.json"}
    folder = tmp_path / version
    folder.mkdir()
    file = folder / f"{version}.bundle"
    file.write_bytes(gates.bundle.pack(manifest, files))
    return Made(folder, file, True, manifest, made.metrics, made.gates, {})


def route(champion, canary=None, shadow=None):
    canary = {"model_version": canary, "share": 0.1} if canary else None
    return {"revision": 0, "champion": champion, "canary": canary, "shadow": shadow}


def aliases(client):
    return dict(client.get_registered_model(tracking.NAME).aliases)


def told(folder):
    return {alias: str(number) for alias, number in aliases(tracking.connect(folder)).items()}


def rewritten(made, tmp_path, version, why):
    """Another bundle of the same version: its verdicts are forced."""
    opened = Bundle(as_version(made, tmp_path, version).file.read_bytes())
    failed = [Gate(g.name, g.name != "AUC", g.figure, g.limit, g.told) for g in made.gates]
    file = tmp_path / version / f"{version}.bundle"
    file.write_bytes(gates.stamp(opened, failed, opened.manifest["metrics"]["champion"], why))
    return Made(file.parent, file, True, Bundle(file.read_bytes()).manifest, made.metrics, failed, {})


def digest_of(made):
    return f"sha256:{hashlib.sha256(made.file.read_bytes()).hexdigest()}"
