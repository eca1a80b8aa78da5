"""The daily drift check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from credit_retrain.base.defaults import DRIFT_SHARE
from credit_retrain.base.places import SHIPPED

NOT_JUDGED = 3
"""Exit code where too few rows say anything; 1 is a problem, 2 a wrong flag."""


def drift(
    reference: Annotated[
        str, typer.Option(metavar="FILE", help="CSV in the contract's columns, as train.csv.")
    ],
    current: Annotated[
        str, typer.Option(metavar="FILE", help="CSV that `creditstream drift current` writes.")
    ],
    out: Annotated[
        str, typer.Option(metavar="FOLDER", help="Folder for drift_report.html and drift_status.json.")
    ],
    bundle: Annotated[
        str, typer.Option(metavar="FILE", help="Bundle that scores a reference without scores.")
    ] = str(SHIPPED),
    drift_share: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Share of drifted columns from which all counts as drifted."),
    ] = DRIFT_SHARE,
) -> int:
    """Compare the last inputs with the training data (Evidently): reports and drift_status.json."""
    from credit_retrain.drift import daily

    before, now = daily.read(Path(reference)), daily.read(Path(current))
    if not before.scored:
        before = daily.score(before, Path(bundle).read_bytes())
    status, pages = daily.check(before, now, drift_share)
    daily.write(Path(out), status, pages)
    data, concept = status["data_drift"], status["concept_drift"]
    told = "not judged: too few outcomes are known"
    if concept is not None:
        told = "yes" if concept["drifted"] else "no"
    if not data["judged"]:
        print(
            f"{out}: data drift not judged: {len(now)} rows against {len(before)}, "
            f"fewer than {data['fewest_rows']} say nothing; concept drift {told}"
        )
        return NOT_JUDGED
    missing = ""
    if data["missing_columns"]:
        missing = f", missing values: {', '.join(data['missing_columns'])}"
    print(
        f"{out}: data drift {'yes' if data['drifted'] else 'no'} "
        f"({data['drifted_columns']} of {len(data['columns'])} columns{missing}), concept drift {told}"
    )
    return 0
