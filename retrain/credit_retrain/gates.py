"""What a candidate must hold before it may be released.

Every gate states a figure and its limit. None of them looks at the training rows' fit, and all
of them judge on rows that neither model was trained on.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from scipy.stats import norm
from sklearn.pipeline import Pipeline

from credit_retrain import bundle, fairness, figures
from credit_retrain.dataset import Dataset
from credit_retrain.delong import compare
from credit_retrain.export import run
from credit_retrain.figures import Doubles
from credit_retrain.native import Binary, NativeError
from credit_retrain.pipeline import build

HOLDOUT_RULE = "lowest fifth of SHA-256 over the 23 features"
"""How the hold-out is chosen (dataset.holdout). Two models trained by the same rule have seen no
row of each other's hold-out, whatever else the data held."""


@dataclass(frozen=True)
class Limits:
    """The limits, each in the unit of its gate's figure."""

    engines: float = 1e-6
    """Largest difference of two engines' probabilities."""
    auc_margin: float = 0.005
    """How far the AUC may be below the champion's: the lower end of the one-sided 95 % interval."""
    auc_floor: float = 0.75
    """Lowest AUC of a candidate that has no yardstick."""
    ece: float = 0.01
    """Calibration error beyond what a model that is right shows on as many rows."""
    approval_ratio: float = 0.8
    """The four-fifths rule."""
    opportunity_difference: float = 0.1
    """How much less often a group's applicants who would pay may be approved."""
    holdout_psi: float = 0.1
    """Of the scores, from the training rows to the hold-out."""
    champion_psi: float = 0.25
    """Of the scores on the hold-out, from the champion's to the candidate's."""


@dataclass(frozen=True)
class Gate:
    """One gate's verdict.

    Attributes
    ----------
    figure : float or None
        What was measured, None where it could not be.
    limit : float
    told : str
        The verdict in words: what the figure is and what it is held against.
    """

    name: str
    passed: bool
    figure: float | None
    limit: float
    told: str

    def line(self) -> str:
        """Return the verdict as a line to print."""
        return f"{'pass' if self.passed else 'FAIL'}  {self.name}: {self.told}"


class Bundle:
    """A bundle's bytes, opened: its manifest and its graph.

    Raises
    ------
    ValueError
        When it is no bundle, or a file is not the one that the manifest names.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.files = bundle.unpack(content)
        self.manifest: dict[str, Any] = json.loads(self.files["manifest.json"])
        for name, said in self.manifest["files"].items():
            if hashlib.sha256(self.files[name]).hexdigest() != said["sha256"]:
                raise ValueError(f"{name} is not the file that the bundle's manifest names")

    @property
    def version(self) -> str:
        """The model version."""
        return str(self.manifest["version"])

    def score(self, rows: Dataset) -> Doubles:
        """Score rows on ONNX Runtime."""
        graph = onnx.load_from_string(self.files["model.onnx"])
        return run(graph, np.asarray(rows.features, np.float32)).astype(np.float64)


@dataclass(frozen=True)
class Case:
    """What is judged, and with what.

    Attributes
    ----------
    candidate : Bundle
    champion : Bundle or None
        None where there is none.
    train, test : Dataset
        The candidate's training rows and its hold-out.
    pipeline : Pipeline
        The candidate's, as scikit-learn has it.
    binary : Binary or None
        None where there is none: what needs it fails.
    validation : dict or None
        What `validate` says of the rows (data/reports/validation.json); None where nothing was said.
    """

    candidate: Bundle
    champion: Bundle | None
    train: Dataset
    test: Dataset
    pipeline: Pipeline
    binary: Binary | None
    validation: dict[str, Any] | None


def judge(case: Case, folder: Path, limits: Limits | None = None) -> list[Gate]:
    """Run every gate.

    Parameters
    ----------
    folder : Path
        Where the candidate's file is written for the binary to read.
    """
    limits = limits or Limits()
    probability = case.pipeline.predict_proba(case.test.features)[:, 1]
    file = folder / "candidate.bundle"
    file.write_bytes(case.candidate.content)
    champion = case.champion.score(case.test) if case.champion is not None else None
    return [
        _data(case),
        *_engines(case, probability, file, limits),
        _golden(case, file),
        _auc(case, probability, champion, limits),
        _calibration(case, probability, limits),
        *_fairness(case, probability, champion, limits),
        *_psi(case, probability, champion, limits),
    ]


def _data(case: Case) -> Gate:
    problems = []
    said, training = case.validation, case.candidate.manifest["training"]
    if said is None:
        problems.append("the rows were not validated: run `python -m credit_retrain validate`")
    elif not said["passed"]:
        failed = [check["name"] for check in said["checks"] if not check["passed"] and check["gating"]]
        problems.append(f"validation failed at {', '.join(failed)}")
    for name, rows in (("train", case.train), ("test", case.test)):
        digest = rows.digest()
        if training[f"{name}_digest"] != digest:
            problems.append(
                f"the manifest's {name}_digest is {training[f'{name}_digest']}, these rows' is {digest}"
            )
        if said is not None and said["passed"] and said["data"][name]["digest"] != digest:
            problems.append(
                f"validated were other {name} rows: {said['data'][name]['digest']}, these are {digest}"
            )
    told = "; ".join(problems) or f"valid; {len(case.train)} rows to train, {len(case.test)} held out"
    return Gate("data", not problems, float(len(problems)), 0, told)


def _engines(case: Case, probability: Doubles, file: Path, limits: Limits) -> list[Gate]:
    def gate(name: str, other: Doubles) -> Gate:
        worst = float(np.abs(other - probability).max())
        return Gate(
            name,
            worst <= limits.engines,
            worst,
            limits.engines,
            f"within {worst:.1e} of scikit-learn on {len(probability)} rows (at most {limits.engines:.0e})",
        )

    out = [gate("ONNX Runtime", case.candidate.score(case.test))]
    try:
        if case.binary is None:
            raise NativeError("no creditstream binary: run `make build`, or set CREDITSTREAM_BINARY")
        out.append(gate("native engine", case.binary.score(file, case.test)))
    except NativeError as error:
        out.append(Gate("native engine", False, None, limits.engines, str(error)))
    return out


def _golden(case: Case, file: Path) -> Gate:
    limit = 1e-6
    try:
        if case.binary is None:
            raise NativeError("no creditstream binary: run `make build`, or set CREDITSTREAM_BINARY")
        said = case.binary.verify(file)
    except NativeError as error:
        return Gate("golden rows", False, None, limit, str(error))
    if not said["ok"]:
        return Gate("golden rows", False, None, limit, str(said.get("reason")))
    worst = said["agreement"]["probability"]
    return Gate(
        "golden rows",
        True,
        worst,
        limit,
        f"{said['agreement']['rows']} rows replay within {worst:.1e} (at most {limit:.0e})",
    )


def yardstick(case: Case) -> str | None:
    """Say why the champion may not be measured on the candidate's hold-out, None where it may.

    It may when its manifest says that it held out the same rows, or chose them by the same rule.
    """
    if case.champion is None:
        return "there is no champion"
    candidate, champion = case.candidate.manifest["training"], case.champion.manifest["training"]
    if champion.get("test_digest") == candidate["test_digest"]:
        return None
    if champion.get("holdout") == candidate.get("holdout") == HOLDOUT_RULE:
        return None
    return (
        f"champion {case.champion.version} is refused as a yardstick: it held out other rows "
        f"({champion.get('test_digest')}) by a rule its manifest does not name, and may have been trained on "
        "these"
    )


def _auc(case: Case, probability: Doubles, champion: Doubles | None, limits: Limits) -> Gate:
    """Hold the AUC to the champion's by DeLong's paired test for non-inferiority.

    A champion that may have seen the rows would look better than it is. Its recipe (parameters
    and seed), fitted again on the candidate's training rows, stands in for it; without a recipe
    only the floor is left.
    """
    refused = yardstick(case)
    against = f"champion {case.champion.version}'s" if case.champion is not None else ""
    if refused is not None:
        champion = None
        recipe = case.champion.manifest["training"] if case.champion is not None else {}
        if recipe.get("parameters") and "seed" in recipe:
            again = build(recipe["parameters"], recipe["seed"]).fit(case.train.features, case.train.defaulted)
            champion = again.predict_proba(case.test.features)[:, 1]
            against = "that of its recipe, fitted again on the candidate's training rows,"
    if champion is None:
        auc = figures.auc(case.test.defaulted, probability)
        told = f"{refused}; {auc:.4f} is held to the floor of {limits.auc_floor}"
        return Gate("AUC", auc >= limits.auc_floor, auc, limits.auc_floor, told)
    c = compare(case.test.defaulted, probability, champion)
    low = c.difference - float(norm.ppf(0.95)) * c.standard_error
    told = (
        f"{c.first:.4f} against {against} {c.second:.4f}: {c.difference:+.4f}, surely above {low:+.4f} "
        f"(one-sided 95 %, at least {-limits.auc_margin:+.3f})"
    )
    return Gate(
        "AUC", low >= -limits.auc_margin, low, -limits.auc_margin, f"{refused}; {told}" if refused else told
    )


def _calibration(case: Case, probability: Doubles, limits: Limits) -> Gate:
    error = figures.ece(case.test.defaulted, probability)
    chance, _ = figures.ece_by_chance(probability, 0)
    beyond = error - chance
    told = (
        f"error {error:.4f}, of which a model that is right shows {chance:.4f} on as many rows: "
        f"{beyond:+.4f} beyond it (at most {limits.ece})"
    )
    return Gate("calibration", beyond <= limits.ece, beyond, limits.ece, told)


def _fairness(case: Case, probability: Doubles, champion: Doubles | None, limits: Limits) -> list[Gate]:
    """Hold approval rates to the limits.

    A limit is broken when the whole interval lies beyond it: small groups alone fail nobody.
    """
    assessed = fairness.assess(case.test, probability, 0)
    before = fairness.assess(case.test, champion, 0) if champion is not None else {}
    out = []
    for attribute, found in assessed.items():
        for name, key, limit, lower in (
            ("approval ratio", "lowest_approval_ratio", limits.approval_ratio, True),
            ("equal opportunity", "largest_opportunity_difference", limits.opportunity_difference, False),
        ):
            figure = found[key]
            if figure is None:
                out.append(
                    Gate(
                        f"{name} by {attribute}", True, None, limit, f"no group has {fairness.MIN_ROWS} rows"
                    )
                )
                continue
            low, high = figure["interval"]
            passed = high >= limit if lower else low <= limit
            bound = f"{'at least' if lower else 'at most'} {limit}"
            told = f"{figure['value']:.3f} ({low:.3f} to {high:.3f}, {bound})"
            was = before.get(attribute, {}).get(key)
            if was is not None:
                told += f"; the champion's {was['value']:.3f}"
            out.append(Gate(f"{name} by {attribute}", passed, figure["value"], limit, told))
    return out


def _psi(case: Case, probability: Doubles, champion: Doubles | None, limits: Limits) -> list[Gate]:
    fitted = case.pipeline.predict_proba(case.train.features)[:, 1]
    moved = figures.score_psi(fitted, probability)
    out = [
        Gate(
            "score PSI, hold-out",
            moved <= limits.holdout_psi,
            moved,
            limits.holdout_psi,
            f"{moved:.4f} from the training rows to the hold-out (at most {limits.holdout_psi})",
        )
    ]
    if champion is not None and case.champion is not None:
        moved = figures.score_psi(champion, probability)
        told = (
            f"{moved:.4f} from champion {case.champion.version} on the hold-out "
            f"(at most {limits.champion_psi})"
        )
        out.append(
            Gate("score PSI, champion", moved <= limits.champion_psi, moved, limits.champion_psi, told)
        )
    return out


def record(gates: list[Gate]) -> list[dict[str, Any]]:
    """Return the verdicts as the manifest keeps them."""
    return [
        {
            **asdict(gate),
            "figure": None if gate.figure is None else float(f"{gate.figure:.5g}"),
        }
        for gate in gates
    ]


def stamp(candidate: Bundle, gates: list[Gate], force: str | None) -> bytes:
    """Write the verdicts into a bundle; with a reason to overrule those that failed, that too.

    The version's bytes change: only before it is released.
    """
    manifest = dict(candidate.manifest)
    manifest.pop("files")
    manifest["metrics"] = {**manifest["metrics"], "gates": record(gates)}
    failed = [gate.name for gate in gates if not gate.passed]
    manifest["forced"] = {"why": force, "gates": failed} if force is not None and failed else None
    files = {name: content for name, content in candidate.files.items() if name != "manifest.json"}
    return bundle.pack(manifest, files)


def releasable(candidate: Bundle) -> str | None:
    """Say why a bundle may not be released, None where it may.

    As `creditstream model release` does: a gate is overruled by being named beside a reason.
    """
    gates = candidate.manifest["metrics"].get("gates")
    if not gates:
        return f"model {candidate.version} has been through no gate: run `python -m credit_retrain gate`"
    failed = [gate["name"] for gate in gates if not gate["passed"]]
    forced = candidate.manifest.get("forced") or {}
    if failed and not (forced.get("why", "").strip() and set(failed) <= set(forced.get("gates") or [])):
        return f"model {candidate.version} failed at {', '.join(failed)}, and nobody has said why it may pass"
    return None
