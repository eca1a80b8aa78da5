"""From rows and parameters to a bundle."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version as installed
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline

from credit_retrain.artifact import bundle, card, golden, reference
from credit_retrain.artifact.export import run, to_onnx
from credit_retrain.data.dataset import HOLDOUT_RULE, Dataset, split
from credit_retrain.evaluate.holdout import Metrics, evaluate
from credit_retrain.model.pipeline import build
from credit_retrain.uci.contract import NAMES, USED
from credit_retrain.uci.features import GROUP_TEXTS, TREE_INPUTS

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
class Fitted:
    """A pipeline fitted to the training rows, and its graph, which gives the same probabilities.

    Attributes
    ----------
    train, test : Dataset
        The rows it was fitted to, and the hold-out.
    graph : onnx.ModelProto
    parameters : dict
        Of the trees.
    """

    pipeline: Pipeline
    train: Dataset
    test: Dataset
    graph: onnx.ModelProto
    parameters: dict[str, Any]
    seed: int


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


def fit(
    train: Dataset,
    test: Dataset,
    parameters: dict[str, Any],
    seed: int,
    report: Report,
    pipeline: Pipeline | None = None,
) -> Fitted:
    """Fit, export, and compare scikit-learn with ONNX Runtime.

    Parameters
    ----------
    pipeline : Pipeline, optional
        Already fitted to the training rows with these parameters and seed.

    Raises
    ------
    ValueError
        When they disagree.
    """
    if pipeline is None:
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
    return Fitted(pipeline, train, test, graph, parameters, seed)


def describe(
    fitted: Fitted,
    data: Dataset,
    version: str,
    created_at: str,
    metrics: dict[str, Any],
    training: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the manifest, but for the files' digests.

    Parameters
    ----------
    data : Dataset
        All rows, the hold-out among them.
    training : dict, optional
        More facts about the training.
    """
    return {
        "format": bundle.FORMAT,
        "version": version,
        "created_at": created_at,
        "inputs": NAMES,
        "used_inputs": USED,
        "algorithm": "sklearn.ensemble.GradientBoostingClassifier",
        "expected_value": golden.Explainer(fitted.pipeline).expected_value,
        "tree_inputs": [{"name": name, "group": group} for name, group in TREE_INPUTS],
        "groups": [{"code": code, "text": text} for code, text in GROUP_TEXTS.items()],
        "training": {
            "dataset": data.source,
            "dataset_digest": data.digest(),
            "train_digest": fitted.train.digest(),
            "test_digest": fitted.test.digest(),
            "holdout": HOLDOUT_RULE,
            "train_rows": len(fitted.train),
            "test_rows": len(fitted.test),
            "seed": fitted.seed,
            "parameters": fitted.parameters,
            "libraries": {
                # Without the patch level, which changes nothing and differs between machines.
                "python": ".".join(platform.python_version_tuple()[:2]),
                **{name: installed(name) for name in ("scikit-learn", "skl2onnx", "onnx", "numpy", "shap")},
            },
            **(training or {}),
        },
        "metrics": metrics,
        "forced": None,
    }


def pack(fitted: Fitted, manifest: dict[str, Any], text: str) -> bytes:
    """Return the bundle of a fitted pipeline: its graph, reference, golden rows and card."""
    probability = fitted.pipeline.predict_proba(fitted.train.features)[:, 1]
    explainer = golden.Explainer(fitted.pipeline)
    rows = golden.rows(fitted.train, probability, fitted.seed)
    log_odds = fitted.pipeline.decision_function(fitted.train.features)
    return bundle.pack(
        manifest,
        {
            "model.onnx": fitted.graph.SerializeToString(deterministic=True),
            "reference.json": bundle.to_json(reference.build(fitted.train, log_odds)),
            "golden.json": bundle.to_json(golden.build(fitted.pipeline, explainer, rows)),
            "card.md": text.encode(),
        },
    )


def train_bundle(
    data: Dataset,
    version: str,
    created_at: str,
    seed: int,
    report: Report,
    candidates: list[dict[str, Any]] | None = None,
) -> Trained:
    """Train as the shipped bundle is trained: a short list of candidates, the smallest good one.

    The same rows, version, date and seed give the same bytes.
    """
    train, test = split(data)
    report(f"{len(train)} training rows, {len(test)} held out by content hash")
    report("choosing parameters on the training rows")
    parameters, _ = choose(train, seed, report, candidates)
    fitted = fit(train, test, parameters, seed, report)
    metrics = evaluate(test.defaulted, fitted.pipeline.predict_proba(test.features)[:, 1], seed)
    report(
        f"hold-out: AUC {metrics.auc:.4f} ({metrics.auc_interval[0]:.4f} to {metrics.auc_interval[1]:.4f}), "
        f"KS {metrics.ks:.3f}, Brier {metrics.brier:.4f}, ECE {metrics.ece:.4f}"
    )
    manifest = describe(fitted, data, version, created_at, {"test": metrics.to_dict()})
    report("explaining golden rows with the shap library")
    return Trained(fitted.pipeline, metrics, train, pack(fitted, manifest, card.write(manifest)))
