"""Where things are: the checkout that the package runs in, or the folder that it is run in."""

from __future__ import annotations

from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[3]

ROOT = _CHECKOUT if (_CHECKOUT / "retrain" / "pyproject.toml").is_file() else Path.cwd()
"""The repository. Installed elsewhere, the package reads and writes below the current folder."""

DATA = ROOT / "data"
RAW = DATA / "raw" / "UCI_Credit_Card.csv"
PROCESSED = DATA / "processed"
REPORTS = DATA / "reports"
DIST = ROOT / "dist"
BINARY = ROOT / "bin" / "creditstream"
SHIPPED = ROOT / "model" / "shipped" / "credit-default.bundle"
"""The bundle inside the binary."""
