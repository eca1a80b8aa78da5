"""What a model is worth on rows it has not seen."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve

Doubles = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Metrics:
    """Figures of one set of rows; intervals are the bootstrap's 2.5 and 97.5 percentiles."""

    rows: int
    default_rate: float
    auc: float
    auc_interval: tuple[float, float]
    gini: float
    ks: float
    brier: float
    log_loss: float
    ece: float

    def to_dict(self) -> dict[str, object]:
        """Return the figures rounded to five places."""
        out: dict[str, object] = {}
        for name, value in asdict(self).items():
            if isinstance(value, tuple):
                out[name] = [round(v, 5) for v in value]
            else:
                out[name] = round(value, 5)
        return out


def expected_calibration_error(defaulted: Labels, probability: Doubles, bins: int = 15) -> float:
    """Mean distance of predicted and observed default rate over bins of equal numbers of rows."""
    order = np.argsort(probability, kind="stable")
    error = 0.0
    for part in np.array_split(order, bins):
        error += len(part) / len(order) * abs(probability[part].mean() - defaulted[part].mean())
    return float(error)


def evaluate(defaulted: Labels, probability: Doubles, seed: int, resamples: int = 500) -> Metrics:
    """Compute every figure.

    Parameters
    ----------
    defaulted : ndarray of 0 and 1, shape (n,)
    probability : ndarray, shape (n,)
        Probability of default.
    """
    rng = np.random.default_rng(seed)
    auc = float(roc_auc_score(defaulted, probability))
    draws: list[float] = []
    while len(draws) < resamples:
        rows = rng.integers(0, len(defaulted), len(defaulted))
        if 0 < defaulted[rows].sum() < len(rows):
            draws.append(float(roc_auc_score(defaulted[rows], probability[rows])))
    low, high = np.percentile(draws, [2.5, 97.5])
    false_positive, true_positive, _ = roc_curve(defaulted, probability)
    return Metrics(
        rows=len(defaulted),
        default_rate=float(defaulted.mean()),
        auc=auc,
        auc_interval=(float(low), float(high)),
        gini=2 * auc - 1,
        ks=float(np.max(true_positive - false_positive)),
        brier=float(brier_score_loss(defaulted, probability)),
        log_loss=float(log_loss(defaulted, probability)),
        ece=expected_calibration_error(defaulted, probability),
    )
