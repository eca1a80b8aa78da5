"""The whole way on 2,000 rows, without the binary: prepared, trained, packed, opened, written out."""

import json

import numpy as np
import pytest

from credit_retrain.artifact import card, check, files
from credit_retrain.artifact.opened import Bundle
from credit_retrain.data import dataset, make_dataset
from credit_retrain.data.sources import Source
from credit_retrain.evaluate import holdout
from credit_retrain.model import train

SMALL = [{"max_depth": 2, "n_estimators": 10, "learning_rate": 0.2}]


@pytest.fixture(scope="module")
def prepared(few, tmp_path_factory):
    folder = tmp_path_factory.mktemp("processed")
    make_dataset.make(Source(few, "uci", "uci", 2000, None), folder)
    return make_dataset.read(folder).data()


@pytest.fixture(scope="module")
def trained(prepared):
    return train.train_bundle(prepared, "q.1", "2026-01-01T00:00:00Z", 3, lambda _: None, SMALL)


def test_what_was_prepared_is_what_was_drawn(few, prepared):
    assert prepared.digest() == few.digest()


def test_the_bundle_is_the_model_that_was_fitted(prepared, trained):
    opened = Bundle(trained.content)
    _, test = dataset.split(prepared)
    got, want = opened.score(test.features), trained.pipeline.predict_proba(test.features)[:, 1]
    assert np.abs(got - want).max() < 1e-6
    assert holdout.evaluate(test.defaulted, got, 1, 20).auc > 0.6
    assert opened.files["card.md"].decode() == card.write(opened.manifest)


def test_the_same_training_gives_the_same_bytes(prepared, trained, monkeypatch):
    monkeypatch.setattr(train, "CANDIDATES", SMALL)
    check.check(trained.content, prepared, lambda _: None)


def test_golden_rows_replay_when_the_files_are_written_out(trained, tmp_path):
    files.write(trained.content, tmp_path)
    assert len(json.loads((tmp_path / "golden.json").read_text())["rows"]) > 100
