"""What a command reports in one line, without a trace."""

from __future__ import annotations


class ProblemError(Exception):
    """Something that whoever runs the command can mend; its text says what."""
