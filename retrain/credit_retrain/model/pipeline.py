"""The scikit-learn pipeline: imputation, engineered features, gradient boosting."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import Pipeline

from credit_retrain.uci.contract import NAMES, USED
from credit_retrain.uci.features import Floats, engineer

USED_COLUMNS = [NAMES.index(name) for name in USED]


class Imputer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Keeps the used inputs and replaces what is missing by the training rows' median.

    The medians are rounded to whole numbers, so that every value the graph adds stays an
    integer, exact in float32.

    Attributes
    ----------
    medians_ : ndarray of float32, shape (20,)
    """

    def fit(self, X: npt.ArrayLike, y: object = None) -> Imputer:
        """Take the medians of the columns."""
        used = np.asarray(X, np.float64)[:, USED_COLUMNS]
        self.medians_ = np.round(np.nanmedian(used, axis=0)).astype(np.float32)
        return self

    def transform(self, X: npt.ArrayLike) -> Floats:
        """Return the used inputs, shape (n, 20), nothing missing."""
        used = np.asarray(X, np.float32)[:, USED_COLUMNS]
        return np.where(np.isnan(used), self.medians_, used).astype(np.float32)


class Engineer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Adds the engineered features."""

    def fit(self, X: npt.ArrayLike, y: object = None) -> Engineer:
        """Nothing is learned."""
        self.n_features_in_ = np.asarray(X).shape[1]
        return self

    def transform(self, X: npt.ArrayLike) -> Floats:
        """Return the tree ensemble's input, shape (n, 35)."""
        return engineer(np.asarray(X, np.float32))


def build(parameters: dict[str, Any], seed: int) -> Pipeline:
    """Return the pipeline, not yet fitted."""
    return Pipeline(
        [
            ("impute", Imputer()),
            ("engineer", Engineer()),
            ("trees", GradientBoostingClassifier(random_state=seed, **parameters)),
        ]
    )


def tree_inputs(pipeline: Pipeline, rows: npt.ArrayLike) -> Floats:
    """Return what the trees see for raw rows (n, 23), NaN where missing."""
    out: Floats = pipeline[:-1].transform(np.asarray(rows, np.float32))
    return out
