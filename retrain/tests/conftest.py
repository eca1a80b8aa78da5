import json
import shutil

import pytest
from registered import as_version

from credit_retrain.__main__ import main
from credit_retrain.artifact.opened import Bundle
from credit_retrain.base.places import ROOT
from credit_retrain.data import dataset
from credit_retrain.evaluate.gates import Gate
from credit_retrain.model.candidate import Made
from credit_retrain.registry import tracking
from credit_retrain.uci import population

WHOLE = {"uci", "binary"}
"""Fixtures that ask for more than the repository: the dataset, and the binary."""


def pytest_collection_modifyitems(items):
    """What reads all of the dataset, trains on it or runs the binary is slow."""
    for item in items:
        if WHOLE & set(item.fixturenames):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def uci():
    return dataset.read(dataset.locate(None))


@pytest.fixture(scope="session")
def few():
    """2,000 rows of the synthetic population, with outcomes by its rule: what quick tests run on."""
    return population.draw(json.loads((ROOT / "producer" / "population.json").read_text()), 2000, 11)


@pytest.fixture(scope="session")
def tiny_space():
    """What a search draws from when it is the path that is tested, not the model."""
    return {
        "max_depth": [2],
        "n_estimators": [40, 50],
        "learning_rate": [0.15],
        "subsample": [0.7],
        "max_features": [0.3],
        "min_samples_leaf": [50],
    }


@pytest.fixture(scope="session")
def validated(uci, tmp_path_factory):
    """What validation says of the rows when nothing is wrong with them."""
    train, test = dataset.split(uci)
    digests = {"train": {"digest": train.digest()}, "test": {"digest": test.digest()}}
    file = tmp_path_factory.mktemp("validated") / "validation.json"
    file.write_text(json.dumps({"passed": True, "data": digests, "checks": []}))
    return file


@pytest.fixture(scope="session")
def trained(tiny_space, validated, tmp_path_factory):
    """One whole training by the command line: the folder it leaves, with what MLflow keeps beside it."""
    from credit_retrain.model import search
    from credit_retrain.registry import tracking

    root = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr(search, "SPACE", tiny_space)
        patch.setattr(tracking, "ROOT", root)
        code = main(
            [
                "train",
                "--out",
                str(root / "dist"),
                "--version",
                "t.1",
                "--created-at",
                "2026-01-01T00:00:00Z",
                "--n-iter",
                "2",
                "--n-jobs",
                "1",
                "--validation",
                str(validated),
            ]
        )
    assert code == 0
    return root


@pytest.fixture(scope="module")
def made(trained):
    """The candidate, read back from its folder."""
    folder = trained / "dist" / "t.1"
    opened = Bundle((folder / "t.1.bundle").read_bytes())
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    verdicts = [Gate(**g) for g in metrics["gates"]]
    return Made(folder, folder / "t.1.bundle", True, opened.manifest, metrics, verdicts, {})


@pytest.fixture
def sqlite(trained, monkeypatch):
    """The registry that the training by the command line wrote to."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(tracking, "ROOT", trained)
    return tracking.connect()


@pytest.fixture
def registry(monkeypatch, made, tmp_path):
    """A registry of its own with versions v1, v2 and v3."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for version in ("v1", "v2", "v3"):
        tracking.log(as_version(made, tmp_path, version), lambda _: None, tmp_path)
    return tmp_path


@pytest.fixture
def store(registry, monkeypatch):
    """The registry is where commands look for it."""
    monkeypatch.setattr(tracking, "ROOT", registry)
    (registry / "data").mkdir()
    shutil.copyfile(registry / "mlflow.db", registry / "data" / "mlflow.db")
    return registry
