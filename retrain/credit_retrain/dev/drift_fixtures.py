"""Counts in bins with what NumPy, SciPy and scikit-learn say of them, to test drift statistics on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from credit_retrain.artifact.bundle import to_json

Counts = npt.NDArray[np.int64]


MOST_EVIDENCE = 300.0
"""Beyond it a probability leaves the range of a float64."""


def _evidence(log_tail: float) -> float:
    return min(MOST_EVIDENCE, float(-log_tail / np.log(10)))


def _representatives(edges: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if len(edges) == 1:
        return np.array([edges[0] - 0.5, edges[0] + 0.5])
    inner = (edges[:-1] + edges[1:]) / 2
    return np.concatenate([[2 * edges[0] - inner[0]], inner, [2 * edges[-1] - inner[-1]]])


def _psi(reference: Counts, current: Counts) -> float:
    there = reference + current > 0
    r, c = reference[there] + 0.5, current[there] + 0.5
    p, q = r / r.sum(), c / c.sum()
    return float(np.sum((q - p) * np.log(q / p)))


def _distances(edges: npt.NDArray[np.float64], reference: Counts, current: Counts) -> dict[str, Any]:
    at = _representatives(edges)
    there = reference + current > 0
    table = np.array([reference[there], current[there]])
    chi = stats.chi2_contingency(table, correction=False)
    g = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
    deviation = np.sqrt(np.average((at - np.average(at, weights=reference)) ** 2, weights=reference))
    return {
        "edges": edges.tolist(),
        "reference": reference.tolist(),
        "current": current.tolist(),
        "psi": _psi(reference, current),
        "jensen_shannon": float(jensenshannon(reference, current, base=2)),
        "ks": float(
            np.max(np.abs(np.cumsum(reference) / reference.sum() - np.cumsum(current) / current.sum()))
        ),
        "wasserstein": float(stats.wasserstein_distance(at, at, reference, current) / deviation),
        "chi_square": float(chi.statistic),
        "chi_square_p": float(chi.pvalue),
        "df": int(chi.dof),
        "g": float(g.statistic),
        "evidence": _evidence(stats.chi2.logsf(g.statistic, g.dof)),
    }


def _delong(goods: npt.NDArray[np.float64], bads: npt.NDArray[np.float64]) -> float:
    beats = (bads[:, None] > goods[None, :]) + 0.5 * (bads[:, None] == goods[None, :])
    of_bads, of_goods = beats.mean(axis=1), beats.mean(axis=0)
    return float(np.sqrt(of_bads.var(ddof=1) / len(bads) + of_goods.var(ddof=1) / len(goods)))


def _ranking(goods: Counts, bads: Counts) -> dict[str, Any]:
    bins = np.arange(len(goods), dtype=float)
    good, bad = np.repeat(bins, goods), np.repeat(bins, bads)
    y = np.concatenate([np.zeros(len(good)), np.ones(len(bad))])
    return {
        "goods": goods.tolist(),
        "bads": bads.tolist(),
        "auc": float(roc_auc_score(y, np.concatenate([good, bad]))),
        "standard_error": _delong(good, bad),
        "ks": float(stats.ks_2samp(good, bad).statistic),
    }


def _loans(rng: np.random.Generator, n: int) -> dict[str, Any]:
    probability = rng.beta(1, 5, n)
    defaulted = (rng.random(n) < probability**0.9).astype(int)
    bands = np.minimum((probability * 10).astype(int), 9)
    loans = np.bincount(bands, minlength=10)
    bad = np.bincount(bands, defaulted, minlength=10).astype(int)
    expected = np.bincount(bands, probability, minlength=10)
    rates = np.abs(bad / np.maximum(loans, 1) - expected / np.maximum(loans, 1))
    return {
        "probabilities": probability.tolist(),
        "defaulted": defaulted.tolist(),
        "bands": bands.tolist(),
        "brier": float(brier_score_loss(defaulted, probability)),
        "log_loss": float(log_loss(defaulted, probability)),
        "ece": float(np.average(rates, weights=loans)),
    }


def _jeffreys(k: int, n: int) -> dict[str, Any]:
    low, high = stats.beta.ppf([0.025, 0.975], k + 0.5, n - k + 0.5)
    return {"k": k, "n": n, "lower": 0.0 if k == 0 else float(low), "upper": 1.0 if k == n else float(high)}


def _ratio(a: int, n: int, b: int, m: int) -> dict[str, Any]:
    half = 0.5 if 0 in (a, n - a, b, m - b) else 0.0
    x, nn, y, mm = a + half, n + 2 * half, b + half, m + 2 * half
    ratio = (x / nn) / (y / mm)
    reach = stats.norm.ppf(0.975) * np.sqrt(1 / x - 1 / nn + 1 / y - 1 / mm)
    low, high = ratio * np.exp(-reach), ratio * np.exp(reach)
    if half == 0:  # what SciPy has for counts none of which is 0
        risk = stats.contingency.relative_risk(a, n, b, m)
        low, high = risk.confidence_interval(0.95)
        ratio = risk.relative_risk
    return {
        "a": a, "n": n, "b": b, "m": m,
        "ratio": float(ratio), "lower": float(low), "upper": float(high),
    }  # fmt: skip


def _deviation(trials: list[tuple[int, float]], succeeded: int) -> dict[str, Any]:
    """Two-sided evidence of a number of successes: every distribution is added up, term by term."""
    exact = np.ones(1)
    for n, p in trials:
        exact = np.convolve(exact, stats.binom.pmf(np.arange(n + 1), n, p))
    above = succeeded > sum(n * p for n, p in trials)
    tail = exact[succeeded:].sum() if above else exact[: succeeded + 1].sum()
    return {
        "trials": [{"n": n, "p": p} for n, p in trials],
        "succeeded": succeeded,
        "evidence": _evidence(min(0.0, float(np.log(2 * tail)))),
    }


def _pairs(rng: np.random.Generator) -> list[dict[str, Any]]:
    out = []
    for bins, n, m, shift in (
        (20, 24000, 500, 0.0),
        (20, 24000, 500, 0.4),
        (12, 24000, 10000, 0.1),
        (2, 5000, 700, 0.2),
    ):
        edges = np.sort(rng.choice(np.arange(-50, 400), bins - 1, replace=False)).astype(float)
        weights = rng.dirichlet(np.ones(bins))
        moved = weights * np.exp(shift * np.linspace(-1, 1, bins))
        out.append(_distances(edges, rng.multinomial(n, weights), rng.multinomial(m, moved / moved.sum())))
    edges = np.arange(-1.0, 10.0)  # as repayment status: bins that are empty in one, and in both
    reference = np.array([2227, 4546, 11765, 2979, 2127, 265, 60, 22, 11, 7, 16, 0])
    out.append(_distances(edges, reference, np.array([10, 0, 300, 80, 90, 20, 0, 0, 0, 0, 0, 0])))
    out.append(_distances(edges, reference, np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 400])))
    return out


def write(folder: Path, seed: int) -> Path:
    """Write the counts and the figures into one file."""
    rng = np.random.default_rng(seed)
    rising = np.arange(1.0, 13.0)
    goods, bads = (rng.multinomial(n, rng.dirichlet(w)) for n, w in ((400, rising[::-1]), (90, rising)))
    document = {
        "distances": _pairs(rng),
        "tails": [
            {"x": float(x), "df": df, "evidence": _evidence(stats.chi2.logsf(x, df))}
            for x, df in ((0.5, 3), (30, 19), (76, 19), (250, 11), (900, 19), (1200, 2))
        ],
        "normal_tails": [
            {"z": z, "evidence": _evidence(stats.norm.logsf(z))} for z in (-2.0, 0.0, 1.645, 4.26, 12.0, 30.0)
        ],
        "rankings": [
            _ranking(goods, bads),
            _ranking(np.array([30, 0, 20, 5]), np.array([0, 4, 9, 12])),
        ],
        "loans": _loans(rng, 400),
        "deviations": [
            _deviation([(500, 0.002)], 5),
            _deviation([(500, 0.01)], 16),
            _deviation([(500, 0.01)], 0),
            _deviation([(300, 0.05), (150, 0.2), (50, 0.6)], 120),
            _deviation([(300, 0.05), (150, 0.2), (50, 0.6)], 41),
            _deviation([(4000, 0.001), (2500, 0.004), (1500, 0.03)], 130),
            _deviation([(4000, 0.1), (4000, 0.3)], 1900),
            _deviation([(60, 0.5), (40, 0.9)], 100),
            _deviation([(60, 0.5), (40, 0.9)], 99),
        ],
        "jeffreys": [_jeffreys(k, n) for k, n in ((0, 20), (20, 20), (3, 50), (120, 1000), (1, 100000))],
        "ratios": [
            _ratio(*r)
            for r in (
                (80, 100, 300, 310), (5, 40, 900, 1000), (400, 1000, 800, 1000),
                (1, 1, 300, 400), (90, 90, 80, 80), (0, 50, 30, 60), (40, 60, 70, 70),
            )
        ],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "figures.json"
    path.write_bytes(to_json(document) + b"\n")
    return path
