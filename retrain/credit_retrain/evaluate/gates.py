"""What a candidate must hold before it may be released.

Every gate states a figure and its limit. None of them looks at the training rows' fit, and all
of them judge on rows that neither model was trained on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import norm
from sklearn.pipeline import Pipeline

from credit_retrain.artifact import bundle
from credit_retrain.artifact.native import Binary, NativeError
from credit_retrain.artifact.opened import Bundle
from credit_retrain.data.dataset import HOLDOUT_RULE, Dataset
from credit_retrain.evaluate import fairness, figures
from credit_retrain.evaluate.delong import compare
from credit_retrain.evaluate.figures import Doubles
from credit_retrain.model.pipeline import build
from credit_retrain.uci.groups import ATTRIBUTES

NAMES = (
    "data",
    "ONNX Runtime",
    "native engine",
    "golden rows",
    "AUC",
    "calibration",
    *(
        f"{name} by {attribute.name}"
        for attribute in ATTRIBUTES
        for name in ("approval ratio", "equal opportunity")
    ),
    "score PSI, hold-out",
    "score PSI, champion",
)
"""Every gate, in the order in which `judge` gives them. One that is absent was not passed."""


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
    unsure : bool
        It passed although its figure is beyond the limit, because the figure's interval reaches it.
    """

    name: str
    passed: bool
    figure: float | None
    limit: float
    told: str
    unsure: bool = False

    def verdict(self) -> str:
        """Return the verdict alone."""
        if not self.passed:
            return "FAIL"
        return "pass (not surely beyond the limit)" if self.unsure else "pass"

    def line(self) -> str:
        """Return the verdict as a line to print."""
        return f"{self.verdict():4}  {self.name}: {self.told}"


@dataclass(frozen=True)
class Case:
    """What is judged, and with what.

    Attributes
    ----------
    candidate : Bundle
    champion : Bundle or None
        None where none was named: the AUC gate and the champion's PSI fail, unless `first` is set.
    train, test : Dataset
        The candidate's training rows and its hold-out.
    pipeline : Pipeline
        The candidate's, as scikit-learn has it.
    binary : Binary or None
        None where there is none: what needs it fails.
    validation : dict or None
        What `validate` says of the rows (data/reports/validation.json); None where nothing was said.
    first : bool
        Nothing was released before: there can be no champion, and the AUC is held to the floor.
    """

    candidate: Bundle
    champion: Bundle | None
    train: Dataset
    test: Dataset
    pipeline: Pipeline
    binary: Binary | None
    validation: dict[str, Any] | None
    first: bool = False

    def held_against(self) -> dict[str, Any] | None:
        """Return the champion's version and digest as the manifest keeps them, None where there is none."""
        if self.champion is not None:
            return {"version": self.champion.version, "digest": self.champion.digest}
        return {"first": True} if self.first else None


def judge(case: Case, folder: Path, limits: Limits | None = None) -> list[Gate]:
    """Run every gate, those of `NAMES` in their order.

    Parameters
    ----------
    folder : Path
        Where the candidate's file is written for the binary to read.
    """
    limits = limits or Limits()
    probability = case.pipeline.predict_proba(case.test.features)[:, 1]
    file = folder / "candidate.bundle"
    file.write_bytes(case.candidate.content)
    champion = case.champion.score(case.test.features) if case.champion is not None else None
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
        problems.append("the rows were not validated: run `retrain/credit-retrain validate`")
    elif not said["passed"]:
        failed = [check["name"] for check in said["checks"] if not check["passed"] and check["gating"]]
        problems.append(f"validation failed at {', '.join(failed)}")
    for name, rows in (("train", case.train), ("test", case.test)):
        digest = rows.digest()
        if training.get(f"{name}_digest") != digest:
            problems.append(
                f"the manifest's {name}_digest is {training.get(f'{name}_digest')}, these rows' is {digest}"
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

    out = [gate("ONNX Runtime", case.candidate.score(case.test.features))]
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


NO_CHAMPION = "no champion was named to hold it against (the first model of all is judged with --first)"


def yardstick(case: Case) -> str | None:
    """Say why the champion may not be measured on the candidate's hold-out, None where it may.

    It may when its manifest says that it held out the same rows, or chose them by the same rule.
    """
    if case.champion is None:
        return "this is the first model, there is no champion yet" if case.first else NO_CHAMPION
    candidate, champion = case.candidate.manifest["training"], case.champion.manifest["training"]
    if champion.get("test_digest") == candidate.get("test_digest") is not None:
        return None
    if champion.get("holdout") == candidate.get("holdout") == HOLDOUT_RULE:
        return None
    return (
        f"champion {case.champion.version} is refused as a yardstick: it held out other rows "
        f"({champion.get('test_digest')}) by a rule its manifest does not name, and may have been trained on "
        "these"
    )


def same_model(candidate: Bundle, champion: Bundle | None) -> bool:
    """Say whether two bundles hold one graph: verdicts of one against the other say nothing."""
    return champion is not None and candidate.files["model.onnx"] == champion.files["model.onnx"]


def _auc(case: Case, probability: Doubles, champion: Doubles | None, limits: Limits) -> Gate:
    """Hold the AUC to the champion's by DeLong's paired test for non-inferiority.

    A champion that may have seen the rows would look better than it is. Its recipe (parameters
    and seed), fitted again on the candidate's training rows, stands in for it; without a recipe
    only the floor is left.
    """
    if case.champion is None and not case.first:
        return Gate("AUC", False, None, -limits.auc_margin, NO_CHAMPION)
    refused = yardstick(case)
    against = ""
    if case.champion is not None:
        against = f"champion {case.champion.version} ({case.champion.digest[:19]}), which has"
    if refused is not None:
        champion = None
        recipe = case.champion.manifest["training"] if case.champion is not None else {}
        if recipe.get("parameters") and "seed" in recipe:
            again = build(recipe["parameters"], recipe["seed"]).fit(case.train.features, case.train.defaulted)
            champion = again.predict_proba(case.test.features)[:, 1]
            against = "its recipe, fitted again on the candidate's training rows, which has"
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
    if same_model(case.candidate, case.champion):
        told += "; it is the champion's own graph: held against itself, this says nothing"
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
            value = figure["value"]
            beyond = value < limit if lower else value > limit
            out.append(Gate(f"{name} by {attribute}", passed, value, limit, told, unsure=passed and beyond))
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
    out.append(_champion_psi(case, probability, champion, limits))
    return out


def _champion_psi(case: Case, probability: Doubles, champion: Doubles | None, limits: Limits) -> Gate:
    name, limit = "score PSI, champion", limits.champion_psi
    if champion is None or case.champion is None:
        told = "this is the first model, there is no champion yet" if case.first else NO_CHAMPION
        return Gate(name, case.first, None, limit, told)
    moved = figures.score_psi(champion, probability)
    told = f"{moved:.4f} from champion {case.champion.version} on the hold-out (at most {limit})"
    return Gate(name, moved <= limit, moved, limit, told)


def record(gates: list[Gate]) -> list[dict[str, Any]]:
    """Return the verdicts as the manifest keeps them."""
    return [
        {
            **asdict(gate),
            "figure": None if gate.figure is None else float(f"{gate.figure:.5g}"),
        }
        for gate in gates
    ]


def stamp(candidate: Bundle, gates: list[Gate], champion: dict[str, Any] | None, force: str | None) -> bytes:
    """Write the verdicts into a bundle; with a reason to overrule those that failed, that too.

    The version's bytes change: only before it is released.

    Parameters
    ----------
    champion : dict or None
        What it was held against, as `Case.held_against` gives it.
    """
    facts = dict(candidate.manifest)
    facts.pop("files")
    facts["metrics"] = {**facts["metrics"], "champion": champion, "gates": record(gates)}
    failed = [gate.name for gate in gates if not gate.passed]
    facts["forced"] = {"why": force, "gates": failed} if force is not None and failed else None
    files = {name: content for name, content in candidate.files.items() if name != "manifest.json"}
    return bundle.pack(facts, files)


def recordable(candidate: Bundle, champion: dict[str, Any] | None) -> str | None:
    """Say why new verdicts may not take the place of a bundle's own, None where they may.

    What was held against a champion is not made the first model by saying so.
    """
    before = candidate.manifest["metrics"].get("champion")
    if before and "version" in before and not (champion and "version" in champion):
        return (
            f"model {candidate.version} was already held against champion {before['version']} "
            f"({before['digest']}): verdicts without one do not take the place of those"
        )
    return None


def releasable(candidate: Bundle) -> str | None:
    """Say why a bundle may not be released, None where it may.

    Every gate must have been run, against a champion that the manifest names; those that failed
    must be the ones that somebody overruled.
    """
    metrics, forced = candidate.manifest["metrics"], candidate.manifest.get("forced")
    verdicts = metrics.get("gates")
    run_them = "run `retrain/credit-retrain gate --record`"
    if not verdicts:
        return f"model {candidate.version} has been through no gate: {run_them}"
    absent = [name for name in NAMES if name not in {gate["name"] for gate in verdicts}]
    if absent:
        return f"model {candidate.version} has not been through {', '.join(absent)}: {run_them}"
    overruled = set(forced["gates"]) if forced and forced["why"].strip() else set()
    failed = [gate["name"] for gate in verdicts if not gate["passed"] and gate["name"] not in overruled]
    if failed:
        return f"model {candidate.version} failed at {', '.join(failed)}, and nobody has said why it may pass"
    if not metrics.get("champion") and not {"AUC", "score PSI, champion"} <= overruled:
        return f"model {candidate.version} does not name the champion it was held against: {run_them}"
    return None


def judged_against(candidate: Bundle) -> str:
    """Say what a releasable bundle was held against."""
    champion = candidate.manifest["metrics"].get("champion")
    if champion and "version" in champion:
        return f"held against champion {champion['version']} ({champion['digest']})"
    return "the first model, held against none" if champion else "held against no champion, by force"
