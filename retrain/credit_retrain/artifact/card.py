"""The model card."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from credit_retrain.evaluate import aims
from credit_retrain.evaluate.decisions import DECLINE_FROM
from credit_retrain.evaluate.fairness import APPROVE_BELOW
from credit_retrain.evaluate.gates import Gate
from credit_retrain.uci import published
from credit_retrain.uci.features import ENGINEERED, MEANINGS

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
    if evaluation is None:
        sections = [_head(manifest), _holdout_short(manifest["metrics"]["test"]), _reasons(manifest)]
    else:
        test = evaluation["test"]
        sections = [
            _head(manifest),
            _standing(manifest, evaluation),
            _USE,
            _holdout(test),
            _repeated(evaluation["repeated"]),
            _aims(evaluation),
            _comparison(test, evaluation["comparison"]),
            _calibration(test),
            _lift(test["lift"]),
            _decisions(test["decisions"]),
            _fairness(test["fairness"]),
            _reasons(manifest),
            _inputs(manifest),
        ]
        sections.append(
            _gates(evaluation["gates"], manifest["forced"]) if "gates" in evaluation else _GATES_ELSEWHERE
        )
    if plots:
        sections.append(
            "## Pictures\n\n" + "\n\n".join(f"![{title}]({name})" for name, title in plots.items()) + "\n"
        )
    return "\n".join([*sections, _LIMITS if evaluation is None else _LIMITS + _LATER])


def _table(titles: tuple[str, ...], rows: Iterable[Iterable[object]]) -> str:
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _head(manifest: dict[str, Any]) -> str:
    training = manifest["training"]
    parameters = ", ".join(f"{k} {v}" for k, v in sorted(training["parameters"].items()))
    where = f", {published.WHERE}" if training["dataset"] == published.NAME else ""
    return f"""# Credit default model {manifest["version"]}

Probability that a credit card holder defaults on next month's payment.

- Algorithm: gradient boosted trees ({parameters}), seed {training["seed"]}.
- Data: {training["dataset"]}{where}; {training["train_rows"]} rows to train,
  {training["test_rows"]} held out by a hash of their content.
- Inputs: {", ".join(manifest["used_inputs"])}. Sex, marriage and age are not inputs.
- Missing inputs are replaced by the training rows' median.
"""


def _standing(manifest: dict[str, Any], evaluation: dict[str, Any]) -> str:
    """Say how it was made and what it came to, where that is known."""
    lines = [f"- Made {manifest['created_at']}."]
    searched = evaluation["search"]
    lines.append(
        f"- Parameters: of {len(searched['candidates'])} drawn at random, the smallest model within one "
        "standard error of the best, by five-fold cross-validation of the training rows (best AUC "
        f"{searched['best_auc']:.4f})."
    )
    if "gates" in evaluation:
        gates = [Gate(**gate) for gate in evaluation["gates"]]
        failed = [gate.name for gate in gates if not gate.passed]
        told = f"{len(gates) - len(failed)} of {len(gates)} passed"
        if failed:
            told += f"; failed: {', '.join(failed)}"
        unsure = [gate.name for gate in gates if gate.unsure]
        if unsure:
            told += f"; beyond its limit, though not surely: {', '.join(unsure)}"
        lines.append(f"- Gates: {told}.")
        champion = evaluation.get("champion") or {}
        if "version" in champion:
            lines.append(f"- Held against champion {champion['version']} ({champion['digest']}).")
    missed = [aim.name for aim in aims.hold(evaluation["repeated"], evaluation["test"]) if not aim.met]
    if missed:
        lines.append(f"- Aims missed: {'; '.join(missed)}.")
    return "## In short\n\n" + "\n".join(lines) + "\n"


_USE = """## What it is for

To rank and price the risk of card holders like those it was trained on, and to decide under a policy
that people are answerable for: approve, refer to a person, decline, with the reasons given. It is not
for other products or countries without a validation there, and a referred application is a person's
to decide.
"""


def _decisions(decisions: list[dict[str, Any]]) -> str:
    rows = [
        (
            row["decision"],
            row["rows"],
            f"{100 * row['share']:.1f} %",
            "" if row["default_rate"] is None else f"{row['default_rate']:.4f} ({_span(row['interval'])})",
            f"{100 * row['defaults']:.1f} %",
        )
        for row in decisions
    ]
    return (
        "## What the default policy decides\n\nOn the hold-out: approved below a probability of "
        f"{APPROVE_BELOW:.2f}, declined from {DECLINE_FROM:.2f}, referred between and where too many inputs "
        "are missing.\n\n"
        + _table(("decision", "rows", "share", "default rate (95 %)", "of all defaults"), rows)
    )


def _inputs(manifest: dict[str, Any]) -> str:
    rows = [(i["name"], MEANINGS[i["name"]]) for i in manifest["tree_inputs"] if i["name"] in ENGINEERED]
    return "## Engineered inputs\n\n" + _table(("input", "is"), rows)


def _holdout_short(test: dict[str, Any]) -> str:
    low, high = test["auc_interval"]
    return f"""## On the hold-out

| figure | value |
|---|---|
| rows | {test["rows"]} |
| default rate | {test["default_rate"]:.4f} |
| ROC AUC | {test["auc"]:.4f} (95 % bootstrap interval {low:.4f} to {high:.4f}) |
| Gini | {test["gini"]:.4f} |
| KS | {test["ks"]:.4f} |
| Brier score | {test["brier"]:.4f} |
| log loss | {test["log_loss"]:.4f} |
| expected calibration error, 15 bins of equal size | {test["ece"]:.4f} |
"""


def _holdout(test: dict[str, Any]) -> str:
    rows = [
        (FIGURES[name], f"{found['value']:.4f}", _span(found["interval"]))
        for name, found in test["figures"].items()
    ]
    return (
        f"## On the hold-out\n\n{test['rows']} rows, of which {100 * test['default_rate']:.2f} % defaulted; "
        f"the mean prediction is {100 * test['mean_probability']:.2f} %. The hold-out chose nothing.\n\n"
        + _table(("figure", "value", "95 % bootstrap interval"), rows)
        + f"\nA model that is right would show a calibration error of {test['ece_by_chance']['mean']:.4f} on "
        "as many rows, by chance alone; resampling adds chance of its own, so that figure's interval lies "
        "too high.\n"
    )


def _repeated(repeated: dict[str, Any]) -> str:
    return (
        f"## Over {repeated['splits']} stratified splits of the training rows\n\n"
        f"Mean AUC {repeated['mean_auc']:.4f} ({_span(repeated['auc_interval'])}, wide enough for splits "
        f"that share rows). Calibration error over the {repeated['pooled_rows']} rows that a split tested: "
        f"{repeated['pooled_ece']:.4f}, of which {repeated['pooled_ece_by_chance']:.4f} are chance.\n"
    )


def _aims(evaluation: dict[str, Any]) -> str:
    rows = [
        (aim.name, aim.aim, aim.figure, aim.verdict())
        for aim in aims.hold(evaluation["repeated"], evaluation["test"])
    ]
    return "## Aims\n\nWhat was set out to be reached; no gate.\n\n" + _table(
        ("figure", "aim", "this model", "verdict"), rows
    )


def _comparison(test: dict[str, Any], others: dict[str, dict[str, Any]]) -> str:
    names = ["auc", "ks", "pr_auc", "brier", "ece"]
    rows: list[tuple[object, ...]] = [
        ("this model", *(f"{test['figures'][name]['value']:.4f}" for name in names), "")
    ]
    for model, found in others.items():
        difference = found["auc_difference"]
        rows.append(
            (
                model,
                *(f"{found[name]:.4f}" for name in names),
                f"{difference['value']:+.4f} ({_span(difference['interval'], '+.4f')})",
            )
        )
    return (
        "## Beside other models\n\nFitted on the same rows, on the same hold-out. The last column is how far "
        "this model's AUC is above, with DeLong's 95 % interval.\n\n"
        + _table(("model", "ROC AUC", "KS", "PR AUC", "Brier", "ECE", "AUC above"), rows)
    )


def _calibration(test: dict[str, Any]) -> str:
    rows = [
        (row["rows"], f"{row['predicted']:.4f}", f"{row['observed']:.4f}", _span(row["interval"]))
        for row in test["calibration"]
    ]
    return "## Calibration\n\n" + _table(("rows", "predicted", "observed", "95 % interval"), rows)


def _lift(lift: list[dict[str, Any]]) -> str:
    rows = [
        (
            row["part"],
            row["rows"],
            f"{row['lowest_probability']:.4f}",
            f"{row['default_rate']:.4f}",
            f"{row['lift']:.2f}",
            f"{100 * row['caught']:.1f} %",
        )
        for row in lift
    ]
    return "## Lift\n\nTenths of the hold-out, the riskiest first.\n\n" + _table(
        ("tenth", "rows", "probability from", "default rate", "lift", "defaults so far"), rows
    )


def _fairness(fairness: dict[str, Any]) -> str:
    out = (
        "## Between groups\n\nUnder the default policy (approved below a probability of 0.20). The approval "
        "ratio is the group's approval rate over that of the group approved most often (the four-fifths rule "
        "asks for 0.8); the opportunity difference is how much less often its applicants who paid are "
        "approved. Intervals are the bootstrap's, 95 %. Groups of fewer than 100 rows are not compared.\n"
    )
    for attribute, found in fairness.items():
        rows = [
            (
                group["group"],
                group["rows"],
                _number(group["default_rate"]),
                _number(group["approval_rate"]),
                _with_span(group.get("approval_ratio")),
                _with_span(group.get("opportunity_difference")),
            )
            for group in found["groups"]
        ]
        out += "\n" + _table(
            (attribute, "rows", "default rate", "approved", "approval ratio", "opportunity difference"), rows
        )
    return out


def _reasons(manifest: dict[str, Any]) -> str:
    groups = "\n".join(
        f"| {g['code']} | {g['text']} | "
        + ", ".join(i["name"] for i in manifest["tree_inputs"] if i["group"] == g["code"])
        + " |"
        for g in manifest["groups"]
    )
    return f"""## Reasons

Contributions are exact path-dependent TreeSHAP values of the log-odds, summed by group.

| code | text | inputs of the trees |
|---|---|---|
{groups}
"""


_GATES_ELSEWHERE = """## Gates

The gates judge the bundle that this card is in, so their verdicts are not on it. They stand in the
bundle's `manifest.json`: `metrics.gates` (each with its figure and limit), `metrics.champion` (what it
was held against) and `forced` (which failed gates were overruled, and why; null where none was).
`creditstream model inspect FILE` shows them.
"""


def _gates(gates: list[dict[str, Any]], forced: dict[str, Any] | None) -> str:
    rows = [(gate["name"], Gate(**gate).verdict(), gate["told"]) for gate in gates]
    out = "## Gates\n\n" + _table(("gate", "verdict", "figure and limit"), rows)
    if forced:
        out += f"\nOverruled for {', '.join(forced['gates'])}: {forced['why']}\n"
    return out


def _span(interval: list[float], form: str = ".4f") -> str:
    return f"{interval[0]:{form}} to {interval[1]:{form}}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _with_span(found: dict[str, Any] | None) -> str:
    return "" if found is None else f"{found['value']:.3f} ({_span(found['interval'], '.3f')})"


_LIMITS = """## Limits

One lender, one country, one year: the figures say nothing of other populations or times. The data
show which cards were granted, not who was refused. Education is an input; whether it may be is a
question of the law that applies.
"""

_LATER = """
The hold-out is of the same months as the training rows: it shows what the model is worth on other
people, not on later ones. How it ages is watched on the stream (drift of inputs and scores, AUC and
calibration where outcomes are known), and a new champion is compared before it decides.
"""
