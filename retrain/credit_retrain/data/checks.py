"""data/reports: whether the prepared data may be trained on, and what is to be known of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from credit_retrain.base import whole
from credit_retrain.data import dataset, expectations, make_dataset
from credit_retrain.data.make_dataset import Prepared
from credit_retrain.uci import oddities, published
from credit_retrain.uci.transformers import Imputer


@dataclass(frozen=True)
class Check:
    """One check with its figure."""

    name: str
    figure: str
    passed: bool
    gating: bool = True
    violations: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class DataReport:
    """Every check of prepared data.

    Attributes
    ----------
    facts : dict
        source.json, or nothing where the files could not be read.
    oddities : dict
        By part, `train` and `test`.
    """

    checks: list[Check]
    facts: dict[str, Any]
    oddities: dict[str, Any]

    def passed(self) -> bool:
        """Say whether the data may be trained on."""
        return all(c.passed for c in self.checks if c.gating)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as it is kept; equal data give equal reports."""
        return {
            "passed": self.passed(),
            "data": self.facts,
            "oddities": self.oddities,
            "checks": [asdict(c) for c in self.checks],
        }

    def markdown(self) -> str:
        """Return the report for people."""
        failed = [c for c in self.checks if not c.passed]
        lines = [
            "# Data validation",
            "",
            f"**{'Passed' if self.passed() else 'Failed'}**: {self._summary()}",
            "",
        ]
        if failed:
            lines += ["## Not met", "", *_table(failed), ""]
        if self.facts:
            lines += ["## Data", "", "| | rows | defaulted | digest |", "|---|---|---|---|"]
            lines += [
                f"| {part} | {self.facts[part]['rows']} | {self.facts[part]['default_rate']:.4f} | "
                f"`{self.facts[part]['digest']}` |"
                for part in ("train", "test")
            ]
            lines += [
                "",
                f"Source: {self.facts['source']}. current.csv: {self.facts['current']['rows']} rows, "
                f"{self.facts['current']['origin']}.",
                "",
            ]
        if self.oddities:
            lines += ["## Oddities, kept on purpose", "", "| | train | test |", "|---|---|---|"]
            train, test = (_flat(self.oddities[part]) for part in ("train", "test"))
            lines += [f"| {name} | {value} | {test[name]} |" for name, value in train.items()]
            lines += [""]
        return "\n".join([*lines, "## Every check", "", *_table(self.checks), ""])

    def _summary(self) -> str:
        gating = [c for c in self.checks if c.gating]
        told = [c for c in self.checks if not c.gating]
        out = f"{sum(c.passed for c in gating)} of {len(gating)} checks that gate"
        return out + (f", {sum(c.passed for c in told)} of {len(told)} that are told only" if told else "")


def examine(folder: Path) -> DataReport:
    """Check the files that `make_dataset.make` wrote.

    Raises
    ------
    NotPreparedError
        When the folder lacks one.
    """
    try:
        prepared = make_dataset.read(folder)
    except make_dataset.RefusedError as refused:
        return DataReport(
            [
                Check(
                    f"contract {name}",
                    str(problem),
                    False,
                    violations=[asdict(v) for v in problem.violations],
                )
                for name, problem in refused.problems.items()
            ],
            {},
            {},
        )
    facts = prepared.facts
    checks = [
        Check(
            "contract",
            f"{len(prepared.train)} + {len(prepared.test)} + {len(prepared.current)} rows, no violation",
            True,
        ),
        _recorded(prepared),
        _apart(prepared),
        _engineered(prepared),
        *_sources(facts),
    ]
    # A fifth is held out, give or take what the hash does.
    least = int(facts["min_labelled"] * 0.7) if facts["used"] == "export" else published.MIN_TRAINING_ROWS
    for e in expectations.check(prepared.train, facts["used"], least):
        name = e.type if e.column is None else f"{e.type} {e.column}"
        checks.append(
            Check(name, f"{e.observed} ({e.expected})" if e.expected else e.observed, e.met, e.gating)
        )
    counts = {
        name: oddities.count(part).to_dict()
        for name, part in (("train", prepared.train), ("test", prepared.test))
    }
    return DataReport(checks, facts, counts)


def write(report: DataReport, out: Path) -> list[Path]:
    """Write validation.json and validation.md."""
    written = []
    for name, text in (
        ("validation.json", json.dumps(report.to_dict(), indent=1, ensure_ascii=False) + "\n"),
        ("validation.md", report.markdown()),
    ):
        whole.write(out / name, text.encode())
        written.append(out / name)
    return written


def _recorded(prepared: Prepared) -> Check:
    wrong = [
        name
        for name, part in (("train", prepared.train), ("test", prepared.test))
        if part.digest() != prepared.facts[name]["digest"]
    ]
    return Check("digests", f"{', '.join(wrong) or 'none'} differ from source.json", not wrong)


def _apart(prepared: Prepared) -> Check:
    seen = set(dataset.texts(prepared.train.features))
    shared = sum(row in seen for row in dataset.texts(prepared.test.features))
    return Check("hold-out apart", f"{shared} held-out rows have the features of a training row", shared == 0)


def _engineered(prepared: Prepared) -> Check:
    imputer = Imputer().fit(prepared.train.features)
    wrong = 0
    for name, part in (("train", prepared.train), ("test", prepared.test)):
        wrong += int((make_dataset.engineered(imputer, part) != prepared.engineered[name]).any(axis=1).sum())
    return Check("engineered features", f"{wrong} rows differ from what the graph computes", wrong == 0)


def _sources(facts: dict[str, Any]) -> list[Check]:
    out = []
    if facts["used"] == "uci":
        out.append(Check("UCI content", facts["digest"], facts["digest"] == published.DIGEST))
    if facts["export"] is not None:
        out.append(
            Check(
                "labelled",
                f"{facts['export']['labelled']} outcomes known, {facts['min_labelled']} asked for, "
                f"{facts['used']} used where {facts['asked']} was asked for",
                facts["used"] == facts["asked"],
                gating=False,
            )
        )
        both = facts["export"].get("conflicting", 0)
        out.append(
            Check("decisions with both outcomes", f"{both}, the first counts", both == 0, gating=False)
        )
        again = facts["export"].get("also_in_uci", 0)
        if again:
            told = f"{again} labelled decisions have the features of a UCI row and are left out"
            out.append(Check("decisions on UCI rows", told, False, gating=False))
    return out


def _flat(counts: dict[str, Any], path: str = "") -> dict[str, int]:
    out: dict[str, int] = {}
    for name, value in counts.items():
        key = f"{path} {name}" if path else name.replace("_", " ")
        out.update(_flat(value, key) if isinstance(value, dict) else {key: value})
    return out


def _table(checks: list[Check]) -> list[str]:
    lines = ["| | check | figure |", "|---|---|---|"]
    for c in checks:
        mark = "pass" if c.passed else "FAIL" if c.gating else "note"
        figure = c.figure.replace("|", "\\|").replace("\n", "<br>")
        lines.append(f"| {mark} | {c.name} | {figure} |")
    return lines
