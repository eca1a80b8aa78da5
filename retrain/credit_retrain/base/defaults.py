"""What flags default to and their help says; nothing is imported for it."""

from __future__ import annotations

from typing import Literal

Source = Literal["uci", "export", "both"]
"""Which rows are trained on: the UCI data, an export of decisions, or both."""

MIN_LABELLED = 2000
"""With fewer known outcomes in an export, the UCI data alone are used."""

SHORT, LONG = 12, 80
"""Candidates of an ordinary training and of a long search."""

SEED = 42
SHIPPED_VERSION, SHIPPED_AT = "2026-11-23.1", "2026-11-23T00:00:00Z"
"""Of the bundle inside the binary."""

DRIFT_SHARE = 0.5
"""Share of drifted columns from which the whole table counts as drifted: Evidently's default."""

MODEL, CHAMPION, CHALLENGER = "credit_default", "champion", "challenger"
"""The registered model in MLflow and its aliases."""
CHAMPION_URI = f"models:/{MODEL}@{CHAMPION}"
