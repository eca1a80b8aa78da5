"""The scikit-learn pipeline: imputation, engineered features, gradient boosting."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import Pipeline

from credit_retrain.model.parameters import read
from credit_retrain.uci.features import Floats
from credit_retrain.uci.transformers import Engineer, Imputer


def build(parameters: dict[str, Any], seed: int) -> Pipeline:
    """Return the pipeline, not yet fitted.

    Raises
    ------
    ValueError
        When a parameter is unknown or out of range; it names it.
    """
    return Pipeline(
        [
            ("impute", Imputer()),
            ("engineer", Engineer()),
            ("trees", GradientBoostingClassifier(random_state=seed, **read(parameters))),
        ]
    )


def tree_inputs(pipeline: Pipeline, rows: npt.ArrayLike) -> Floats:
    """Return what the trees see for raw rows (n, 23), NaN where missing."""
    out: Floats = pipeline[:-1].transform(np.asarray(rows, np.float32))
    return out
