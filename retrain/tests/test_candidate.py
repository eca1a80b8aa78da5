"""A whole training on the real rows, with a search too small to find much."""

import json
import pickle
import re
import zipfile

import numpy as np
import pytest

from credit_retrain.__main__ import main
from credit_retrain.artifact import bundle, card
from credit_retrain.artifact.native import Binary
from credit_retrain.artifact.opened import Bundle
from credit_retrain.cli import flags
from credit_retrain.data.dataset import HOLDOUT_RULE, split
from credit_retrain.evaluate import aims, gates
from credit_retrain.model import candidate
from credit_retrain.registry import tracking


@pytest.fixture(autouse=True)
def no_registry(tmp_path, monkeypatch):
    """Ask no MLflow but one that a test makes."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(tracking, "ROOT", tmp_path / "registry")


@pytest.fixture(scope="module")
def folder(trained):
    return trained / "dist" / "t.1"


@pytest.fixture(scope="module")
def metrics(folder):
    return json.loads((folder / "metrics.json").read_text("utf-8"))


def test_everything_that_is_known_of_a_candidate_is_in_its_folder(folder):
    assert sorted(p.name for p in folder.iterdir()) == [
        "calibration.png",
        "credit_default_model.pkl",
        "metrics.json",
        "model.onnx",
        "model_card.md",
        "roc.png",
        "scores.png",
        "shap.png",
        "t.1.bundle",
    ]
    for picture in folder.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")


def test_its_bundle_may_be_released_and_says_how_it_was_judged(folder, metrics):
    opened = Bundle((folder / "t.1.bundle").read_bytes())
    assert gates.releasable(opened) is None
    assert opened.manifest["forced"] is None
    assert opened.manifest["metrics"]["gates"] == metrics["gates"]
    assert all(gate["passed"] for gate in metrics["gates"])
    assert opened.files["model.onnx"] == (folder / "model.onnx").read_bytes()
    assert opened.manifest["training"]["holdout"] == HOLDOUT_RULE
    assert opened.manifest["metrics"]["test"]["auc"] == metrics["test"]["figures"]["auc"]["value"]


def test_the_pipeline_and_the_bundle_are_one_model(folder, uci):
    _, test = split(uci)
    pipeline = pickle.loads((folder / "credit_default_model.pkl").read_bytes())
    scored = Bundle((folder / "t.1.bundle").read_bytes()).score(test.features)
    np.testing.assert_allclose(scored, pipeline.predict_proba(test.features)[:, 1], rtol=0, atol=1e-6)


def test_metrics_hold_every_figure_with_its_interval(metrics):
    for name, figure in metrics["test"]["figures"].items():
        low, high = figure["interval"]
        assert low < high, name
        if name != "ece":  # resampling adds to it
            assert low <= figure["value"] <= high, name
    assert set(metrics["test"]["fairness"]) == {"sex", "education", "marriage", "age"}
    assert len(metrics["test"]["lift"]) == 10
    assert len(metrics["repeated"]["auc"]) == 10
    assert len(metrics["search"]["candidates"]) == 2
    assert set(metrics["comparison"]) == {"logistic scorecard", "LightGBM"}
    for other in metrics["comparison"].values():
        assert 0.7 < other["auc"] < 0.85


def test_the_card_tells_it_in_words_and_pictures(folder, metrics):
    card = (folder / "model_card.md").read_text("utf-8")
    assert f"{metrics['test']['figures']['auc']['value']:.4f}" in card
    for heading in (
        "In short",
        "What it is for",
        "On the hold-out",
        "Aims",
        "Calibration",
        "Lift",
        "What the default policy decides",
        "Between groups",
        "Engineered inputs",
        "Gates",
        "Limits",
    ):
        assert f"\n## {heading}\n" in card
    assert f"- Gates: {len(gates.NAMES)} of {len(gates.NAMES)} passed" in card
    assert (
        f"- Held against champion {metrics['champion']['version']} ({metrics['champion']['digest']})." in card
    )
    assert "- Aims missed: " in card
    for name in ("roc", "calibration", "scores", "shap"):
        assert f"]({name}.png)" in card
        assert (folder / f"{name}.png").is_file()
    with zipfile.ZipFile(folder / "t.1.bundle") as archive:
        inside = archive.read("card.md").decode()
    assert "## Between groups" in inside
    assert "\n## Gates\n" in inside and "`metrics.gates`" in inside and "`forced`" in inside
    assert ".png" not in inside, "the bundle holds no pictures"


@pytest.fixture(scope="module")
def gate(validated):
    """Run the gates by the command line, against the shipped bundle."""

    def run(candidate, *arguments):
        fixed = ["--champion", "shipped", "--validation", str(validated)]
        return main(["gate", "--candidate", str(candidate), *fixed, *arguments])

    return run


def test_gates_are_run_again_from_the_bundle_alone(folder, gate, capsys):
    assert gate(folder / "t.1.bundle", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["passed"]
    assert told["forced"] is None
    assert {"data", "native engine", "AUC"} <= {g["name"] for g in told["gates"]}


def test_a_gate_that_fails_is_told_and_overruled_only_with_a_reason(
    folder, gate, tmp_path, capsys, monkeypatch
):
    weak = tmp_path / "weak.bundle"
    weak.write_bytes((folder / "t.1.bundle").read_bytes())
    limits = gates.Limits(ece=-1)
    monkeypatch.setattr(gates, "Limits", lambda: limits)
    assert gate(weak) == 1
    out = capsys.readouterr().out
    assert "FAIL  calibration" in out
    assert "fails at calibration" in out
    assert gate(weak, "--force", "  ") == 1
    assert "--force is empty" in capsys.readouterr().err
    assert gate(weak, "--force", "tried on a sandbox only") == 0
    assert Bundle(weak.read_bytes()).manifest["forced"] == {
        "why": "tried on a sandbox only",
        "gates": ["calibration"],
    }
    inspected = Binary.locate(None).run(["model", "inspect", str(weak)])
    assert re.search(r"forced\.why +tried on a sandbox only", inspected)
    assert re.search(r'forced\.gates +\["calibration"\]', inspected)


def test_the_shipped_bundle_passes_its_gates_and_is_not_written_to(gate, capsys):
    assert gate("shipped") == 0
    told = capsys.readouterr()
    assert "FAIL" not in told.out
    assert "held against itself, this says nothing" in told.out
    assert "warning: model 2026-11-23.1 is champion 2026-11-23.1, by its graph" in told.err
    assert gate("shipped", "--record") == 1
    assert "not written to" in capsys.readouterr().err


def test_verdicts_against_itself_are_not_recorded(folder, gate, tmp_path, capsys):
    copy = tmp_path / "copy.bundle"
    copy.write_bytes((folder / "t.1.bundle").read_bytes())
    for flag in (["--record"], ["--force", "as a test"]):
        assert gate(copy, "--champion", str(folder / "t.1.bundle"), *flag) == 1
        assert "is champion t.1, by its graph: held against itself" in capsys.readouterr().err
    assert copy.read_bytes() == (folder / "t.1.bundle").read_bytes()


def test_a_candidate_that_fails_is_left_unfit_for_release(uci, tmp_path, tiny_space):
    plan = candidate.Plan(
        version="t.2",
        created_at="2026-01-01T00:00:00Z",
        seed=1,
        out=tmp_path,
        n_iter=1,
        n_jobs=1,
        champion=None,
        binary=None,
        validation=None,
        space={**tiny_space, "n_estimators": [5]},
    )
    made = candidate.make(uci, plan, lambda _: None)
    assert not made.released
    assert [p.name for p in made.folder.glob("*.bundle")] == ["t.2.refused.bundle"]
    assert "failed at data, native engine, golden rows, AUC" in gates.releasable(
        Bundle(made.file.read_bytes())
    )
    assert main(["release", str(made.file)]) == 1


def test_a_refused_candidate_is_not_passed_by_naming_no_champion(folder, gate, tmp_path, capsys, monkeypatch):
    refused = tmp_path / "refused.bundle"
    refused.write_bytes((folder / "t.1.bundle").read_bytes())
    strict = gates.Limits(auc_margin=-1)
    monkeypatch.setattr(gates, "Limits", lambda: strict)
    assert gate(refused, "--record") == 1
    assert "FAIL  AUC" in capsys.readouterr().out
    recorded = refused.read_bytes()
    assert "failed at AUC" in gates.releasable(Bundle(recorded))
    monkeypatch.undo()
    for without in (["--champion", "none"], ["--champion", "none", "--first"]):
        assert gate(refused, *without, "--record") == 1
        assert "already held against champion" in capsys.readouterr().err
    assert gate(refused, "--champion", "none") == 1
    told = capsys.readouterr()
    assert "FAIL  AUC: no champion was named" in told.out
    assert "champion: none was named" in told.err
    assert refused.read_bytes() == recorded


def test_the_first_model_is_judged_without_a_champion(folder, gate, capsys):
    assert gate(folder / "t.1.bundle", "--champion", "none", "--first", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["champion"] == {"first": True}
    assert main(["gate", "--candidate", "shipped", "--champion", "shipped", "--first"]) == 1
    assert "--first with --champion shipped" in capsys.readouterr().err


@pytest.mark.parametrize("version", ["../../x", "", ".hidden", "a/b", "a b", "x" * 65, "-x", "a\n"])
def test_a_version_that_is_no_name_is_refused_at_once(version, tmp_path, capsys):
    for command in ("train", "ship"):
        assert main([command, "--out", str(tmp_path / "dist"), f"--version={version}"]) == 2
        told = capsys.readouterr().err
        assert "'--version'" in told and f"{version!r}: expected" in told
    assert list(tmp_path.iterdir()) == []


def test_a_version_that_is_there_is_not_written_over(folder, capsys):
    before = (folder / "t.1.bundle").read_bytes()
    assert main(["train", "--out", str(folder.parent), "--version", "t.1"]) == 1
    assert f"--version t.1: {folder} is there already; --replace" in capsys.readouterr().err
    assert (folder / "t.1.bundle").read_bytes() == before


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--n-iter", "0"),
        ("--n-iter", "-3"),
        ("--n-iter", "many"),
        ("--n-jobs", "0"),
        ("--seed", "-1"),
        ("--seed", str(2**32)),
        ("--min-labelled", "-5"),
    ],
)
def test_a_number_that_cannot_be_is_refused_with_its_flag(flag, value, capsys):
    assert main(["train", f"{flag}={value}"]) == 2
    told = capsys.readouterr().err
    assert f"'{flag}'" in told
    assert value in told
    assert "expected a whole number" in told


@pytest.mark.parametrize(
    "moment",
    [
        "yesterday",
        "",
        "2026-11-23",
        "2026-11-23T00:00:00",
        "2026-11-23 00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T00:00:00z",
    ],
)
def test_a_moment_that_is_none_is_refused_at_once(moment, tmp_path, capsys):
    for command in ("train", "ship"):
        assert main([command, "--out", str(tmp_path / "dist"), f"--created-at={moment}"]) == 2
        told = capsys.readouterr().err
        assert "'--created-at'" in told and f"{moment!r}: expected a moment" in told
    assert list(tmp_path.iterdir()) == []


def test_moments_of_rfc_3339_are_taken_as_they_are():
    for moment in ("2026-11-23T00:00:00Z", "2026-11-23T10:00:00.123456+01:00"):
        assert flags.moment(moment) == moment


def other_program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_another_program_than_the_binary_is_refused_by_its_flag(tmp_path, capsys, monkeypatch):
    silent = other_program(tmp_path / "silent", "exit 0")
    failing = other_program(tmp_path / "failing", "echo creditstream; exit 1")
    for program, told in (
        (silent, "expected the creditstream binary, this is another program"),
        (failing, "expected the creditstream binary, this is another program"),
        (str(tmp_path / "none"), "no creditstream binary there"),
    ):
        assert main(["gate", "--candidate", "shipped", "--champion", "shipped", "--binary", program]) == 1
        assert f"--binary {program}: {told}" in capsys.readouterr().err
    monkeypatch.setenv("CREDITSTREAM_BINARY", silent)
    assert main(["gate", "--candidate", "shipped", "--champion", "shipped"]) == 1
    assert f"CREDITSTREAM_BINARY={silent}: expected" in capsys.readouterr().err


def test_a_bundle_that_is_not_there_is_named_with_its_flag(tmp_path, capsys):
    nope = str(tmp_path / "nope")
    for command in (
        ["gate", "--candidate", nope],
        ["gate", "--candidate", "shipped", "--champion", nope],
        ["evaluate", "--bundle", nope],
        ["evaluate", "--bundle", str(tmp_path)],
    ):
        assert main(command) == 1
        err = capsys.readouterr().err
        assert f"{command[-2]} {command[-1]}: expected a bundle: a file" in err
        assert "Errno" not in err
    assert main(["release", nope]) == 1
    assert f"MODEL {nope}: expected a bundle" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("root:x:0:0:root:/root:/bin/bash\n", "not JSON"),
        ("[]", "`passed` is not true or false"),
        ('{"passed": 1}', "`passed` is not true or false"),
        ('{"passed": true, "data": {}, "checks": []}', "`data.train.digest` is not a string"),
        ('{"passed": true, "data": [], "checks": []}', "`data.train.digest` is not a string"),
        ('{"passed": false, "data": {}, "checks": {}}', "`checks` is not a list"),
        ('{"passed": false, "data": {}, "checks": [{"name": "x"}]}', "`checks[0]` lacks"),
    ],
)
def test_a_validation_of_another_shape_is_refused_by_its_file(text, told, tmp_path, capsys):
    file = tmp_path / "other.json"
    file.write_text(text)
    assert main(["gate", "--candidate", "shipped", "--validation", str(file)]) == 1
    err = capsys.readouterr().err
    assert f"--validation {file}: expected what" in err
    assert told in err


def test_a_validation_that_is_a_folder_is_refused(tmp_path, capsys):
    assert main(["gate", "--candidate", "shipped", "--validation", str(tmp_path)]) == 1
    assert f"--validation {tmp_path}: expected what" in capsys.readouterr().err


def test_a_bundle_without_metrics_is_refused_in_a_sentence(folder, tmp_path, capsys, monkeypatch):
    opened = Bundle((folder / "t.1.bundle").read_bytes())
    facts = {key: value for key, value in opened.manifest.items() if key not in ("files", "metrics")}
    files = {name: content for name, content in opened.files.items() if name != "manifest.json"}
    broken = tmp_path / "broken.bundle"
    with pytest.raises(ValueError, match="metrics is None"):
        bundle.pack(facts, files)
    monkeypatch.setattr(bundle, "check", lambda manifest: None)  # as somebody else's packer
    broken.write_bytes(bundle.pack(facts, files))
    monkeypatch.undo()
    for command in (["release", str(broken)], ["gate", "--candidate", str(broken)]):
        assert main(command) == 1
        assert f"{broken}: the bundle's manifest: metrics is None" in capsys.readouterr().err


def test_the_aims_stand_beside_the_figures(folder, metrics):
    card = (folder / "model_card.md").read_text("utf-8")
    for aim in metrics["aims"]:
        verdict = "met" if aim["met"] else "not met"
        assert f"| {aim['name']} | {aim['aim']} | {aim['figure']} | {verdict} |" in card
    mean = metrics["repeated"]["mean_auc"]
    assert metrics["aims"][0]["met"] == (mean >= 0.785)
    assert f"{mean:.4f}" in metrics["aims"][0]["figure"]


def test_an_aim_that_is_missed_by_little_is_missed():
    def held(auc, error, chance):
        repeated = {"splits": 10, "mean_auc": auc, "auc_interval": [auc - 0.01, auc + 0.01]}
        test = {"figures": {"ece": {"value": error}}, "ece_by_chance": {"mean": chance}}
        return [aim.verdict() for aim in aims.hold(repeated, test)]

    assert held(0.785, 0.01, 0.0) == ["met", "met", "met"]
    assert held(0.7849, 0.0101, 0.0) == ["not met", "not met", "not met"]
    assert held(0.79, 0.015, 0.012) == ["met", "not met", "met"]


def test_a_candidate_takes_the_next_free_version_of_the_day(tmp_path):
    assert candidate.next_version(tmp_path, "2026-11-25") == "2026-11-25.1"
    (tmp_path / "2026-11-25.1").mkdir()
    assert candidate.next_version(tmp_path, "2026-11-25") == "2026-11-25.2"


def test_evaluate_prints_the_figures_of_a_bundle(folder, metrics, capsys):
    assert main(["evaluate", "--bundle", str(folder / "t.1.bundle")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["test"]["figures"]["auc"] == metrics["test"]["figures"]["auc"]


def test_the_card_leaves_out_the_default_rate_of_a_decision_that_nobody_gets(made):
    metrics = json.loads(json.dumps(made.metrics))
    nobody = {"decision": "decline", "rows": 0, "share": 0.0, "default_rate": None, "interval": None}
    metrics["test"]["decisions"][2] = {**nobody, "defaults": 0.0}
    assert "| decline | 0 | 0.0 % |  | 0.0 % |" in card.write(made.manifest, metrics)
