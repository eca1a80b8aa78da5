"""scikit-learn's view of the columns: what is missing is imputed, what is engineered is added."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin

from credit_retrain.uci.contract import USED_COLUMNS
from credit_retrain.uci.features import Floats, engineer


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
