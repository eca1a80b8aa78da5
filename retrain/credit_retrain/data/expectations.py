"""What training rows are expected to look like as a whole: a Great Expectations suite."""

from __future__ import annotations

import logging
import os
import warnings
from dataclasses import asdict, dataclass
from typing import Any

from credit_retrain.data.dataset import Dataset
from credit_retrain.uci import published
from credit_retrain.uci.contract import FEATURES, LABEL, NAMES, kind
from credit_retrain.uci.oddities import UNDOCUMENTED


@dataclass(frozen=True)
class Expectation:
    """One expectation and what was observed.

    Attributes
    ----------
    gating : bool
        Whether validation fails with it; otherwise it is told only.
    """

    type: str
    column: str | None
    expected: str
    observed: str
    met: bool
    gating: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)


def check(train: Dataset, used: str, min_rows: int) -> list[Expectation]:
    """Run the suite over training rows, in memory: no project folder, no telemetry.

    Parameters
    ----------
    train : Dataset
    used : str
        Of `sources.CHOICES`. The size of the UCI data, their balance and quantiles are known,
        and nothing of them is missing. A population that is exported may have moved, which is
        what a model is trained again for: then bands are told, and do not gate.
    min_rows : int
        Fewer training rows than this are too few.
    """
    # Read when the library is imported.
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    import great_expectations as gx
    from great_expectations import expectations as gxe

    uci = used == "uci"
    max_rows = published.MAX_TRAINING_ROWS if uci else None
    low, high = published.DEFAULT_RATE
    band = "critical" if uci else "warning"
    suite = gx.ExpectationSuite(
        name="training rows",
        expectations=[
            gxe.ExpectTableRowCountToBeBetween(min_value=min_rows, max_value=max_rows),
            gxe.ExpectTableColumnsToMatchSet(column_set=[*NAMES, LABEL], exact_match=True),
            *(
                gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=1 if uci else 0.9, severity=band)
                for name in NAMES
            ),
            gxe.ExpectColumnValuesToNotBeNull(column=LABEL),
            *(
                gxe.ExpectColumnValuesToBeInSet(
                    column=f.name, value_set=list(range(f.minimum, f.maximum + 1))
                )
                if kind(f.name) in {"code", "status"}
                else gxe.ExpectColumnValuesToBeBetween(
                    column=f.name, min_value=f.minimum, max_value=f.maximum
                )
                for f in FEATURES
            ),
            gxe.ExpectColumnValuesToBeInSet(column=LABEL, value_set=[0, 1]),
            gxe.ExpectColumnMeanToBeBetween(column=LABEL, min_value=0.01, max_value=0.5),
            gxe.ExpectColumnMeanToBeBetween(column=LABEL, min_value=low, max_value=high, severity=band),
            gxe.ExpectCompoundColumnsToBeUnique(
                column_list=[*NAMES, LABEL], mostly=0.995 if uci else 0.95, severity=band
            ),
            *(
                gxe.ExpectColumnValuesToNotBeInSet(
                    column=name, value_set=list(codes), mostly=0.98, severity=band
                )
                for name, codes in UNDOCUMENTED.items()
            ),
            *(
                gxe.ExpectColumnQuantileValuesToBeBetween(
                    column=name,
                    quantile_ranges={
                        "quantiles": list(ranges),
                        "value_ranges": [list(r) for r in ranges.values()],
                    },
                    severity=band,
                )
                for name, ranges in published.BANDS.items()
            ),
        ],
    )
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    batch = (
        context.data_sources.add_pandas("data")
        .add_dataframe_asset("train")
        .add_batch_definition_whole_dataframe("all")
    )
    frame = train.frame()
    # Plain integers where nothing is missing: some metrics do not know the nullable ones.
    frame = frame.astype({name: "int64" if frame[name].notna().all() else "float64" for name in NAMES})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Not by a validation definition: that stores results as JSON, which fails at NumPy's booleans.
        result = batch.get_batch({"dataframe": frame}).validate(suite)
    return [_expectation(r.to_json_dict()) for r in result.results]


def _expectation(result: dict[str, Any]) -> Expectation:
    configuration = result["expectation_config"]
    arguments = {
        k: v for k, v in configuration["kwargs"].items() if k not in {"batch_id", "column"} and v is not None
    }
    return Expectation(
        type=configuration["type"],
        column=configuration["kwargs"].get("column"),
        expected=", ".join(f"{k} {_short(v)}" for k, v in arguments.items()),
        observed=_observed(result),
        met=bool(result["success"]),
        gating=configuration["severity"] == "critical",
    )


def _observed(result: dict[str, Any]) -> str:
    raised = [e["exception_message"] for e in result["exception_info"].values() if isinstance(e, dict)]
    if raised:
        return "; ".join(raised)
    found = result["result"]
    if "observed_value" in found:
        value = found["observed_value"]
        return _short(value["values"] if isinstance(value, dict) and "values" in value else value)
    rows = f"{found['unexpected_count']} of {found['element_count']} rows do not"
    some = (
        found.get("partial_unexpected_list") if "column" in result["expectation_config"]["kwargs"] else None
    )
    return f"{rows}, such as {_short(some[:3])}" if some else rows


def _short(value: object) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.6g}"
    text = str(value)
    return text if len(text) <= 160 else text[:157] + "..."
