"""What training wrote into the repository is what it writes today."""

import gzip
import json
from pathlib import Path

import pytest

from credit_retrain import dataset, fixtures, population

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


def test_population(training):
    same(population.estimate(training, 42), json.loads((ROOT / "producer" / "population.json").read_text()))


def test_fixtures_of_the_engine(training, tmp_path):
    committed = ROOT / "model" / "forest" / "testdata"
    for path in fixtures.write(tmp_path, training, 42):
        if path.suffix == ".onnx":
            assert path.read_bytes() == (committed / path.name).read_bytes()
        else:
            same(*(json.loads(gzip.decompress(p.read_bytes())) for p in (path, committed / path.name)))


def test_fixtures_hold_every_threshold_with_both_neighbours(training):
    import numpy as np
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
