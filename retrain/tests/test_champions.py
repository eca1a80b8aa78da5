"""Which model a candidate is held against, and what a release makes of it."""

import json
import re

import pytest
from registered import SHIPPED, digest_of, route, told

from credit_retrain.__main__ import main
from credit_retrain.artifact.native import Binary
from credit_retrain.artifact.opened import Bundle
from credit_retrain.registry import champions, releasing, tracking


@pytest.fixture
def champion(capsys):
    """Say which champion a gate takes, and what it says of it."""

    def asked(*named):
        capsys.readouterr()
        chosen = champions.choose(*named)
        return chosen.version, capsys.readouterr().err

    return asked


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
    assert champion("shipped")[0] == SHIPPED.version
    assert champion("v2")[0] == "v2", "by its version"


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


@pytest.mark.slow
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
    assert champion("models:/credit_default@champion")[0] == "v2"
    assert champion("shipped")[0] == SHIPPED.version
    assert main(["gate", "--candidate", str(made.file), "--first"]) == 1
    assert f"--first: {tracking.CHAMPION_URI} is model v2" in capsys.readouterr().err
