"""Golden rows: inputs with the probability and the contributions that any engine must reproduce."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shap
from sklearn.pipeline import Pipeline

from credit_retrain.data.dataset import Dataset
from credit_retrain.model.pipeline import tree_inputs
from credit_retrain.uci.contract import FEATURES, NAMES
from credit_retrain.uci.features import TREE_INPUTS

Doubles = npt.NDArray[np.float64]

INPUTS = [name for name, _ in TREE_INPUTS]
"""What contributions are given for, in their order."""


class Explainer:
    """Exact path-dependent TreeSHAP of the raw margin by the shap library."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._explainer = shap.TreeExplainer(
            pipeline.named_steps["trees"], feature_perturbation="tree_path_dependent", model_output="raw"
        )
        self.expected_value = float(np.ravel(self._explainer.expected_value)[0])

    def contributions(self, rows: Doubles) -> Doubles:
        """Return log-odds per tree input, shape (n, 35), for raw rows (n, 23)."""
        inputs = tree_inputs(self._pipeline, rows)
        return np.asarray(self._explainer.shap_values(inputs, check_additivity=True), np.float64)


def rows(train: Dataset, probability: Doubles, seed: int) -> list[tuple[str, Doubles]]:
    """Choose the rows: training rows over the range of scores, what may be missing, the contract's bounds."""
    chosen: list[tuple[str, Doubles]] = []
    order = np.argsort(probability, kind="stable")
    for rank in np.linspace(0, len(order) - 1, 50).astype(int):
        row = int(order[rank])
        chosen.append((f"training row {row}", train.features[row].astype(np.float64)))
    typical = train.features[int(order[len(order) // 2])].astype(np.float64)
    risky = train.features[int(order[-len(order) // 20])].astype(np.float64)
    for i, name in enumerate(NAMES):
        for label, base in (("typical", typical), ("risky", risky)):
            row_missing = base.copy()
            row_missing[i] = np.nan
            chosen.append((f"{label}, {name} missing", row_missing))
    rng = np.random.default_rng(seed)
    for _ in range(20):
        a, b = sorted(rng.choice(len(NAMES), 2, replace=False).tolist())
        pair = risky.copy()
        pair[[a, b]] = np.nan
        chosen.append((f"risky, {NAMES[a]} and {NAMES[b]} missing", pair))
    chosen.append(("all missing", np.full(len(NAMES), np.nan)))
    chosen.append(("every feature at its lowest", np.array([f.minimum for f in FEATURES], np.float64)))
    chosen.append(("every feature at its highest", np.array([f.maximum for f in FEATURES], np.float64)))
    return chosen


def build(pipeline: Pipeline, explainer: Explainer, chosen: list[tuple[str, Doubles]]) -> dict[str, Any]:
    """Record what scikit-learn and shap say of the rows."""
    matrix = np.stack([row for _, row in chosen])
    log_odds = pipeline.decision_function(matrix)
    probability = pipeline.predict_proba(matrix)[:, 1]
    contributions = explainer.contributions(matrix)
    return {
        "rows": [
            {
                "name": name,
                "features": [None if np.isnan(v) else int(v) for v in row],
                "log_odds": float(log_odds[i]),
                "probability": float(probability[i]),
                "contributions": contributions[i].tolist(),
            }
            for i, (name, row) in enumerate(chosen)
        ]
    }
