"""Other models on the same split: what a plain scorecard does, and what another booster does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from credit_retrain.data.dataset import Dataset
from credit_retrain.evaluate import figures
from credit_retrain.evaluate.delong import compare
from credit_retrain.evaluate.figures import Doubles
from credit_retrain.uci.transformers import Engineer, Imputer


class WeightOfEvidence(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Replaces each value by its bin's log-odds of default, less those of all rows.

    A classical scorecard's first step. Few distinct values are a bin each; of more, bins hold
    about equal shares of the training rows. Half a default and half a paid loan are added to
    each, so that none is infinite.

    Attributes
    ----------
    edges_ : list of ndarray
    weights_ : list of ndarray, one more than edges each
    """

    def __init__(self, bins: int = 12) -> None:
        self.bins = bins

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> WeightOfEvidence:
        """Find the bins and their weights."""
        values, defaulted = np.asarray(X, np.float64), np.asarray(y)
        overall = np.log((defaulted.sum() + 0.5) / ((1 - defaulted).sum() + 0.5))
        self.edges_, self.weights_ = [], []
        for column in values.T:
            distinct = np.unique(column)
            if len(distinct) > self.bins:
                distinct = np.unique(np.quantile(column, np.linspace(0, 1, self.bins + 1)[:-1]))
            edges = distinct[1:]
            at = np.searchsorted(edges, column, side="right")
            bad = np.bincount(at, defaulted, minlength=len(edges) + 1) + 0.5
            good = np.bincount(at, 1 - defaulted, minlength=len(edges) + 1) + 0.5
            self.edges_.append(edges)
            self.weights_.append(np.log(bad / good) - overall)
        return self

    def transform(self, X: npt.ArrayLike) -> Doubles:
        """Return the weights, in the shape of X."""
        return np.column_stack(
            [
                weights[np.searchsorted(edges, column, side="right")]
                for column, edges, weights in zip(
                    np.asarray(X, np.float64).T, self.edges_, self.weights_, strict=True
                )
            ]
        )


def scorecard(seed: int) -> Pipeline:
    """Return a logistic regression on weights of evidence of the inputs that the model has too."""
    return Pipeline(
        [
            ("impute", Imputer()),
            ("weights", WeightOfEvidence()),
            ("logistic", LogisticRegression(C=1.0, max_iter=2000, random_state=seed)),
        ]
    )


def lightgbm(seed: int) -> Pipeline:
    """Return LightGBM on the same tree inputs; one setting, not searched, the same on every machine."""
    from lightgbm import LGBMClassifier

    return Pipeline(
        [
            ("impute", Imputer()),
            ("engineer", Engineer()),
            (
                "trees",
                LGBMClassifier(
                    n_estimators=200,
                    learning_rate=0.04,
                    num_leaves=8,
                    min_child_samples=50,
                    subsample=0.7,
                    subsample_freq=1,
                    colsample_bytree=0.3,
                    random_state=seed,
                    deterministic=True,
                    force_row_wise=True,
                    n_jobs=1,
                    verbose=-1,
                ),
            ),
        ]
    )


def beside(train: Dataset, test: Dataset, probability: Doubles, seed: int) -> dict[str, dict[str, Any]]:
    """Fit the other models on the training rows and hold them against the model on the hold-out.

    Returns
    -------
    dict
        Per model its figures, and `auc_difference`: the model's AUC less the other's, with
        DeLong's 95 % interval.
    """
    out = {}
    for name, pipeline in (("logistic scorecard", scorecard(seed)), ("LightGBM", lightgbm(seed))):
        other = pipeline.fit(train.features, train.defaulted).predict_proba(test.features)[:, 1]
        difference = compare(test.defaulted, probability, other)
        out[name] = {
            **{
                figure: round(of(test.defaulted, other), 5)
                for figure, of in figures.ALL.items()
                if figure != "gini"
            },
            "auc_difference": {
                "value": round(difference.difference, 5),
                "interval": [round(difference.low, 5), round(difference.high, 5)],
            },
        }
    return out
