"""A candidate: searched, fitted, evaluated, judged, and written to a folder of its own."""

from __future__ import annotations

import json
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from credit_retrain.artifact import card
from credit_retrain.artifact.native import Binary
from credit_retrain.artifact.opened import Bundle
from credit_retrain.base import whole
from credit_retrain.data.dataset import Dataset, split
from credit_retrain.evaluate import aims, comparison, gates, holdout, plots, repeated
from credit_retrain.evaluate.gates import Case, Gate, Limits
from credit_retrain.model import search, train

Report = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How a candidate is trained and judged.

    Attributes
    ----------
    out : Path
        The candidate's folder is made in it, named by the version.
    n_iter, n_jobs : int
        Candidates of the search; fits at once.
    champion : bytes or None
        The bundle to be held against.
    binary : Binary or None
        Without one the gates that need it fail.
    validation : dict or None
        What `validate` says of the rows.
    first : bool
        Nothing was released before, there can be no champion.
    force : str or None
        Why a gate that fails is overruled.
    space : dict or None
        What the search draws from, `search.SPACE` where None.
    """

    version: str
    created_at: str
    seed: int
    out: Path
    n_iter: int
    n_jobs: int
    champion: bytes | None
    binary: Binary | None
    validation: dict[str, Any] | None
    force: str | None = None
    first: bool = False
    limits: Limits | None = None
    space: dict[str, Any] | None = None

    @property
    def folder(self) -> Path:
        """Where the candidate is written."""
        return self.out / self.version


@dataclass(frozen=True)
class Made:
    """A candidate and the files that tell of it.

    Attributes
    ----------
    file : Path
        The bundle; named `<version>.refused.bundle` where a gate failed and nobody overruled it.
    metrics : dict
        What metrics.json holds.
    plots : dict of Path
    """

    folder: Path
    file: Path
    released: bool
    manifest: dict[str, Any]
    metrics: dict[str, Any]
    gates: list[Gate]
    plots: dict[str, Path]


def make(data: Dataset, plan: Plan, report: Report) -> Made:
    """Train, evaluate and judge a candidate, and write everything that is known of it."""
    rows, test = split(data)
    report(f"{len(rows)} training rows, {len(test)} held out by content hash")
    report(f"searching: {plan.n_iter} candidates, {search.FOLDS} folds each, on the training rows")
    searched = search.search(rows, plan.seed, plan.n_iter, plan.n_jobs, report, plan.space)
    chosen, candidates = searched.chosen, searched.candidates
    best = max(candidates, key=lambda c: c.auc)
    report(
        f"  taken: AUC {chosen.auc:.4f}, the smallest within one standard error of the best, {best.auc:.4f}"
    )
    report(f"repeating on {len(repeated.SEEDS)} stratified splits of the training rows")
    again = repeated.repeat(rows, chosen.parameters, plan.seed, plan.n_jobs)
    low, high = again.auc_interval
    report(
        f"  mean AUC {again.mean_auc:.4f} ({low:.4f} to {high:.4f}), "
        f"calibration error {again.pooled_ece:.4f}, {again.pooled_ece_by_chance:.4f} of it by chance"
    )
    fitted = train.fit(rows, test, chosen.parameters, plan.seed, report, searched.pipeline)

    report("evaluating on the hold-out, beside a scorecard and LightGBM")
    probability = fitted.pipeline.predict_proba(test.features)[:, 1]
    found = holdout.full(test, probability, plan.seed)
    beside = comparison.beside(rows, test, probability, plan.seed)
    for name in ("auc", "ks", "pr_auc", "brier", "ece"):
        value, (low, high) = found["figures"][name]["value"], found["figures"][name]["interval"]
        report(f"  {card.FIGURES[name]} {value:.4f} ({low:.4f} to {high:.4f})")
    for name, other in beside.items():
        report(f"  {name}: AUC {other['auc']:.4f}, calibration error {other['ece']:.4f}")
    metrics: dict[str, Any] = {
        "version": plan.version,
        "created_at": plan.created_at,
        "dataset_digest": data.digest(),
        "search": {
            "candidates": [
                {**asdict(c), "auc": c.auc, "standard_error": c.standard_error} for c in candidates
            ],
            "chosen": chosen.parameters,
            "best_auc": best.auc,
        },
        "repeated": again.to_dict(),
        "test": found,
        "comparison": beside,
    }
    reached = aims.hold(metrics["repeated"], found)
    metrics["aims"] = [asdict(aim) for aim in reached]
    for aim in reached:
        report(f"aim {aim.verdict()}: {aim.name}: {aim.figure}, {aim.aim}")
    manifest = train.describe(
        fitted,
        data,
        plan.version,
        plan.created_at,
        _summary(holdout.evaluate(test.defaulted, probability, plan.seed), metrics),
        {"searched": plan.n_iter},
    )

    report("packing, with golden rows explained by the shap library")
    unjudged = Bundle(train.pack(fitted, manifest, card.write(manifest, metrics)))
    champion = Bundle(plan.champion) if plan.champion is not None else None
    case = Case(unjudged, champion, rows, test, fitted.pipeline, plan.binary, plan.validation, plan.first)
    with tempfile.TemporaryDirectory() as folder:
        verdicts = gates.judge(case, Path(folder), plan.limits)
    for verdict in verdicts:
        report(verdict.line())
    stamped = gates.stamp(unjudged, verdicts, case.held_against(), plan.force)
    metrics["champion"] = case.held_against()
    metrics["gates"] = gates.record(verdicts)
    metrics["forced"] = Bundle(stamped).manifest["forced"]
    return _write(fitted, stamped, metrics, verdicts, plan)


def _summary(short: holdout.Metrics, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return what the manifest keeps of the metrics."""
    figures = metrics["test"]["figures"]
    return {
        "test": {
            **short.to_dict(),
            "pr_auc": figures["pr_auc"]["value"],
            "ece_by_chance": metrics["test"]["ece_by_chance"]["mean"],
            "intervals": {name: figure["interval"] for name, figure in figures.items()},
        },
        "repeated": {key: value for key, value in metrics["repeated"].items() if key != "auc"},
        "comparison": {
            name: {key: found[key] for key in ("auc", "auc_difference")}
            for name, found in metrics["comparison"].items()
        },
        "fairness": {
            attribute: {key: value for key, value in found.items() if key != "groups"}
            for attribute, found in metrics["test"]["fairness"].items()
        },
    }


def _write(
    fitted: train.Fitted, stamped: bytes, metrics: dict[str, Any], verdicts: list[Gate], plan: Plan
) -> Made:
    made = Bundle(stamped)
    released = gates.releasable(made) is None
    folder = plan.folder
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.bundle"):
        old.unlink()
    file = folder / f"{plan.version}{'' if released else '.refused'}.bundle"
    whole.write(file, stamped)
    (folder / "model.onnx").write_bytes(made.files["model.onnx"])
    (folder / "credit_default_model.pkl").write_bytes(pickle.dumps(fitted.pipeline))
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1, ensure_ascii=False) + "\n", "utf-8")
    pictures = plots.write(folder, fitted.pipeline, fitted.test, plan.seed)
    titles = {path.name: plots.TITLES[name] for name, path in pictures.items()}
    (folder / "model_card.md").write_text(card.write(made.manifest, metrics, titles), "utf-8")
    return Made(folder, file, released, made.manifest, metrics, verdicts, pictures)


def next_version(out: Path, date: str) -> str:
    """Return the date with the first number that no candidate has yet."""
    number = 1
    while (out / f"{date}.{number}").exists():
        number += 1
    return f"{date}.{number}"
