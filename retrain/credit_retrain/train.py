"""From the raw file to a bundle."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version as installed
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline

from credit_retrain import bundle, card, golden, reference
from credit_retrain.contract import NAMES, USED
from credit_retrain.dataset import Dataset, split
from credit_retrain.evaluate import Metrics, evaluate
from credit_retrain.export import run, to_onnx
from credit_retrain.features import GROUP_TEXTS, TREE_INPUTS
from credit_retrain.pipeline import build

TOLERANCE = 1e-6
"""Largest difference between engines, in probability."""

CANDIDATES: list[dict[str, Any]] = [
    {"max_depth": 2, "n_estimators": 150, "learning_rate": 0.1},
    {"max_depth": 3, "n_estimators": 100, "learning_rate": 0.08},
    {"max_depth": 3, "n_estimators": 150, "learning_rate": 0.06},
]
"""From the smallest: the first within one standard error of the best is taken."""

SHARED: dict[str, Any] = {"subsample": 0.7, "max_features": 0.3, "min_samples_leaf": 50}

Report = Callable[[str], None]


@dataclass(frozen=True)
class Trained:
    """A fitted pipeline, what it is worth, and its bundle."""

    pipeline: Pipeline
    metrics: Metrics
    train: Dataset
    content: bytes


def choose(
    train: Dataset, seed: int, report: Report, candidates: list[dict[str, Any]] | None = None
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Cross-validate the candidates on the training rows and take the smallest good one."""
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    results: list[dict[str, Any]] = []
    for candidate in candidates or CANDIDATES:
        parameters = {**SHARED, **candidate}
        scores = cross_val_score(
            build(parameters, seed), train.features, train.defaulted, cv=folds, scoring="roc_auc"
        )
        error = float(scores.std(ddof=1) / np.sqrt(len(scores)))
        results.append({"parameters": parameters, "auc": float(scores.mean()), "standard_error": error})
        report(f"  {candidate}: AUC {scores.mean():.4f} ± {error:.4f} over 5 folds")
    best = max(results, key=lambda r: float(r["auc"]))
    chosen = next(r for r in results if r["auc"] >= best["auc"] - best["standard_error"])
    parameters = chosen["parameters"]
    return dict(parameters), results


def with_missing(rows: npt.NDArray[np.float64], share: float, seed: int) -> npt.NDArray[np.float64]:
    """Return a copy in which a share of the values is missing."""
    out = rows.copy()
    out[np.random.default_rng(seed).random(out.shape) < share] = np.nan
    return out


def train_bundle(
    data: Dataset,
    version: str,
    created_at: str,
    seed: int,
    report: Report,
    candidates: list[dict[str, Any]] | None = None,
) -> Trained:
    """Choose, fit, export, compare the engines, evaluate on the hold-out, pack.

    Raises
    ------
    ValueError
        When scikit-learn and ONNX Runtime disagree.
    """
    train, test = split(data)
    report(f"{len(train)} training rows, {len(test)} held out by content hash")
    report("choosing parameters on the training rows")
    parameters, _ = choose(train, seed, report, candidates)
    report(f"fitting {parameters}")
    pipeline = build(parameters, seed).fit(train.features, train.defaulted)

    report("exporting to ONNX and comparing engines on every row, whole and with missing values")
    graph = to_onnx(pipeline)
    rows = np.vstack([train.features, test.features]).astype(np.float64)
    worst = 0.0
    for matrix in (rows, with_missing(rows, 0.1, seed), with_missing(rows, 0.5, seed + 1)):
        difference = np.abs(run(graph, matrix.astype(np.float32)) - pipeline.predict_proba(matrix)[:, 1])
        worst = max(worst, float(difference.max()))
    report(f"  largest difference {worst:.1e}")
    if worst > TOLERANCE:
        raise ValueError(f"scikit-learn and ONNX Runtime differ by {worst:.1e}, more than {TOLERANCE:.0e}")

    report("explaining golden rows with the shap library")
    train_probability = pipeline.predict_proba(train.features)[:, 1]
    explainer = golden.Explainer(pipeline)
    golden_rows = golden.build(pipeline, explainer, golden.rows(train, train_probability, seed))

    metrics = evaluate(test.defaulted, pipeline.predict_proba(test.features)[:, 1], seed)
    report(
        f"hold-out: AUC {metrics.auc:.4f} ({metrics.auc_interval[0]:.4f} to {metrics.auc_interval[1]:.4f}), "
        f"KS {metrics.ks:.3f}, Brier {metrics.brier:.4f}, ECE {metrics.ece:.4f}"
    )
    manifest = {
        "format": bundle.FORMAT,
        "version": version,
        "created_at": created_at,
        "inputs": NAMES,
        "used_inputs": USED,
        "algorithm": "sklearn.ensemble.GradientBoostingClassifier",
        "expected_value": explainer.expected_value,
        "tree_inputs": [{"name": name, "group": group} for name, group in TREE_INPUTS],
        "groups": [{"code": code, "text": text} for code, text in GROUP_TEXTS.items()],
        "training": {
            "dataset": data.source,
            "dataset_digest": data.digest(),
            "train_digest": train.digest(),
            "test_digest": test.digest(),
            "train_rows": len(train),
            "test_rows": len(test),
            "seed": seed,
            "parameters": parameters,
            "libraries": {
                # Without the patch level, which changes nothing and differs between machines.
                "python": ".".join(platform.python_version_tuple()[:2]),
                **{name: installed(name) for name in ("scikit-learn", "skl2onnx", "onnx", "numpy", "shap")},
            },
        },
        "metrics": {"test": metrics.to_dict()},
        "forced": None,
    }
    content = bundle.pack(
        manifest,
        {
            "model.onnx": graph.SerializeToString(deterministic=True),
            "reference.json": bundle.to_json(
                reference.build(train, pipeline.decision_function(train.features))
            ),
            "golden.json": bundle.to_json(golden_rows),
            "card.md": card.write(manifest).encode(),
        },
    )
    return Trained(pipeline, metrics, train, content)
