"""Small models that the engines are tested on, with what scikit-learn and shap say of them."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import shap
from sklearn.ensemble import GradientBoostingClassifier

from credit_retrain.artifact.bundle import to_json
from credit_retrain.artifact.export import trees_to_onnx
from credit_retrain.data.dataset import Dataset, locate, read
from credit_retrain.model.train import train_bundle
from credit_retrain.uci.features import Floats

SHAPES = {"depth1": (30, 1), "depth3": (40, 3), "depth4": (20, 4), "depth5": (10, 5)}
BASES = 100
"""Training rows that the rows are made from."""


def _at_thresholds(model: GradientBoostingClassifier, bases: Floats) -> Floats:
    """Return rows that hold, in turn, every threshold of the model and its two neighbours."""
    splits = sorted(
        {
            (int(f), float(t))
            for tree in model.estimators_[:, 0]
            for f, t in zip(tree.tree_.feature, tree.tree_.threshold, strict=True)
            if f >= 0
        }
    )
    rows = np.repeat(np.resize(bases, (len(splits), bases.shape[1])), 3, axis=0)
    for i, (feature, threshold) in enumerate(splits):
        at = np.float32(threshold)
        rows[3 * i : 3 * i + 3, feature] = (
            np.nextafter(at, np.float32(-np.inf)),
            at,
            np.nextafter(at, np.float32(np.inf)),
        )
    return rows


def write(folder: Path, train: Dataset, seed: int) -> list[Path]:
    """Write NAME.onnx and NAME.json.gz for every shape.

    The JSON holds `expected_value`, and `rows`: the tree inputs (training rows, then one for
    every threshold of the model and one for each of its neighbours, one unit in the last
    place away), scikit-learn's `probability` and shap's `contributions`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    rng = np.random.default_rng(seed)
    X = train.features[:3000].astype(np.float32)
    X[:, 0] /= np.float32(7)  # thresholds that are no integers
    y = train.defaulted[:3000]
    for name, (trees, depth) in SHAPES.items():
        model = GradientBoostingClassifier(n_estimators=trees, max_depth=depth, random_state=seed).fit(X, y)
        graph = trees_to_onnx(model, X.shape[1], "features")  # a whole model
        bases = X[rng.integers(0, len(X), BASES)]
        rows = np.vstack([bases, _at_thresholds(model, bases)])
        explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent", model_output="raw")
        contributions = explainer.shap_values(rows)
        document = {
            "expected_value": float(np.ravel(explainer.expected_value)[0]),
            "rows": [
                {
                    "inputs": [float(v) for v in rows[i]],
                    "probability": float(p),
                    "contributions": np.round(contributions[i], 7).tolist(),
                }
                for i, p in enumerate(model.predict_proba(rows)[:, 1])
            ],
        }
        onnx_path, json_path = folder / f"{name}.onnx", folder / f"{name}.json.gz"
        onnx_path.write_bytes(graph.SerializeToString(deterministic=True))
        json_path.write_bytes(gzip.compress(to_json(document), mtime=0))
        written += [onnx_path, json_path]
    return written


def small(path: Path, created_at: str = "2026-11-25T00:00:00Z", seed: int = 7) -> Path:
    """Write a whole bundle of a model that is smaller than the shipped one, and decides otherwise."""
    data = read(locate(None))
    trained = train_bundle(
        data, "small.1", created_at, seed, print, [{"max_depth": 2, "n_estimators": 15, "learning_rate": 0.3}]
    )
    path.write_bytes(trained.content)
    return path
