"""The creditstream binary: what the serving side makes of a bundle, and its release."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from credit_retrain.base.places import BINARY
from credit_retrain.base.problems import ProblemError
from credit_retrain.data.dataset import Dataset
from credit_retrain.evaluate.figures import Doubles
from credit_retrain.uci.contract import NAMES

VARIABLE = "CREDITSTREAM_BINARY"
ANSWERS = 60
"""Seconds in which it says its version, on a machine that has much else to do."""


class NativeError(ProblemError):
    """The binary is not there, or refuses what it was given."""


@dataclass(frozen=True)
class Binary:
    """The creditstream binary."""

    path: Path

    @classmethod
    def locate(cls, path: str | None) -> Binary:
        """Find it: the path given, else ``CREDITSTREAM_BINARY``, else bin/creditstream, else on the PATH.

        Raises
        ------
        NativeError
            When there is none, or another program is there; naming the flag or the variable.
        """
        chosen = path or os.environ.get(VARIABLE) or (str(BINARY) if BINARY.is_file() else "creditstream")
        named = f"--binary {path}" if path else f"{VARIABLE}={chosen}" if os.environ.get(VARIABLE) else chosen
        found = shutil.which(chosen)
        if found is None:
            raise NativeError(
                f"{named}: no creditstream binary there: run `make build`, or set --binary or {VARIABLE}"
            )
        try:
            asked = subprocess.run(
                [found, "version"],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=ANSWERS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NativeError(f"{named}: expected the creditstream binary: {error}") from error
        if asked.returncode != 0 or not asked.stdout.startswith("creditstream "):
            raise NativeError(f"{named}: expected the creditstream binary, this is another program")
        return cls(Path(found).resolve())

    def run(self, arguments: Sequence[str]) -> str:
        """Run a command and return its standard output.

        Raises
        ------
        NativeError
            With what the command said, when it fails.
        """
        done = subprocess.run([str(self.path), *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise NativeError(f"creditstream {' '.join(arguments[:2])}: exit code {done.returncode}: {said}")
        return done.stdout

    def score(self, bundle: Path, rows: Dataset) -> Doubles:
        """Score rows with the native engine: the probability of default, shape (n,)."""
        with tempfile.TemporaryDirectory() as folder:
            source, scored = Path(folder) / "rows.csv", Path(folder) / "scored.csv"
            features = pd.DataFrame(np.asarray(rows.features, np.float64), columns=NAMES).astype("Int64")
            features.to_csv(source, index=False)
            self.run(
                [
                    "model",
                    "score",
                    str(bundle),
                    "--engine",
                    "native",
                    "--in",
                    str(source),
                    "--out",
                    str(scored),
                ]
            )
            out = pd.read_csv(scored)["default_probability"].to_numpy(np.float64)
        if len(out) != len(rows):
            raise NativeError(f"creditstream model score answered {len(out)} rows of {len(rows)}")
        return out

    def verify(self, bundle: Path) -> dict[str, Any]:
        """Open a bundle as a replica does: digests, graph, golden rows.

        Returns
        -------
        dict
            `ok`; `reason` where it is not; `agreement` (`rows`, `probability`, `contribution`)
            where it is.
        """
        done = subprocess.run(
            [str(self.path), "model", "verify", str(bundle), "--engine", "native", "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            told = json.loads(done.stdout)
        except ValueError as error:
            raise NativeError(f"creditstream model verify: {done.stderr.strip() or error}") from error
        if not isinstance(told, dict) or "ok" not in told:
            raise NativeError(f"creditstream model verify answered {done.stdout.strip()!r}")
        return told
