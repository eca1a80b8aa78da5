"""The model card, from the template card.md.j2."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from credit_retrain.evaluate import aims
from credit_retrain.evaluate.decisions import DECLINE_FROM
from credit_retrain.evaluate.fairness import APPROVE_BELOW
from credit_retrain.evaluate.gates import Gate
from credit_retrain.uci import published
from credit_retrain.uci.contract import NAMES, PROTECTED
from credit_retrain.uci.features import MEANINGS

FIGURES = {
    "auc": "ROC AUC",
    "gini": "Gini",
    "ks": "KS",
    "pr_auc": "PR AUC",
    "brier": "Brier score",
    "log_loss": "log loss",
    "ece": "expected calibration error, 15 bins of equal size",
}


def write(
    manifest: dict[str, Any], evaluation: dict[str, Any] | None = None, plots: dict[str, str] | None = None
) -> str:
    """Write the card.

    Parameters
    ----------
    manifest : dict
        The bundle's.
    evaluation : dict, optional
        What `train` writes to metrics.json: `test`, `repeated`, `comparison`; `gates` too, when
        the card is to show them. Without it the card shows what the manifest says of the hold-out.
    plots : dict of str, optional
        Pictures to show: their titles by file name.
    """
    training = manifest["training"]
    evaluated = evaluation or {}
    verdicts = evaluated.get("gates")
    return _template().render(
        manifest=manifest,
        evaluation=evaluation,
        plots=plots,
        parameters=", ".join(f"{k} {v}" for k, v in sorted(training["parameters"].items())),
        where=f", {published.WHERE}" if training["dataset"] == published.NAME else "",
        excluded=_excluded(),
        aims=aims.hold(evaluated["repeated"], evaluated["test"]) if evaluated else [],
        gates=None if verdicts is None else [Gate(**verdict) for verdict in verdicts],
        champion=evaluated.get("champion") or {},
        figures=FIGURES,
        meanings=MEANINGS,
        approve_below=APPROVE_BELOW,
        decline_from=DECLINE_FROM,
    )


def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("credit_retrain.artifact", "."),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown
    )
    environment.filters |= {
        "fixed": _fixed,
        "signed": _signed,
        "percent": _percent,
        "span": _span,
        "known": _known,
        "with_span": _with_span,
    }
    return environment.get_template("card.md.j2")


def _fixed(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}f}"


def _signed(value: float) -> str:
    return f"{value:+.4f}"


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _known(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _with_span(found: dict[str, Any] | None) -> str:
    return "" if found is None else f"{found['value']:.3f} ({_span(found['interval'], '.3f')})"


def _span(interval: list[float], form: str = ".4f") -> str:
    return f"{interval[0]:{form}} to {interval[1]:{form}}"


def _excluded() -> str:
    *some, last = (name for name in NAMES if name in PROTECTED)
    return f"{', '.join(some)} and {last}".capitalize()
