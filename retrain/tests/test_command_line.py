"""The command line by itself: what it takes, and that help costs no library."""

import subprocess
import sys

import pytest

from credit_retrain.__main__ import COMMANDS, main

NAMES = [run.__name__.replace("_", "-") for run in COMMANDS]
HEAVY = ("numpy", "pandas", "sklearn", "onnx", "mlflow", "shap", "jinja2", "evidently", "rich")


def test_help_imports_none_of_the_libraries_that_commands_work_with():
    asked = f"""
import sys
from credit_retrain.__main__ import main
for command in ([], {[[name] for name in NAMES]!r}):
    assert main([*command, "--help"]) == 0
print([name for name in {HEAVY!r} if name in sys.modules])
""".replace("([], [[", "([], *[[")
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", NAMES)
def test_a_command_refuses_a_flag_that_it_does_not_know(name, capsys):
    assert main([name, "--no-such-flag"]) == 2
    assert "--no-such-flag" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "command"),
        (["nothing"], "nothing"),
        (["gate"], "--candidate"),
        (["fetch-model", "models:/a@b"], "--out"),
        (["train", "--data", "none"], "--data"),
        (["train", "--replace=yes"], "--replace"),
        (["release", "a", "b"], "b"),
        (
            ["drift", "--drift-share", "half"],
            "--drift-share",
        ),
    ],
)
def test_wrong_flags_are_named_and_end_in_2(arguments, named, capsys):
    assert main(arguments) == 2
    assert named in capsys.readouterr().err


def test_a_problem_is_one_line_and_ends_in_1(tmp_path, capsys):
    assert main(["export", "--bundle", str(tmp_path / "none"), "--out", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("credit-retrain export: ") and told.count("\n") == 1


def test_flags_behind_the_dashes_are_handed_on_as_they_are(monkeypatch):
    from credit_retrain.registry import releasing

    seen = []
    monkeypatch.setattr(releasing, "release", lambda *arguments: seen.append(arguments) or "")
    assert main(["release", "--champion", "v1", "m.bundle", "--", "--brokers", "b:1", "--", "x"]) == 0
    assert main(["release", "m.bundle"]) == 0
    assert seen == [
        ("m.bundle", "v1", None, ["--brokers", "b:1", "--", "x"]),
        ("m.bundle", None, None, []),
    ]
