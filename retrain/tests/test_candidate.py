"""A whole training on the real rows, with a search too small to find much."""

import json
import pickle
import re
import zipfile

import numpy as np
import pytest

from credit_retrain import candidate, gates
from credit_retrain.__main__ import main
from credit_retrain.dataset import split
from credit_retrain.gates import Bundle
from credit_retrain.native import Binary


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
    assert opened.manifest["training"]["holdout"] == gates.HOLDOUT_RULE
    assert opened.manifest["metrics"]["test"]["auc"] == metrics["test"]["figures"]["auc"]["value"]


def test_the_pipeline_and_the_bundle_are_one_model(folder, uci):
    _, test = split(uci)
    pipeline = pickle.loads((folder / "credit_default_model.pkl").read_bytes())
    scored = Bundle((folder / "t.1.bundle").read_bytes()).score(test)
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
    for heading in ("On the hold-out", "Calibration", "Lift", "Between groups", "Gates", "Limits"):
        assert f"\n## {heading}\n" in card
    for name in ("roc", "calibration", "scores", "shap"):
        assert f"]({name}.png)" in card
        assert (folder / f"{name}.png").is_file()
    with zipfile.ZipFile(folder / "t.1.bundle") as archive:
        inside = archive.read("card.md").decode()
    assert "## Between groups" in inside
    assert ".png" not in inside, "the bundle holds no pictures"


@pytest.fixture(scope="module")
def gate(validated):
    """Run the gates by the command line, without a champion."""

    def run(candidate, *arguments):
        fixed = ["--champion", "none", "--validation", str(validated)]
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
    assert "FAIL" not in capsys.readouterr().out
    assert gate("shipped", "--record") == 1
    assert "not written to" in capsys.readouterr().err


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
    assert "failed at data, native engine, golden rows" in gates.releasable(Bundle(made.file.read_bytes()))
    assert main(["release", str(made.file)]) == 1


def test_a_candidate_takes_the_next_free_version_of_the_day(tmp_path):
    assert candidate.next_version(tmp_path, "2026-11-25") == "2026-11-25.1"
    (tmp_path / "2026-11-25.1").mkdir()
    assert candidate.next_version(tmp_path, "2026-11-25") == "2026-11-25.2"


def test_evaluate_prints_the_figures_of_a_bundle(folder, metrics, capsys):
    assert main(["evaluate", "--bundle", str(folder / "t.1.bundle")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["test"]["figures"]["auc"] == metrics["test"]["figures"]["auc"]
