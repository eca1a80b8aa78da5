"""MLflow for real: SQLite in a folder, and a server on a free port."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from credit_retrain import champions, gates, releasing, tracking
from credit_retrain.__main__ import main, parser
from credit_retrain.candidate import Made
from credit_retrain.gates import Gate
from credit_retrain.native import Binary
from credit_retrain.opened import Bundle
from credit_retrain.tracking import Serving, TrackingError


@pytest.fixture
def sqlite(trained, monkeypatch):
    """The registry that the training by the command line wrote to."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(tracking, "ROOT", trained)
    return tracking.connect()


@pytest.fixture(scope="module")
def made(trained):
    """The candidate, read back from its folder."""
    folder = trained / "dist" / "t.1"
    opened = Bundle((folder / "t.1.bundle").read_bytes())
    metrics = json.loads((folder / "metrics.json").read_text("utf-8"))
    verdicts = [Gate(**g) for g in metrics["gates"]]
    return Made(folder, folder / "t.1.bundle", True, opened.manifest, metrics, verdicts, {})


def as_version(made, tmp_path, version):
    """The same model under another version."""

    manifest = json.loads(json.dumps(made.manifest))
    manifest.pop("files")
    manifest["version"] = version
    opened = Bundle(made.file.read_bytes())
    files = {name: content for name, content in opened.files.items() if name != "manifest.json"}
    folder = tmp_path / version
    folder.mkdir()
    file = folder / f"{version}.bundle"
    file.write_bytes(gates.bundle.pack(manifest, files))
    return Made(folder, file, True, manifest, made.metrics, made.gates, {})


def route(champion, canary=None, shadow=None):
    canary = {"model_version": canary, "share": 0.1} if canary else None
    return {"revision": 0, "champion": champion, "canary": canary, "shadow": shadow}


def aliases(client):
    return dict(client.get_registered_model(tracking.NAME).aliases)


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


@pytest.fixture
def registry(monkeypatch, made, tmp_path):
    """A registry of its own with versions v1, v2 and v3."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for version in ("v1", "v2", "v3"):
        tracking.log(as_version(made, tmp_path, version), lambda _: None, tmp_path)
    return tmp_path


def told(folder):
    return {alias: str(number) for alias, number in aliases(tracking.connect(folder)).items()}


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


def rewritten(made, tmp_path, version, why):
    """Another bundle of the same version: its verdicts are forced."""
    opened = Bundle(as_version(made, tmp_path, version).file.read_bytes())
    failed = [Gate(g.name, g.name != "AUC", g.figure, g.limit, g.told) for g in made.gates]
    file = tmp_path / version / f"{version}.bundle"
    file.write_bytes(gates.stamp(opened, failed, opened.manifest["metrics"]["champion"], why))
    return Made(file.parent, file, True, Bundle(file.read_bytes()).manifest, made.metrics, failed, {})


def digest_of(made):
    return f"sha256:{hashlib.sha256(made.file.read_bytes()).hexdigest()}"


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


@pytest.fixture
def store(registry, monkeypatch):
    """The registry is where commands look for it."""
    monkeypatch.setattr(tracking, "ROOT", registry)
    (registry / "data").mkdir()
    shutil.copyfile(registry / "mlflow.db", registry / "data" / "mlflow.db")
    return registry


@pytest.fixture
def champion(capsys):
    """Say which champion a gate takes, and what it says of it."""

    def asked(*flags):
        capsys.readouterr()
        chosen = champions.choose(parser().parse_args(["gate", "--candidate", "shipped", *flags]))
        return chosen.version, capsys.readouterr().err

    return asked


SHIPPED = Bundle(champions.SHIPPED.read_bytes())


def written(path, found):
    path.write_text(json.dumps(found))
    return str(path)


class Stream:
    """A binary that answers as one does that asks a stream, and notes what it was asked."""

    def __init__(self, folder, history, models):
        self.asked = folder / "asked.txt"
        self.path = folder / "creditstream"
        history, models = written(folder / "history", history), written(folder / "models", models)
        self.path.write_text(
            f"""#!/bin/sh
echo "$*" >>{self.asked}
case "$*" in
version) echo creditstream test;;
"model history --json"*) cat {history};;
"model list --json"*) cat {models};;
"model release "*) echo released;;
*) exit 1;;
esac
"""
        )
        self.path.chmod(0o755)

    def release(self, model, *flags):
        return main(["release", str(model), "--binary", str(self.path), *flags])

    def released(self):
        return any(line.startswith("model release ") for line in self.asked.read_text().splitlines())


def models(*entries):
    return [{"version": version, "digest": digest} for version, digest in entries]


def test_a_release_is_held_to_the_champion_of_the_stream(store, made, tmp_path, capsys):
    v2 = tracking.of_version("v2")
    serves = models(("v2", Bundle(v2).digest))
    stream = Stream(tmp_path, [route(SHIPPED.version), route("v2")], serves)
    tracking.mirror([route("v1")])
    assert stream.release(made.file, "--", "--brokers", "b:1", "--ungated", "WHY", "--by=me", "--first") == 1
    err = capsys.readouterr().err
    assert f"model t.1 was held against champion {SHIPPED.version}" in err
    assert f"the stream serves model v2 ({Bundle(v2).digest}), route revision 0: run" in err
    assert not stream.released()
    assert told(store / "data") == {"champion": "2", "challenger": "3"}, "the alias follows, v3 still waits"
    assert "model history --json --brokers b:1\n" in stream.asked.read_text()
    assert "model list --json --brokers b:1\n" in stream.asked.read_text()
    assert stream.release(made.file, "--champion", "v2") == 1
    assert "and --champion v2 is model v2" in capsys.readouterr().err
    flags = ["--champion", "shipped", "--", "--brokers", "b:1", "--by", "me"]
    assert stream.release(made.file, *flags) == 0, "named on purpose"
    asked = stream.asked.read_text().splitlines()[-1]
    assert asked.startswith("model release ") and asked.endswith(".bundle --brokers b:1 --by me")
    assert "warning: whatever the stream serves" in capsys.readouterr().err
    assert stream.released()


def test_what_was_held_against_the_champion_of_the_stream_is_released(store, made, tmp_path, capsys):
    for digest in ([(SHIPPED.version, SHIPPED.digest)], []):
        stream = Stream(tmp_path, [route(SHIPPED.version)], models(*digest))
        assert stream.release(made.file) == 0
        assert "is the shipped model: candidates are held against it" in capsys.readouterr().err
    stream = Stream(tmp_path, [route(SHIPPED.version)], models((SHIPPED.version, "sha256:other")))
    assert stream.release(made.file) == 1, "the same version, other bytes"
    again = Stream(tmp_path, [route("t.1")], models(("t.1", digest_of(made))))
    assert again.release(made.file) == 0, "what serves may be released again"


def test_without_a_route_a_release_says_that_no_champion_is_known(store, made, tmp_path, capsys):
    stream = Stream(tmp_path, [], [])
    assert stream.release(made.file) == 0
    assert f"the stream has no route and {tracking.CHAMPION_URI} names nothing" in capsys.readouterr().err
    tracking.mirror([route("v2")])
    assert stream.release(made.file) == 1
    assert f"{tracking.CHAMPION_URI} is model v2" in capsys.readouterr().err


def test_every_flag_of_release_alone_is_kept_from_the_history():
    def of(command):
        said = Binary.locate(None).run(["model", command, "--help"])
        return set(re.findall(r"^ *(?:-\w, )?(--[a-z-]+)", said, re.M))

    assert of("release") - of("history") | {"--json"} == set(releasing.RELEASE_ALONE)
    assert of("history") - of("release") == set()
    assert of("list") == of("history")
    assert releasing.connection(["--engine", "onnx", "--tls", "--by=a b", "--brokers=x:1"]) == [
        "--tls",
        "--brokers=x:1",
    ]


def test_a_champion_that_is_not_registered_is_missed_by_name(store, champion, tmp_path, capsys):
    tracking.mirror([route("v1")])
    history = written(tmp_path / "history.json", [route("v1"), route("elsewhere")])
    assert main(["aliases", "--route", history]) == 0
    out, err = capsys.readouterr()
    assert "champion: elsewhere is not registered here" in out
    assert "warning: the stream serves model elsewhere, route revision 0, which is not registered" in err
    for command in (["gate", "--candidate", "shipped"], ["train", "--out", str(tmp_path / "dist")]):
        assert main(command) == 1
        err = capsys.readouterr().err
        assert "the stream serves model elsewhere, route revision 0, and MLflow does not hold" in err
        assert "--champion FILE or VERSION; --champion shipped" in err
        assert main([*command, "--first"]) == 1
        assert "--first: the stream serves model elsewhere" in capsys.readouterr().err
    assert champion("--champion", "shipped")[0] == SHIPPED.version
    assert champion("--champion", "v2")[0] == "v2", "by its version"


def test_the_shipped_model_is_the_champion_where_the_stream_serves_it(store, champion, tmp_path, capsys):
    history = written(tmp_path / "history.json", [route(SHIPPED.version)])
    released = written(tmp_path / "models.json", models((SHIPPED.version, SHIPPED.digest)))
    assert main(["aliases", "--route", history, "--models", released]) == 0
    assert "is the shipped model" in capsys.readouterr().err
    version, said = champion()
    assert version == SHIPPED.version
    assert said.endswith(", shipped: the stream serves it, as of route revision 0\n")
    other = written(tmp_path / "models.json", models((SHIPPED.version, "sha256:other")))
    assert main(["aliases", "--route", history, "--models", other]) == 0
    assert "warning: the stream serves" in capsys.readouterr().err
    with pytest.raises(ValueError, match="MLflow does not hold that bundle"):
        champion()


def test_before_anything_is_registered_the_shipped_model_is_the_champion(tmp_path, monkeypatch, champion):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(tracking, "ROOT", tmp_path)
    version, said = champion()
    assert (version, list(tmp_path.iterdir())) == (SHIPPED.version, [])
    assert said.endswith(", shipped: no model was ever registered\n")
    tracking.mirror([route("elsewhere")])
    with pytest.raises(ValueError, match="the stream serves model elsewhere"):
        champion()


def test_the_champion_is_the_one_that_the_alias_names(store, made, champion, capsys):
    version, said = champion()
    assert version == SHIPPED.version, "no alias yet"
    assert "warning: MLflow was never told what the stream serves" in said
    assert said.endswith(", shipped: no alias names one\n")
    tracking.mirror([route("v2")])
    version, said = champion()
    assert version == "v2"
    assert said.startswith("champion: model v2 (sha256:")
    assert said.endswith(f", {tracking.CHAMPION_URI}, as of route revision 0\n")
    assert champion("--champion", "models:/credit_default@champion")[0] == "v2"
    assert champion("--champion", "shipped")[0] == SHIPPED.version
    assert main(["gate", "--candidate", str(made.file), "--first"]) == 1
    assert f"--first: {tracking.CHAMPION_URI} is model v2" in capsys.readouterr().err


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


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def wait_for(condition, process, output, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.1)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """An MLflow server that serves its artefacts, in a process group of its own."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    output = tmp_path / "server.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "mlflow",
                "server",
                "--backend-store-uri",
                f"sqlite:///{tmp_path / 'server.db'}",
                "--artifacts-destination",
                str(tmp_path / "artifacts"),
                "--host",
                "127.0.0.1",
                "--port",
                str(port),
                "--workers",
                "1",
            ],
            stdout=file,
            stderr=file,
            cwd=tmp_path,
            env={
                **os.environ,
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "DO_NOT_TRACK": "true",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            },
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: answers(url + "/health"), process, output)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def demo(tmp_path):
    """A Kafka with topics and a route: the demo's."""
    binary = Binary.locate(None)
    output = tmp_path / "demo.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            [str(binary.path), "demo", "--in-process", "--rate", "1", "--api-listen", "127.0.0.1:0"],
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        wait_for(lambda: re.search(r"Kafka +[\d.:]+,", output.read_text()), process, output)
        yield re.search(r"Kafka +([\d.:]+),", output.read_text()).group(1)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def test_released_from_a_server_to_kafka_and_mirrored_back(server, demo, made, capfd, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "ROOT", Path("/nowhere"))  # nothing but the server is asked
    number = tracking.log(made, lambda _: None)
    kafka = ["--brokers", demo]
    asked = ["release", "models:/credit_default@challenger"]
    assert main([*asked, "--", *kafka]) == 1
    assert "and the stream serves model" in capfd.readouterr().err, "the demo's, not the shipped one"
    assert tracking.serving().version.startswith(SHIPPED.version)
    assert main([*asked, "--champion", "shipped", "--", *kafka]) == 0
    digest = hashlib.sha256(made.file.read_bytes()).hexdigest()
    assert f"released model t.1 (sha256:{digest}" in capfd.readouterr().out
    binary = Binary.locate(None)

    def history():
        return json.loads(binary.run(["model", "history", "--json", *kafka]))

    def serve(*what):
        revision = str(history()[-1]["revision"])
        binary.run(["model", "route", *kafka, *what, "--expect", revision, "--why", "tried"])
        file = tmp_path / "history.json"
        file.write_text(json.dumps(history()))
        models = tmp_path / "models.json"
        models.write_text(binary.run(["model", "list", "--json", *kafka]))
        assert main(["aliases", "--route", str(file), "--models", str(models)]) == 0

    champion = history()[-1]["champion"]
    serve("--champion", champion, "--canary", "t.1=10%")
    out = capfd.readouterr().out
    assert f"champion: {champion} is not registered here" in out
    assert f"challenger: t.1, credit_default version {number}" in out
    serve("--champion", "t.1")
    assert {a: str(v) for a, v in aliases(tracking.connect()).items()} == {"champion": number}
