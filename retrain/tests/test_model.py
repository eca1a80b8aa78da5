import io
import json
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from sklearn.ensemble import GradientBoostingClassifier

from credit_retrain.artifact import export
from credit_retrain.data import dataset
from credit_retrain.model import train
from credit_retrain.model.parameters import Parameters
from credit_retrain.model.pipeline import build
from credit_retrain.uci.contract import NAMES, PROTECTED

SHIPPED = Path(__file__).resolve().parents[2] / "model" / "shipped" / "credit-default.bundle"


@pytest.fixture(scope="module")
def shipped():
    with zipfile.ZipFile(io.BytesIO(SHIPPED.read_bytes())) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def as_rows(features):
    return np.array([[np.nan if v is None else v for v in row] for row in features], np.float32)


def test_graph_equals_the_pipeline_with_missing_values_too(uci):
    rows, _ = dataset.split(uci)
    pipeline = build({**train.SHARED, "n_estimators": 30, "max_depth": 3}, 7)
    pipeline.fit(rows.features.astype(float), rows.defaulted)
    model = export.to_onnx(pipeline)
    x = train.with_missing(uci.features.astype(float), 0.1, 3)
    want = pipeline.predict_proba(x)[:, 1]
    got = export.run(model, x.astype(np.float32))
    got = got[:, 1] if got.ndim == 2 else got
    assert np.abs(want - got).max() <= 1e-6


def test_shipped_graph_replays_its_golden_rows(shipped):
    golden = json.loads(shipped["golden.json"])["rows"]
    got = export.run(onnx.load_from_string(shipped["model.onnx"]), as_rows([r["features"] for r in golden]))
    got = got[:, 1] if got.ndim == 2 else got
    assert np.abs(np.array([r["probability"] for r in golden]) - got).max() <= 1e-6


def test_golden_rows_miss_each_feature_alone_and_all_together(shipped):
    golden = json.loads(shipped["golden.json"])["rows"]
    missing = [{n for n, v in zip(NAMES, r["features"], strict=True) if v is None} for r in golden]
    for name in NAMES:
        assert {name} in missing
    assert set(NAMES) in missing
    assert any(len(m) == 2 for m in missing)


def test_protected_features_change_nothing(shipped, few):
    model = onnx.load_from_string(shipped["model.onnx"])
    rows = few.features[:500].astype(np.float32)
    other = rows.copy()
    for name in PROTECTED:
        other[:, NAMES.index(name)] = np.nan
    assert (export.run(model, rows) == export.run(model, other)).all()


def test_shipped_model_is_good_enough_on_the_holdout(shipped, uci):
    from sklearn.metrics import roc_auc_score

    _, test = dataset.split(uci)
    got = export.run(onnx.load_from_string(shipped["model.onnx"]), test.features.astype(np.float32))
    got = got[:, 1] if got.ndim == 2 else got
    auc = roc_auc_score(test.defaulted, got)
    assert auc >= 0.77
    assert json.loads(shipped["manifest.json"])["metrics"]["test"]["auc"] == pytest.approx(auc, abs=1e-4)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"max_depth": "deep"}, "parameter max_depth 'deep'"),
        ({"subsample": 1.5}, "parameter subsample 1.5"),
        ({"n_estimators": 0}, "parameter n_estimators 0"),
        ({"depth": 3}, "parameter depth 3"),
    ],
)
def test_a_parameter_that_the_trees_do_not_take_is_refused_by_name(given, told):
    with pytest.raises(ValueError, match=told):
        build(given, 1)


def test_parameters_that_are_absent_are_scikit_learns_own():
    assert build({}, 1)[-1].get_params() == GradientBoostingClassifier(random_state=1).get_params()
    assert Parameters().model_dump().items() <= GradientBoostingClassifier().get_params().items()
