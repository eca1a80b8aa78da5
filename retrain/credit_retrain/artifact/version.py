"""What a model version may be."""

from __future__ import annotations

import re

VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""Versions name folders and files, and are a key on the models topic."""
