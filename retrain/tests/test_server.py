"""An MLflow server, a broker and the way from one to the other and back."""

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from registered import SHIPPED, aliases

from credit_retrain.__main__ import main
from credit_retrain.artifact.native import Binary
from credit_retrain.registry import tracking


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
