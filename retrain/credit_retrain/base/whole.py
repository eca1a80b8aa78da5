"""Files that are there as a whole or not at all."""

from __future__ import annotations

from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Replace a file as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    temporary.write_bytes(content)
    temporary.replace(path)
