"""The pictures of a model card."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve
from sklearn.pipeline import Pipeline

from credit_retrain.artifact import golden
from credit_retrain.data.dataset import Dataset
from credit_retrain.evaluate.decisions import DECLINE_FROM
from credit_retrain.evaluate.fairness import APPROVE_BELOW
from credit_retrain.evaluate.figures import Doubles, Labels, auc, calibration
from credit_retrain.model.pipeline import tree_inputs

SHAP_ROWS = 1000
SHAP_INPUTS = 15
TITLES = {
    "roc": "ROC curve on the hold-out",
    "calibration": "Predicted and observed default rate on the hold-out",
    "scores": "Scores of loans that were paid and that defaulted",
    "shap": "What moves the score: SHAP values of the inputs that matter most",
}
_BLUE, _RED, _GREY = "#2f6f9f", "#b5442c", "#8a8a8a"


def write(folder: Path, pipeline: Pipeline, test: Dataset, seed: int) -> dict[str, Path]:
    """Draw every picture as PNG and return the files by name."""
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    probability = pipeline.predict_proba(test.features)[:, 1]
    out = {}
    for name, title in TITLES.items():
        figure = Figure(figsize=(7, 4.6), layout="constrained")
        axes = figure.subplots()
        if name == "roc":
            _roc(axes, test.defaulted, probability)
        elif name == "calibration":
            _calibration(axes, test.defaulted, probability)
        elif name == "scores":
            _scores(axes, test.defaulted, pipeline.decision_function(test.features))
        else:
            _shap(figure, axes, pipeline, test, seed)
        axes.set_title(title, fontsize=11, loc="left")
        axes.spines[["top", "right"]].set_visible(False)
        out[name] = folder / f"{name}.png"
        # Without the library's version, so that equal pictures are equal files.
        figure.savefig(out[name], dpi=110, metadata={"Software": None})
    return out


def _roc(axes: Axes, defaulted: Labels, probability: Doubles) -> None:
    false_positive, true_positive, _ = roc_curve(defaulted, probability)
    axes.plot(false_positive, true_positive, color=_BLUE, label=f"AUC {auc(defaulted, probability):.4f}")
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle=":", linewidth=1)
    axes.set_xlabel("paid loans ranked above the cut-off")
    axes.set_ylabel("defaults ranked above the cut-off")
    axes.legend(frameon=False, loc="lower right")


def _calibration(axes: Axes, defaulted: Labels, probability: Doubles) -> None:
    table = calibration(defaulted, probability)
    predicted = np.array([row["predicted"] for row in table])
    observed = np.array([row["observed"] for row in table])
    low, high = np.array([row["interval"] for row in table]).T
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle=":", linewidth=1)
    axes.errorbar(
        predicted,
        observed,
        yerr=[observed - low, high - observed],
        fmt="o",
        color=_BLUE,
        capsize=2,
        markersize=4,
    )
    top = float(max(predicted.max(), high.max())) * 1.05
    axes.set_xlim(0, top)
    axes.set_ylim(0, top)
    axes.set_xlabel("predicted, mean of a bin of equal size")
    axes.set_ylabel("observed, with 95 % interval")


def _scores(axes: Axes, defaulted: Labels, log_odds: Doubles) -> None:
    edges = np.linspace(float(log_odds.min()), float(log_odds.max()), 50).tolist()
    for label, color, name in ((0, _BLUE, "paid"), (1, _RED, "defaulted")):
        axes.hist(log_odds[defaulted == label], edges, density=True, alpha=0.55, color=color, label=name)
    top = axes.get_ylim()[1]
    for cut, told in ((APPROVE_BELOW, "approved\nbelow"), (DECLINE_FROM, "declined\nfrom")):
        at = float(np.log(cut / (1 - cut)))
        axes.axvline(at, color=_GREY, linestyle="--", linewidth=1)
        axes.text(at + 0.04, top, f"{told} {cut:.2f}", color="#555555", fontsize=8, va="top")
    axes.set_ylim(0, top)
    axes.set_xlabel("log-odds of default; dashed: the default policy's cut-offs, as probabilities")
    axes.set_ylabel("density within the class")
    axes.legend(frameon=False)


def _shap(figure: Figure, axes: Axes, pipeline: Pipeline, test: Dataset, seed: int) -> None:
    """Draw one row of points per input, coloured from the input's lowest value to its highest."""
    rng = np.random.default_rng(seed)
    rows = test.features[rng.permutation(len(test))[:SHAP_ROWS]].astype(np.float64)
    contributions = golden.Explainer(pipeline).contributions(rows)
    values = tree_inputs(pipeline, rows)
    order = np.argsort(np.abs(contributions).mean(axis=0))[-SHAP_INPUTS:]
    points = None
    for height, i in enumerate(order):
        rank = np.argsort(np.argsort(values[:, i], kind="stable"), kind="stable") / (len(rows) - 1)
        jitter = rng.uniform(-0.3, 0.3, len(rows))
        points = axes.scatter(
            contributions[:, i], height + jitter, c=rank, cmap="coolwarm", s=3, linewidths=0, alpha=0.7
        )
    axes.axvline(0, color=_GREY, linewidth=0.8)
    axes.set_yticks(range(len(order)), [golden.INPUTS[i] for i in order], fontsize=8)
    axes.set_xlabel("contribution to the log-odds of default")
    if points is not None:
        bar = figure.colorbar(points, ax=axes, ticks=[0, 1])
        bar.ax.set_yticklabels(["low", "high"])
        bar.set_label("value of the input")
