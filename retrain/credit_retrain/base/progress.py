"""Progress of the commands, told on the standard error."""

from __future__ import annotations

import sys


def report(line: str) -> None:
    """Tell of progress, on the standard error."""
    print(line, file=sys.stderr, flush=True)
