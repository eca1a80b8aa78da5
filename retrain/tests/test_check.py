import json
from pathlib import Path

import pytest

from credit_retrain.artifact import bundle, check
from credit_retrain.data import dataset
from credit_retrain.model import train

SMALL = [{"max_depth": 2, "n_estimators": 5, "learning_rate": 0.1}]


@pytest.fixture(scope="module")
def small(uci):
    """Training's whole path on fewer rows and trees."""
    few = dataset.Dataset(uci.features[:2000], uci.defaulted[:2000])

    def again(seed=42):
        return train.train_bundle(few, "t.1", "2026-01-01T00:00:00Z", seed, lambda _: None, SMALL).content

    return again


def test_the_same_training_gives_the_same_bytes(small):
    assert small() == small()


def test_what_differs_is_named(small):
    told = check.differences(small(), small(seed=43))
    assert "model.onnx" in told
    assert "manifest training.seed: was 42, is 43" in told
    assert not any("dataset_digest" in line for line in told), "equal facts are not named"


def test_a_bundle_that_training_does_not_give_is_refused(small, uci, monkeypatch):
    monkeypatch.setattr(train, "CANDIDATES", SMALL)
    few = dataset.Dataset(uci.features[:2000], uci.defaulted[:2000])
    check.check(small(), few, lambda _: None)
    files = bundle.unpack(small())
    manifest = json.loads(files.pop("manifest.json"))
    manifest.pop("files")
    files["card.md"] += b"edited"
    with pytest.raises(check.CheckError, match=r"card\.md"):
        check.check(bundle.pack(manifest, files), few, lambda _: None)


def test_a_lost_dataset_fails(monkeypatch, tmp_path):
    from credit_retrain.__main__ import main

    monkeypatch.setenv("DATASET", str(Path(tmp_path) / "absent.csv"))
    assert main(["check"]) == 1
