"""What a model is worth on rows it has not seen."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from credit_retrain.data.dataset import Dataset
from credit_retrain.evaluate import decisions, fairness, figures
from credit_retrain.evaluate.figures import Doubles, Labels


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


def evaluate(defaulted: Labels, probability: Doubles, seed: int, resamples: int = 500) -> Metrics:
    """Compute the figures that every manifest has.

    Parameters
    ----------
    defaulted : ndarray of 0 and 1, shape (n,)
    probability : ndarray, shape (n,)
        Probability of default.
    """
    of = figures.intervals(defaulted, probability, seed, {"auc": figures.auc}, resamples)
    auc = figures.auc(defaulted, probability)
    return Metrics(
        rows=len(defaulted),
        default_rate=float(defaulted.mean()),
        auc=auc,
        auc_interval=of["auc"],
        gini=2 * auc - 1,
        ks=figures.ks(defaulted, probability),
        brier=figures.brier(defaulted, probability),
        log_loss=figures.cross_entropy(defaulted, probability),
        ece=figures.ece(defaulted, probability),
    )


def full(
    test: Dataset, probability: Doubles, seed: int, resamples: int = figures.RESAMPLES
) -> dict[str, Any]:
    """Compute everything that is said of a model on the hold-out.

    Parameters
    ----------
    test : Dataset
        Rows the model has not seen.
    probability : ndarray, shape (n,)
        Its probability of default for them.

    Returns
    -------
    dict
        `figures` (each with `value` and `interval`), `calibration`, `lift`, `decisions`, `fairness`.
    """
    defaulted = test.defaulted
    of = figures.intervals(defaulted, probability, seed, figures.ALL, resamples)
    mean, percentile = figures.ece_by_chance(probability, seed)
    return {
        "rows": len(test),
        "default_rate": round(float(defaulted.mean()), 5),
        "mean_probability": round(float(probability.mean()), 5),
        "figures": {
            name: {
                "value": round(figure(defaulted, probability), 5),
                "interval": [round(v, 5) for v in of[name]],
            }
            for name, figure in figures.ALL.items()
        },
        "ece_by_chance": {"mean": round(mean, 5), "percentile_95": round(percentile, 5)},
        "calibration": figures.calibration(defaulted, probability),
        "lift": figures.lift(defaulted, probability),
        "decisions": decisions.table(test, probability),
        "fairness": fairness.assess(test, probability, seed, resamples),
    }
