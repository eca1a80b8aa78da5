"""What training wrote into the repository is what it writes today."""

import gzip
import json
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest

from credit_retrain.artifact import bundle, refit
from credit_retrain.artifact.opened import Bundle
from credit_retrain.data import dataset
from credit_retrain.dev import drift_fixtures, fixtures
from credit_retrain.model.pipeline import tree_inputs
from credit_retrain.uci import contract, population, thresholds

ROOT = Path(__file__).resolve().parents[2]


def numbers(node):
    if isinstance(node, dict):
        return [n for key in sorted(node) for n in [key, *numbers(node[key])]]
    if isinstance(node, list):
        return [n for child in node for n in numbers(child)]
    return [node]


def same(a, b):
    """Hold two documents equal but for the last places of their fractions."""
    a, b = numbers(a), numbers(b)
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert x == (pytest.approx(y, abs=2e-6) if isinstance(y, float) else y)


@pytest.fixture(scope="module")
def training(uci):
    return dataset.split(uci)[0]


SHIPPED = ROOT / "model" / "shipped" / "credit-default.bundle"


@pytest.fixture(scope="module")
def pipeline(training):
    return refit.pipeline_of(Bundle(SHIPPED.read_bytes()), training)


@pytest.fixture(scope="module")
def around_shipped():
    path = ROOT / "model" / "testdata" / "shipped-thresholds.json.gz"
    return json.loads(gzip.decompress(path.read_bytes()))


def test_the_shipped_manifest_says_what_was_held_out_and_how(uci):
    said = Bundle(SHIPPED.read_bytes()).manifest["training"]
    train, test = dataset.split(uci)
    assert (said["train_rows"], said["test_rows"]) == (len(train), len(test))
    assert (said["train_digest"], said["test_digest"]) == (train.digest(), test.digest())
    assert said["holdout"] == dataset.HOLDOUT_RULE


def test_population(training):
    same(population.estimate(training, 42), json.loads((ROOT / "producer" / "population.json").read_text()))


def test_fixtures_of_drift(tmp_path):
    committed = ROOT / "drift" / "statistic" / "testdata" / "figures.json"
    same(json.loads(drift_fixtures.write(tmp_path, 42).read_text()), json.loads(committed.read_text()))


def test_fixtures_of_the_engine(training, tmp_path):
    committed = ROOT / "model" / "forest" / "testdata"
    for path in fixtures.write(tmp_path, training, 42):
        if path.suffix == ".onnx":
            assert path.read_bytes() == (committed / path.name).read_bytes()
        else:
            same(*(json.loads(gzip.decompress(p.read_bytes())) for p in (path, committed / path.name)))


def test_fixtures_hold_every_threshold_with_both_neighbours(training):
    from sklearn.ensemble import GradientBoostingClassifier

    X = training.features[:500].astype(np.float32)
    model = GradientBoostingClassifier(n_estimators=3, max_depth=2, random_state=1).fit(
        X, training.defaulted[:500]
    )
    rows = fixtures._at_thresholds(model, X[:5])
    for tree in model.estimators_[:, 0]:
        for feature, threshold in zip(tree.tree_.feature, tree.tree_.threshold, strict=True):
            if feature >= 0:
                at = np.float32(threshold)
                column = rows[:, feature]
                for value in (
                    at,
                    np.nextafter(at, -np.float32(np.inf)),
                    np.nextafter(at, np.float32(np.inf)),
                ):
                    assert (column == value).any()


def test_rows_around_the_shipped_thresholds(training, pipeline, around_shipped):
    same(thresholds.document(pipeline, training, 42), around_shipped)


def test_every_shipped_split_has_the_nearest_values_on_both_sides(pipeline, around_shipped):
    features = [[np.nan if v is None else v for v in r["features"]] for r in around_shipped["rows"]]
    for feature, column in zip(contract.FEATURES, np.array(features).T, strict=True):
        known = column[~np.isnan(column)]
        assert feature.minimum <= known.min() and known.max() <= feature.maximum
    inputs = tree_inputs(pipeline, features)
    values, missing = {}, set()
    for row, of_row in zip(around_shipped["rows"], inputs, strict=True):
        split = (thresholds.INPUTS.index(row["tree_input"]), row["threshold"])
        values.setdefault(split, set()).add(float(of_row[split[0]]))
        if None in row["features"]:
            missing.add(split)
    splits = thresholds.splits(pipeline)
    assert around_shipped["splits"] == len(splits)
    assert sorted(values) == splits == sorted(missing)
    for (k, threshold), have in values.items():
        if thresholds.INPUTS[k] not in thresholds.RATIOS:
            assert {math.floor(threshold), math.floor(threshold) + 1} <= have
        elif abs(threshold) > 1e-6:
            assert set(thresholds.around(threshold)) <= have, "one unit in the last place to each side"
        else:  # fractions within the contract are too far apart to tell neighbours there
            assert min(have) <= threshold < max(have)
            assert thresholds.around(threshold)[1] in have


def test_a_bundle_that_training_does_not_give_has_no_rows(training):
    with zipfile.ZipFile(SHIPPED) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files.pop("manifest.json"))
    manifest["training"]["parameters"]["n_estimators"] = 3
    with pytest.raises(ValueError, match="another graph"):
        refit.pipeline_of(Bundle(bundle.pack(manifest, files)), training)
