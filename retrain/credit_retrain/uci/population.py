"""A synthetic population's parameters: marginals and dependence of the training rows, and a default rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata
from sklearn.linear_model import LogisticRegression

from credit_retrain.data.dataset import Dataset
from credit_retrain.uci.contract import FEATURES, NAMES, kind

QUANTILES = 129
ABOUT = (
    "Estimated from the training rows of the UCI default of credit card clients data (CC BY 4.0) by "
    "`credit_retrain population`. Draw z = cholesky x standard normals; u = Phi(z); a feature with "
    "`values` takes the first value whose `cumulative` is at least u, one with `quantiles` the value "
    "interpolated at u between equally spaced quantiles, rounded. log-odds of default = rule.intercept "
    "+ sum of coefficient x transform; transforms: delay_k = max(pay_k, 0), utilisation = "
    "clip(bill_amt1 / limit_bal, 0, 1.5), log_limit = ln(limit_bal / 100000), paid_share = "
    "clip(pay_amt1 / max(bill_amt2, 1), 0, 1)."
)

ABOUT_DRAWN = "the synthetic population"

Doubles = npt.NDArray[np.float64]


def transforms(features: Doubles) -> dict[str, Doubles]:
    """Compute the terms of the default rule."""
    column = {name: features[:, i] for i, name in enumerate(NAMES)}
    return {
        "delay_0": np.maximum(column["pay_0"], 0),
        "delay_2": np.maximum(column["pay_2"], 0),
        "delay_3": np.maximum(column["pay_3"], 0),
        "utilisation": np.clip(column["bill_amt1"] / column["limit_bal"], 0, 1.5),
        "log_limit": np.log(column["limit_bal"] / 100_000),
        "paid_share": np.clip(column["pay_amt1"] / np.maximum(column["bill_amt2"], 1), 0, 1),
    }


def estimate(train: Dataset, seed: int) -> dict[str, Any]:
    """Estimate the parameters.

    Discrete features are spread over their ties at random before the normal scores are
    taken, so that the copula's correlation is not pulled towards nought by ties in order.
    """
    rng = np.random.default_rng(seed)
    marginals = []
    scores = []
    n = len(train)
    for i, feature in enumerate(FEATURES):
        values = train.features[:, i]
        if kind(feature.name) in {"code", "status"}:
            distinct, counts = np.unique(values, return_counts=True)
            marginals.append(
                {
                    "name": feature.name,
                    "values": distinct.astype(int).tolist(),
                    "cumulative": np.round(np.cumsum(counts) / n, 6).tolist(),
                }
            )
        else:
            at = np.quantile(values, np.linspace(0, 1, QUANTILES), method="inverted_cdf")
            marginals.append({"name": feature.name, "quantiles": at.astype(int).tolist()})
        jitter = values + rng.uniform(0, 1e-3, n)
        scores.append(norm.ppf((rankdata(jitter) - 0.5) / n))
    correlation = np.corrcoef(np.stack(scores))
    eigenvalues, vectors = np.linalg.eigh(correlation)
    correlation = (vectors * np.maximum(eigenvalues, 1e-6)) @ vectors.T
    scale = np.sqrt(np.diag(correlation))
    cholesky = np.linalg.cholesky(correlation / np.outer(scale, scale))
    terms = transforms(train.features)
    rule = LogisticRegression(C=1e6, max_iter=1000).fit(
        np.column_stack(list(terms.values())), train.defaulted
    )
    return {
        "about": ABOUT,
        "rows": n,
        "default_rate": round(float(train.defaulted.mean()), 6),
        "marginals": marginals,
        "cholesky": [[round(float(v), 6) for v in row[: i + 1]] for i, row in enumerate(cholesky)],
        "rule": {
            "intercept": round(float(rule.intercept_[0]), 6),
            "coefficients": {name: round(float(c), 6) for name, c in zip(terms, rule.coef_[0], strict=True)},
        },
    }


def sample(parameters: dict[str, Any], rows: int, seed: int) -> npt.NDArray[np.int64]:
    """Draw features, shape (rows, 23), as the producer does."""
    rng = np.random.default_rng(seed)
    width = len(NAMES)
    cholesky = np.zeros((width, width))
    for i, row in enumerate(parameters["cholesky"]):
        cholesky[i, : i + 1] = row
    uniform = norm.cdf(rng.standard_normal((rows, width)) @ cholesky.T)
    out = np.empty((rows, width), np.int64)
    for i, marginal in enumerate(parameters["marginals"]):
        u = uniform[:, i]
        if "values" in marginal:
            at = np.searchsorted(marginal["cumulative"], u, side="left")
            out[:, i] = np.array(marginal["values"])[np.minimum(at, len(marginal["values"]) - 1)]
        else:
            q = marginal["quantiles"]
            out[:, i] = np.round(np.interp(u, np.linspace(0, 1, len(q)), q))
    return out


def draw(parameters: dict[str, Any], rows: int, seed: int) -> Dataset:
    """Draw applicants and, by the default rule, what becomes of their loans."""
    features = sample(parameters, rows, seed).astype(np.float64)
    rule = parameters["rule"]
    terms = transforms(features)
    log_odds = rule["intercept"] + sum(c * terms[name] for name, c in rule["coefficients"].items())
    chance = np.random.default_rng(seed + 1).random(rows)
    return Dataset(features, (chance < 1 / (1 + np.exp(-log_odds))).astype(np.int64), ABOUT_DRAWN)
