"""What is known of the published UCI data: their name, digest, size and quantiles."""

from __future__ import annotations

NAME = "UCI default of credit card clients (CC BY 4.0)"
WHERE = "Taiwan, April to September 2005"
ADDRESS = "https://archive.ics.uci.edu/static/public/350/default+of+credit+card+clients.zip"
DIGEST = "sha256:30e50432dd362df1721ebeac506ef5ed542da48e324d45fc0770aa134e9cdc71"
"""Of all rows, whatever their order: `data.dataset.Dataset.digest`."""

MIN_TRAINING_ROWS, MAX_TRAINING_ROWS = 23_500, 24_500
"""Training rows that are left when a fifth of 30,000 is held out."""

DEFAULT_RATE = (0.21, 0.235)

BANDS: dict[str, dict[float, tuple[float, float]]] = {
    "limit_bal": {0.05: (10_000, 30_000), 0.5: (120_000, 160_000), 0.95: (400_000, 460_000)},
    "age": {0.05: (21, 25), 0.5: (32, 36), 0.95: (51, 55)},
    "bill_amt1": {0.25: (2_500, 4_700), 0.5: (19_000, 26_000), 0.95: (180_000, 222_000)},
    "bill_amt6": {0.25: (600, 2_000), 0.5: (14_000, 20_000), 0.95: (145_000, 178_000)},
    "pay_amt1": {0.25: (500, 1_500), 0.5: (1_800, 2_400), 0.95: (16_000, 20_500)},
    "pay_amt6": {0.25: (0, 400), 0.5: (1_200, 1_800), 0.95: (15_000, 19_500)},
}
"""Where quantiles of the training rows lie; a fifth more or less rows move none of them so far."""
