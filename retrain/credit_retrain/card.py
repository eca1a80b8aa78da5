"""The model card."""

from __future__ import annotations

from typing import Any


def write(manifest: dict[str, Any]) -> str:
    """Write the card from a bundle's manifest."""
    test = manifest["metrics"]["test"]
    training = manifest["training"]
    low, high = test["auc_interval"]
    parameters = ", ".join(f"{k} {v}" for k, v in sorted(training["parameters"].items()))
    groups = "\n".join(
        f"| {g['code']} | {g['text']} | "
        + ", ".join(i["name"] for i in manifest["tree_inputs"] if i["group"] == g["code"])
        + " |"
        for g in manifest["groups"]
    )
    return f"""# Credit default model {manifest["version"]}

Probability that a credit card holder defaults on next month's payment.

- Algorithm: gradient boosted trees ({parameters}), seed {training["seed"]}.
- Data: {training["dataset"]}, Taiwan, April to September 2005; {training["train_rows"]} rows to train,
  {training["test_rows"]} held out by a hash of their content.
- Inputs: {", ".join(manifest["used_inputs"])}. Sex, marriage and age are not inputs.
- Missing inputs are replaced by the training rows' median.

## On the hold-out

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

## Reasons

Contributions are exact path-dependent TreeSHAP values of the log-odds, summed by group.

| code | text | inputs of the trees |
|---|---|---|
{groups}

## Limits

One lender, one country, one year: the figures say nothing of other populations or times. The data
show which cards were granted, not who was refused. Education is an input; whether it may be is a
question of the law that applies.
"""
