"""What ten splits of the training rows allow: other models on the same splits, and the splits' own luck.

A mean over ten test parts says how good a model is and how hard those parts are. Other models on
the same parts tell the first; scores that are fixed before a part is drawn tell the second. The
hold-out takes no part here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import Pipeline

from credit_retrain.data.dataset import Dataset
from credit_retrain.evaluate import figures
from credit_retrain.evaluate.comparison import lightgbm
from credit_retrain.evaluate.figures import Doubles
from credit_retrain.evaluate.repeated import SEEDS, TEST_SHARE, interval
from credit_retrain.model.pipeline import build
from credit_retrain.uci import contract
from credit_retrain.uci.contract import NAMES
from credit_retrain.uci.features import Floats
from credit_retrain.uci.transformers import Engineer, Imputer

Report = Callable[[str], None]
Rows = npt.NDArray[np.int64]
Recipe = Callable[[], Pipeline]

FOLDS = 5
DRAWN = 1000
"""Seeds whose test parts the fixed scores are held to; a multiple of the ten."""

THIS = "this model"
PROTECTED = "LightGBM, 8 leaves, with SEX, MARRIAGE, AGE"
MEAN = "the mean of all but the last"


class Inputs(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """The trees' inputs, and more of what could be made from the same rows.

    Parameters
    ----------
    more : bool
        Shares of bills and payments month by month, what was spent in a month, counts of every
        kind of status, extremes.
    protected : bool
        Sex, marriage and age as they came.
    """

    def __init__(self, more: bool = False, protected: bool = False) -> None:
        self.more = more
        self.protected = protected

    def fit(self, X: npt.ArrayLike, y: object = None) -> Inputs:
        """Take the medians that missing values are replaced by."""
        self.made_ = Pipeline([("impute", Imputer()), ("engineer", Engineer())]).fit(
            np.asarray(X, np.float32)
        )
        return self

    def transform(self, X: npt.ArrayLike) -> Floats:
        """Return the columns, shape (n, 35) or more."""
        rows = np.asarray(X, np.float32)
        inputs: Floats = self.made_.transform(rows)
        parts = [inputs]
        if self.more:
            parts.append(_more(inputs))
        if self.protected:
            parts.append(rows[:, [i for i, name in enumerate(NAMES) if name in contract.PROTECTED]])
        return np.hstack(parts).astype(np.float32)


def _more(inputs: Floats) -> Floats:
    limit = np.maximum(inputs[:, :1], 1)
    status, bill, paid = inputs[:, 2:8], inputs[:, 8:14], inputs[:, 14:20]
    one_each = [
        (status == -2).sum(1),
        (status == -1).sum(1),
        (status == 0).sum(1),
        (status >= 2).sum(1),
        np.clip(status[:, :3], 0, None).sum(1),
        (np.diff(status, axis=1) != 0).sum(1),
        (paid == 0).sum(1),
        paid.min(1),
        paid.max(1) / limit[:, 0],
        bill.min(1) / limit[:, 0],
        (bill[:, :3].sum(1) - bill[:, 3:].sum(1)) / limit[:, 0],
    ]
    return np.hstack(
        [
            bill / limit,
            paid / limit,
            np.clip(paid[:, :5] / np.maximum(bill[:, 1:], 1), 0, 2),
            (bill[:, :5] - bill[:, 1:] + paid[:, :5]) / limit,  # spent in the month
            np.column_stack(one_each),
        ]
    ).astype(np.float32)


def recipes(parameters: dict[str, Any], seed: int) -> dict[str, Recipe]:
    """Return this model and others, each not yet fitted; one setting each, none searched."""

    def light(inputs: Inputs, **other: Any) -> Pipeline:
        trees = lightgbm(seed)[-1].set_params(**other)
        return Pipeline([("inputs", inputs), ("trees", trees)])

    def histogram() -> Pipeline:
        trees = HistGradientBoostingClassifier(
            max_iter=200,
            learning_rate=0.04,
            max_leaf_nodes=15,
            min_samples_leaf=80,
            l2_regularization=10,
            max_features=0.3,
            random_state=seed,
        )
        return Pipeline([("inputs", Inputs()), ("trees", trees)])

    deep = {"num_leaves": 31, "n_estimators": 300, "learning_rate": 0.02, "colsample_bytree": 0.2}
    return {
        THIS: lambda: build(parameters, seed),
        "LightGBM, 8 leaves": lambda: light(Inputs()),
        "HistGradientBoosting, 15 leaves": histogram,
        "LightGBM, 31 leaves": lambda: light(Inputs(), **deep),
        "LightGBM, 8 leaves, 33 more features": lambda: light(Inputs(more=True)),
        "LightGBM, 31 leaves, 33 more features": lambda: light(Inputs(more=True), **deep),
        PROTECTED: lambda: light(Inputs(protected=True)),
    }


@dataclass(frozen=True)
class Luck:
    """Scores that no test part had a say in, held to the test parts.

    Attributes
    ----------
    five_fold : float
        Mean AUC of five-fold cross-validation, which gave every training row its score.
    ten : float
        Mean AUC of these scores on the test parts of the ten seeds.
    seeds : int
        How many seeds' test parts were drawn, the ten among them.
    drawn : float
        Mean AUC of these scores on all of them.
    tens : tuple of float
        Where 95 of 100 means of ten such parts lie.
    below : float
        Share of the means of ten parts that are not above that of the ten seeds.
    """

    five_fold: float
    ten: float
    seeds: int
    drawn: float
    tens: tuple[float, float]
    below: float


def part(labels: figures.Labels, seed: int) -> tuple[Rows, Rows]:
    """Return a seed's split: the rows to fit and to test, as `repeated.repeat` divides them."""
    fitted_on, tested = train_test_split(
        np.arange(len(labels)), test_size=TEST_SHARE, stratify=labels, random_state=seed
    )
    return fitted_on, tested


def _tested(recipe: Recipe, train: Dataset, fitted_on: Rows, tested: Rows) -> Doubles:
    pipeline = recipe().fit(train.features[fitted_on], train.defaulted[fitted_on])
    out: Doubles = pipeline.predict_proba(train.features[tested])[:, 1]
    return out


def luck(train: Dataset, recipe: Recipe, seed: int, n_jobs: int, drawn: int) -> Luck:
    """Give every training row a score by cross-validation, and hold the scores to many test parts."""
    folds = list(
        StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(train.features, train.defaulted)
    )
    done = Parallel(n_jobs=n_jobs)(delayed(_tested)(recipe, train, a, b) for a, b in folds)
    scores = np.zeros(len(train))
    for (_, tested), probability in zip(folds, done, strict=True):
        scores[tested] = probability
    of = np.array(
        [
            figures.auc(train.defaulted[tested], scores[tested])
            for _, tested in (part(train.defaulted, s) for s in range(drawn))
        ]
    )
    tens = of.reshape(-1, len(SEEDS)).mean(axis=1)
    low, high = np.percentile(tens, [2.5, 97.5])
    five = np.mean([figures.auc(train.defaulted[b], p) for (_, b), p in zip(folds, done, strict=True)])
    return Luck(
        float(five),
        float(tens[0]),
        drawn,
        float(of.mean()),
        (float(low), float(high)),
        float((tens <= tens[0]).mean()),
    )


def beside(train: Dataset, models: dict[str, Recipe], n_jobs: int, report: Report) -> dict[str, list[float]]:
    """Return the AUC of every model on the test part of every seed, and that of their mean."""
    parts = [part(train.defaulted, seed) for seed in SEEDS]
    out: dict[str, list[float]] = {}
    total = [np.zeros(len(tested)) for _, tested in parts]
    for name, recipe in models.items():
        done = Parallel(n_jobs=n_jobs)(delayed(_tested)(recipe, train, a, b) for a, b in parts)
        out[name] = _aucs(train, parts, done)
        if name != PROTECTED:
            total = [t + p for t, p in zip(total, done, strict=True)]
        report(f"  {name}: {np.mean(out[name]):.4f}")
    out[MEAN] = _aucs(train, parts, total)
    return out


def _aucs(train: Dataset, parts: list[tuple[Rows, Rows]], scores: list[Doubles]) -> list[float]:
    return [figures.auc(train.defaulted[b], p) for (_, b), p in zip(parts, scores, strict=True)]


def table(found: dict[str, list[float]]) -> str:
    """Write the means, and how far each is from this model's on the same splits, as Markdown."""
    lines = [f"| model | mean AUC over {len(SEEDS)} splits | less this model's (95 %) |", "|---|---|---|"]
    for name, auc in found.items():
        apart = ""
        if name != THIS:
            difference = np.subtract(auc, found[THIS]).tolist()
            low, high = interval(difference)
            apart = f"{np.mean(difference):+.4f} ({low:+.4f} to {high:+.4f})"
        lines.append(f"| {name} | {np.mean(auc):.4f} | {apart} |")
    return "\n".join(lines)


def told(found: Luck) -> str:
    """Say how lucky the ten seeds are."""
    low, high = found.tens
    return (
        f"five-fold cross-validation: {found.five_fold:.4f}; the scores that it gave, on the test parts of "
        f"seeds {SEEDS[0]} to {SEEDS[-1]}: {found.ten:.4f}; on those of {found.seeds} seeds: "
        f"{found.drawn:.4f}, ten at a time from {low:.4f} to {high:.4f} (95 %), "
        f"{100 * found.below:.0f} % of the tens no better than these ten"
    )
