"""MLflow for real: SQLite in a folder."""

from pathlib import Path

import numpy as np
import pytest
from registered import aliases, digest_of, rewritten, route, told

from credit_retrain.__main__ import main
from credit_retrain.artifact.opened import Bundle
from credit_retrain.registry import tracking
from credit_retrain.registry.tracking import Serving, TrackingError


def test_a_training_is_a_run_with_its_parameters_metrics_and_files(sqlite, made):
    version = sqlite.get_model_version(tracking.NAME, "1")
    run = sqlite.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params["max_depth"] == "2"
    assert run.data.metrics["test.auc"] == made.metrics["test"]["figures"]["auc"]["value"]
    assert run.data.tags["dataset.digest"] == made.manifest["training"]["dataset_digest"]
    assert run.data.tags["gates"] == "passed"
    assert {i.dataset.name for i in run.inputs.dataset_inputs} == {
        "credit_default.train",
        "credit_default.test",
    }
    curve = sqlite.get_metric_history(version.run_id, "lift.default_rate")
    assert [p.value for p in sorted(curve, key=lambda p: p.step)] == [
        row["default_rate"] for row in made.metrics["test"]["lift"]
    ]
    kept = {f.path for f in sqlite.list_artifacts(version.run_id)}
    assert {"model", "model_card.md", "metrics.json", "roc.png", "shap.png"} <= kept


def test_what_passed_its_gates_is_the_challenger(sqlite):
    assert aliases(sqlite) == {"challenger": 1} or aliases(sqlite) == {"challenger": "1"}


def test_the_registered_model_is_one_that_mlflow_runs(sqlite, made, uci, trained, monkeypatch):
    import mlflow.onnx
    import onnxruntime

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{trained / 'data' / 'mlflow.db'}")
    graph = mlflow.onnx.load_model("models:/credit_default@challenger")
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    rows = uci.features[:50].astype(np.float32)
    got = session.run(["probabilities"], {"features": rows})[0][:, 1]
    want = Bundle(made.file.read_bytes()).score(uci.features[:50])
    np.testing.assert_array_equal(got, want.astype(np.float32))


def test_the_bundle_comes_back_as_it_was(sqlite, made, tmp_path):
    out = tmp_path / "fetched.bundle"
    assert main(["fetch-model", "models:/credit_default@challenger", "--out", str(out)]) == 0
    assert out.read_bytes() == made.file.read_bytes()
    assert main(["fetch-model", "models:/credit_default/1", "--out", str(out)]) == 0


def test_what_is_not_registered_is_named(sqlite, tmp_path, capsys):
    for uri in ("models:/credit_default@nobody", "models:/credit_default/99"):
        assert main(["fetch-model", uri, "--out", str(tmp_path / "x")]) == 1
        assert uri in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_nothing_is_left_outside_the_folder(sqlite, trained):
    experiment = sqlite.get_experiment_by_name(tracking.EXPERIMENT)
    assert experiment.artifact_location == (trained / "data" / "mlruns").as_uri()
    assert not Path("mlruns").exists()


def test_other_bytes_than_were_registered_are_refused(sqlite):
    digest = sqlite.get_model_version(tracking.NAME, "1").tags[tracking.DIGEST_TAG]
    sqlite.set_model_version_tag(tracking.NAME, "1", tracking.DIGEST_TAG, "sha256:other")
    try:
        with pytest.raises(TrackingError, match="registered was sha256:other"):
            tracking.fetch("models:/credit_default@challenger")
    finally:
        sqlite.set_model_version_tag(tracking.NAME, "1", tracking.DIGEST_TAG, digest)


def test_aliases_move_with_the_route(registry):
    assert told(registry) == {"challenger": "3"}
    history = [route("v1")]
    tracking.mirror(history, registry)
    assert told(registry) == {"champion": "1", "challenger": "3"}, "v3 waits for its release"
    history.append(route("v1", canary="v2", shadow="v3"))
    tracking.mirror(history, registry)
    assert told(registry) == {"champion": "1", "challenger": "2"}
    history.append(route("v1", shadow="v3"))
    tracking.mirror(history, registry)
    assert told(registry) == {"champion": "1", "challenger": "3"}
    history.append(route("v3"))
    tracking.mirror(history, registry)
    assert told(registry) == {"champion": "3"}, "what was promoted is no challenger"
    moved = tracking.mirror([*history, route("elsewhere")], registry)
    assert told(registry) == {}, "an alias does not lie about a champion that is not registered"
    assert tracking.serving(registry) == Serving("elsewhere", None, "0"), "but it is known which it is"
    assert [m.told for m in moved] == [
        "elsewhere is not registered here",
        "none: the route has neither canary nor shadow",
    ]


def test_of_a_version_registered_twice_the_alias_names_the_bytes_that_were_released(
    made, tmp_path, monkeypatch
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    released = rewritten(made, tmp_path / "a", "v1", "as a test")
    other = rewritten(made, tmp_path / "b", "v1", "trained again")
    for candidate in (released, other):
        tracking.log(candidate, lambda _: None, tmp_path)
    assert told(tmp_path) == {"challenger": "2"}
    with pytest.raises(TrackingError, match=r"v1 is registered with 2 different bundles: --models FILE"):
        tracking.mirror([route("v1")], tmp_path)
    assert told(tmp_path) == {"challenger": "2"}, "no alias moves where one is not clear"
    tracking.mirror([route("v1")], tmp_path, {"v1": digest_of(released)})
    assert told(tmp_path)["champion"] == "1"
    moved = tracking.mirror([route("v1")], tmp_path, {"v1": "sha256:elsewhere"})
    assert "champion" not in told(tmp_path)
    assert moved[0].told == "v1 is not registered here"


def test_without_a_store_nobody_is_asked_and_none_is_made(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking.champion(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "history",
    [
        '{"revision": 1}',
        "[1]",
        '[{"champion": 1}]',
        '[{"champion": "a", "canary": "b"}]',
        '[{"champion": "a", "shadow": {}}]',
    ],
)
def test_a_route_of_another_shape_is_refused_by_its_file(history, tmp_path, capsys):
    file = tmp_path / "history.json"
    file.write_text(history)
    assert main(["aliases", "--route", str(file)]) == 1
    assert f"--route {file}: expected what `creditstream model history --json`" in capsys.readouterr().err


def test_a_history_that_is_none_is_refused(registry, tmp_path, capsys, monkeypatch):
    with pytest.raises(TrackingError, match="no route yet"):
        tracking.mirror([], registry)
    file = tmp_path / "history.json"
    file.write_text('{"revision": 1}')
    assert main(["aliases", "--route", str(file)]) == 1
    assert "creditstream model history --json" in capsys.readouterr().err
