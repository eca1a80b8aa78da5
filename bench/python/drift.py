"""What Evidently says of windows of the dataset: its preset, and each column by itself."""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path
from typing import Any

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset

LABEL = "default.payment.next.month"


def drifted(value: float, method: str, threshold: float) -> bool:
    """Say whether a column has drifted: a p-value is compared from below, a distance from above."""
    return value < threshold if "p_value" in method else value >= threshold


def verdict(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, Any]:
    """Run the preset with its defaults."""
    result = Report([DataDriftPreset()]).run(current, reference).dict()
    out: dict[str, Any] = {"preset": False, "columns": []}
    for metric in result["metrics"]:
        config = metric["config"]
        if "drift_share" in config:
            out["preset"] = metric["value"]["share"] >= config["drift_share"]
        elif drifted(metric["value"], config["method"], config["threshold"]):
            out["columns"].append(config["column"].lower())
    return out


REFERENCE_ROWS = 24_000


def count(rows: pd.DataFrame, n: int) -> dict[str, Any]:
    """Compare n rows, the dataset's again and again, with a reference; reading them is not timed."""
    current = rows.iloc[[i % len(rows) for i in range(n)]].reset_index(drop=True)
    began, used = time.perf_counter(), time.process_time()
    verdict(rows.head(REFERENCE_ROWS), current)
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return {
        "what": "Evidently, from a data frame",
        "rows": n,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_mib": peak,
    }


def main() -> None:
    """Read a plan and write the verdicts, or count."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--plan")
    parser.add_argument("--out")
    parser.add_argument("--count", type=int)
    arguments = parser.parse_args()
    rows = pd.read_csv(arguments.data).drop(columns=["ID", LABEL], errors="ignore").astype(float)
    if arguments.count:
        print(json.dumps(count(rows, arguments.count)))
        return
    verdicts = []
    for stretch in json.loads(Path(arguments.plan).read_text()):
        reference = rows.iloc[stretch["reference"]].reset_index(drop=True)
        verdicts.append(
            [verdict(reference, rows.iloc[window].reset_index(drop=True)) for window in stretch["windows"]]
        )
    Path(arguments.out).write_text(json.dumps(verdicts))


if __name__ == "__main__":
    main()
