"""dvc.yaml names what its stages depend on, or `dvc repro` would miss a change."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from credit_retrain import __main__ as command_line

ROOT = Path(__file__).resolve().parents[2]
CODE = ROOT / "retrain" / "credit_retrain"
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
STAGES = PIPELINE["stages"]

ENTRIES = {
    "prepare": ["data.make_dataset", "data.sources"],
    "validate": ["data.checks"],
    "train": ["model.candidate", "data.make_dataset", "registry.champions"],
    "evaluate": ["evaluate.holdout", "data.make_dataset", "registry.champions"],
    "export": ["artifact.files"],
}
"""Modules that a stage's command calls; the others are what these import."""


def imported(module):
    """Name the modules of the package that a module imports, directly."""
    names = set()
    for node in ast.walk(ast.parse((CODE / f"{module.replace('.', '/')}.py").read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "credit_retrain":
            within = (node.module or "").removeprefix("credit_retrain").removeprefix(".")
            if within and (CODE / f"{within.replace('.', '/')}.py").is_file():
                names.add(within)
            else:
                names |= {f"{within}.{a.name}" if within else a.name for a in node.names}
    return names


def closure(modules):
    known, waiting = set(), list(modules)
    while waiting:
        module = waiting.pop()
        if module not in known:
            known.add(module)
            waiting += imported(module)
    return known


def folders(modules):
    """Name the folders that hold some modules."""
    return {m.split(".")[0] for m in modules}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_locked_libraries(stage):
    assert "retrain/requirements/train.txt" in STAGES[stage]["deps"]
    assert (ROOT / "retrain" / "requirements" / "train.txt").is_file()


def test_every_stage_is_known_here():
    assert set(ENTRIES) == set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_names_the_folders_it_imports_from(stage):
    prefix = "${code}/"
    named = {d.removeprefix(prefix) for d in STAGES[stage]["deps"] if d.startswith(prefix)}
    assert named == folders(closure(ENTRIES[stage])) | {"schemas"}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_what_it_reads_and_the_stage_that_writes_it(stage):
    command = STAGES[stage]["cmd"]
    metrics = [path for entry in STAGES[stage].get("metrics", []) for path in entry]
    known = {*STAGES[stage]["deps"], *STAGES[stage].get("outs", []), *metrics}
    for path in re.findall(r"(?:data|dist)/[\w./-]+", command):
        assert any(path == k or path.startswith(f"{k}/") or k.startswith(f"{path}/") for k in known), path


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_a_command_that_exists(stage):
    known = {
        "data.min_labelled": "1",
        "train.seed": "1",
        "train.n_iter": "1",
        "train.flags": "",
        "data.source": "uci",
        "train.created_at": "2026-11-23T00:00:00Z",
    }
    command = STAGES[stage]["cmd"].split(" >")[0].replace("${credit_retrain} ", "")
    words = shlex.split(re.sub(r"\$\{(.*?)\}", lambda m: known.get(m[1], m[1]), command))
    assert words[0] == stage
    command = typer.main.get_command(command_line.app()).commands[stage]
    command.make_context(stage, words[1:])
