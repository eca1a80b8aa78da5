import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from credit_retrain.artifact import bundle, card, manifest, refit
from credit_retrain.artifact.native import Binary, NativeError
from credit_retrain.artifact.opened import Bundle
from credit_retrain.data.dataset import Dataset, split
from credit_retrain.evaluate import gates, holdout
from credit_retrain.evaluate.gates import Case, Gate, Limits
from credit_retrain.model import train

SMALL = {**train.SHARED, "max_depth": 2, "n_estimators": 40, "learning_rate": 0.15}


def silent(_):
    pass


@pytest.fixture(scope="module")
def fitted(uci):
    rows, test = split(uci)
    return train.fit(rows, test, SMALL, 42, silent)


def packed(fitted, uci, version="t.1"):
    probability = fitted.pipeline.predict_proba(fitted.test.features)[:, 1]
    metrics = {"test": holdout.evaluate(fitted.test.defaulted, probability, 1, 20).to_dict()}
    manifest = train.describe(fitted, uci, version, "2026-01-01T00:00:00Z", metrics)
    return Bundle(train.pack(fitted, manifest, card.write(manifest)))


@pytest.fixture(scope="module")
def candidate(fitted, uci):
    return packed(fitted, uci)


@pytest.fixture(scope="module")
def binary():
    return Binary.locate(None)


def validated(fitted, **changes):
    digests = {"train": {"digest": fitted.train.digest()}, "test": {"digest": fitted.test.digest()}}
    return {"passed": True, "data": digests, "checks": [], **changes}


def case(fitted, candidate, binary=None, champion=None, validation=None, pipeline=None, first=None):
    return Case(
        candidate,
        champion,
        fitted.train,
        fitted.test,
        pipeline or fitted.pipeline,
        binary,
        validation or validated(fitted),
        first=champion is None if first is None else first,
    )


def edited(opened, change, **files):
    """Return a bundle whose manifest or files were changed, its digests made right again."""
    manifest = json.loads(json.dumps(opened.manifest))
    manifest.pop("files")
    change(manifest)
    kept = {name: content for name, content in opened.files.items() if name != "manifest.json"}
    return Bundle(bundle.pack(manifest, {**kept, **files}))


def named(verdicts):
    return {verdict.name: verdict for verdict in verdicts}


def nothing(manifest):
    pass


def test_a_sound_candidate_passes_every_gate(fitted, candidate, binary, tmp_path):
    verdicts = gates.judge(case(fitted, candidate, binary, champion=candidate), tmp_path)
    assert [v.line() for v in verdicts if not v.passed] == []
    found = named(verdicts)
    assert found["native engine"].figure < 1e-6
    assert f"{len(fitted.test)} held out" in found["data"].told
    assert found["AUC"].figure == pytest.approx(0, abs=1e-5), "held against itself"
    assert found["score PSI, champion"].figure < 1e-3
    assert tuple(v.name for v in verdicts) == gates.NAMES
    assert {f"approval ratio by {a}" for a in ("sex", "education", "marriage", "age")} <= found.keys()


def test_without_the_binary_what_needs_it_fails(fitted, candidate, tmp_path):
    failed = {v.name: v.told for v in gates.judge(case(fitted, candidate), tmp_path) if not v.passed}
    assert set(failed) == {"native engine", "golden rows"}
    assert all("make build" in told for told in failed.values())


def test_data_that_are_not_valid_fail(fitted, candidate):
    def told(validation):
        verdict = gates._data(case(fitted, candidate, validation=validation))
        assert not verdict.passed
        return verdict.told

    checks = [
        {"name": "duplicates", "passed": False, "gating": True},
        {"name": "label balance", "passed": True, "gating": True},
        {"name": "labelled", "passed": False, "gating": False},
    ]
    assert told(validated(fitted, passed=False, checks=checks)) == "validation failed at duplicates"
    other = {"train": {"digest": fitted.train.digest()}, "test": {"digest": "sha256:other"}}
    assert "validated were other test rows: sha256:other" in told(validated(fitted, data=other))


def test_data_that_nobody_validated_fail(fitted, candidate):
    nobody = Case(candidate, None, fitted.train, fitted.test, fitted.pipeline, None, None)
    assert "credit-retrain validate" in gates._data(nobody).told


def test_other_rows_than_the_manifests_fail(fitted, candidate):
    fewer = fitted.test.take(np.arange(len(fitted.test)) > 9)
    verdict = gates._data(
        Case(candidate, None, fitted.train, fewer, fitted.pipeline, None, validated(fitted))
    )
    assert not verdict.passed
    assert "test_digest" in verdict.told


def test_a_graph_that_is_not_the_pipelines_fails_on_every_engine(fitted, candidate, binary, uci, tmp_path):
    other = train.fit(fitted.train, fitted.test, {**SMALL, "n_estimators": 41}, 42, silent)
    found = named(gates.judge(case(fitted, candidate, binary, pipeline=other.pipeline), tmp_path))
    for engine in ("ONNX Runtime", "native engine"):
        assert not found[engine].passed
        assert found[engine].figure > 1e-6


def test_golden_rows_that_were_changed_fail(fitted, candidate, binary, tmp_path):
    golden = json.loads(candidate.files["golden.json"])
    golden["rows"][3]["probability"] += 1e-4
    broken = edited(candidate, nothing, **{"golden.json": bundle.to_json(golden)})
    verdict = named(gates.judge(case(fitted, broken, binary), tmp_path))["golden rows"]
    assert not verdict.passed
    assert "disagrees with itself" in verdict.told


def test_a_worse_candidate_fails_by_its_auc(fitted, candidate, uci, tmp_path):
    weak = train.fit(fitted.train, fitted.test, {**SMALL, "n_estimators": 2}, 42, silent)
    verdict = named(gates.judge(case(weak, packed(weak, uci), champion=candidate), tmp_path))["AUC"]
    assert not verdict.passed
    assert verdict.figure < -0.005
    assert f"champion t.1 ({candidate.digest[:19]})" in verdict.told


def test_a_champion_that_may_have_seen_the_rows_is_no_yardstick(fitted, candidate, tmp_path):
    def other_rows(manifest):
        manifest["training"]["test_digest"] = "sha256:other"
        del manifest["training"]["holdout"]

    seen = edited(candidate, other_rows)
    verdict = named(gates.judge(case(fitted, candidate, champion=seen), tmp_path))["AUC"]
    assert verdict.passed
    assert "refused as a yardstick" in verdict.told
    assert "its recipe, fitted again" in verdict.told
    assert verdict.figure == pytest.approx(0, abs=1e-5), "the recipe is the candidate's own"

    def no_recipe(manifest):
        other_rows(manifest)
        del manifest["training"]["parameters"]

    verdict = named(gates.judge(case(fitted, candidate, champion=edited(candidate, no_recipe)), tmp_path))[
        "AUC"
    ]
    assert "floor of 0.75" in verdict.told
    assert verdict.figure == pytest.approx(candidate.manifest["metrics"]["test"]["auc"], abs=1e-4)


def test_the_same_rule_makes_a_yardstick_of_a_champion_with_other_rows(fitted, candidate):
    def other_rows(manifest):
        manifest["training"]["test_digest"] = "sha256:other"

    assert gates.yardstick(case(fitted, candidate, champion=edited(candidate, other_rows))) is None

    def no_rule(manifest):
        other_rows(manifest)
        del manifest["training"]["holdout"]

    assert "refused" in gates.yardstick(case(fitted, candidate, champion=edited(candidate, no_rule)))


class Shifted:
    """A pipeline whose probabilities are moved by a function."""

    def __init__(self, pipeline, move):
        self.pipeline, self.move = pipeline, move

    def predict_proba(self, X):
        p = self.move(self.pipeline.predict_proba(X)[:, 1], X)
        return np.column_stack([1 - p, p])


def test_a_candidate_that_promises_too_little_fails_by_its_calibration(fitted, candidate, tmp_path):
    low = Shifted(fitted.pipeline, lambda p, _: 0.8 * p)
    verdict = named(gates.judge(case(fitted, candidate, pipeline=low), tmp_path))["calibration"]
    assert not verdict.passed
    assert verdict.figure > 0.02


def test_a_candidate_that_refuses_a_group_fails_by_its_fairness(fitted, candidate, tmp_path):
    def against_men(p, X):
        return np.where(np.asarray(X)[:, 1] == 1, np.maximum(p, 0.5), p)

    found = named(
        gates.judge(case(fitted, candidate, pipeline=Shifted(fitted.pipeline, against_men)), tmp_path)
    )
    assert not found["approval ratio by sex"].passed
    assert not found["equal opportunity by sex"].passed
    assert found["approval ratio by sex"].figure < 0.8


def test_scores_that_moved_fail_by_their_psi(fitted, candidate, tmp_path):
    half = len(fitted.test)

    def moved(p, X):
        return np.clip(p + 0.15, 0, 1) if len(X) == half else p

    found = named(
        gates.judge(
            case(fitted, candidate, champion=candidate, pipeline=Shifted(fitted.pipeline, moved)), tmp_path
        )
    )
    assert not found["score PSI, hold-out"].passed
    assert not found["score PSI, champion"].passed


def test_limits_decide(fitted, candidate, tmp_path):
    strict = Limits(ece=-1, holdout_psi=-1)
    failed = {v.name for v in gates.judge(case(fitted, candidate), tmp_path, strict) if not v.passed}
    assert {"calibration", "score PSI, hold-out"} <= failed


def test_without_a_champion_only_the_first_model_passes(fitted, candidate, binary, tmp_path):
    first = gates.judge(case(fitted, candidate, binary, first=True), tmp_path)
    assert [v.line() for v in first if not v.passed] == []
    assert "the first model" in named(first)["AUC"].told
    assert "floor of 0.75" in named(first)["AUC"].told
    none = gates.judge(case(fitted, candidate, binary, first=False), tmp_path)
    failed = {v.name: v.told for v in none if not v.passed}
    assert set(failed) == {"AUC", "score PSI, champion"}
    assert all("--first" in told for told in failed.values())
    assert tuple(v.name for v in first) == tuple(v.name for v in none) == gates.NAMES


def test_a_figure_beyond_its_limit_that_passes_by_its_interval_says_so(fitted, candidate, tmp_path):
    def slightly_against_men(p, X):
        men = np.flatnonzero(np.asarray(X)[:, 1] == 1)
        p = p.copy()
        p[men[: int(0.19 * len(men))]] = 0.5
        return p

    verdict = named(
        gates.judge(
            case(fitted, candidate, pipeline=Shifted(fitted.pipeline, slightly_against_men)), tmp_path
        )
    )["approval ratio by sex"]
    assert verdict.figure < 0.8
    assert verdict.passed and verdict.unsure
    assert verdict.line().startswith("pass (not surely beyond the limit)  approval ratio by sex: 0.7")
    plain = Gate("data", True, 0, 0, "valid")
    assert plain.line() == "pass  data: valid"
    assert Gate("data", False, 1, 0, "not").line() == "FAIL  data: not"
    assert gates.record([verdict])[0]["unsure"] is True


def test_verdicts_are_recorded_and_decide_about_the_release(fitted, candidate, binary, tmp_path):
    assert "has been through no gate" in gates.releasable(candidate)
    without = case(fitted, candidate, champion=candidate)
    verdicts = gates.judge(without, tmp_path)  # no binary: two fail
    held = without.held_against()
    assert held == {"version": "t.1", "digest": candidate.digest}
    refused = Bundle(gates.stamp(candidate, verdicts, held, None))
    assert "failed at native engine, golden rows" in gates.releasable(refused)
    forced = Bundle(gates.stamp(candidate, verdicts, held, "the binary is built elsewhere"))
    assert gates.releasable(forced) is None
    assert forced.manifest["forced"] == {
        "why": "the binary is built elsewhere",
        "gates": ["native engine", "golden rows"],
    }
    sound = gates.judge(case(fitted, candidate, binary, champion=candidate), tmp_path)
    passed = Bundle(gates.stamp(candidate, sound, held, "not needed"))
    assert gates.releasable(passed) is None
    assert passed.manifest["forced"] is None, "nothing was overruled"
    assert passed.manifest["metrics"]["champion"] == held
    assert gates.judged_against(passed) == f"held against champion t.1 ({candidate.digest})"
    assert passed.files["model.onnx"] == candidate.files["model.onnx"]
    fewer = [replace(v, passed=v.name != "native engine") for v in verdicts]
    half = Bundle(gates.stamp(candidate, fewer, held, "the binary is built elsewhere"))
    half.manifest["metrics"]["gates"] = gates.record(verdicts)
    assert "failed at golden rows," in gates.releasable(half), "only the other is overruled"


def test_the_binary_asks_for_the_same_verdicts(fitted, candidate, binary, tmp_path):
    asked = case(fitted, candidate, champion=candidate)
    verdicts, held = gates.judge(asked, tmp_path), asked.held_against()  # no binary: two fail

    def release(content, *flags):
        file = tmp_path / "asked.bundle"
        file.write_bytes(content)
        # Nobody listens there: what is refused is refused before anything is asked for.
        binary.run(["model", "release", str(file), "--brokers", "127.0.0.1:1", *flags])

    for flags in ((), ("--ungated", "in a hurry")):
        with pytest.raises(NativeError, match=r"golden rows: figure none, limit 1e-06 \(no creditstream"):
            release(gates.stamp(candidate, verdicts, held, None), *flags)
    with pytest.raises(NativeError, match="has been through no gate"):
        release(candidate.content)
    with pytest.raises(NativeError, match="lacks native engine; golden rows"):
        release(gates.stamp(candidate, [v for v in verdicts if v.passed], held, None))
    sound = gates.stamp(candidate, all_passed(), held, None)
    forced = gates.stamp(candidate, verdicts, held, "the binary is built elsewhere")
    for content, flags in ((sound, ()), (forced, ()), (candidate.content, ("--ungated", "a sandbox"))):
        with pytest.raises(NativeError, match="no Kafka broker answers"):
            release(content, *flags)


def all_passed():
    return [Gate(name, True, 0, 0, "") for name in gates.NAMES]


@pytest.mark.parametrize("name", gates.NAMES)
def test_a_gate_that_was_not_run_is_no_gate_passed(candidate, name):
    held = {"version": "t.0", "digest": "sha256:0"}
    assert gates.releasable(Bundle(gates.stamp(candidate, all_passed(), held, None))) is None
    fewer = [v for v in all_passed() if v.name != name]
    assert f"not been through {name}" in gates.releasable(Bundle(gates.stamp(candidate, fewer, held, None)))
    one = [Gate(v.name, v.name != name, 0, 0, "") for v in all_passed()]
    assert f"failed at {name}," in gates.releasable(Bundle(gates.stamp(candidate, one, held, None)))


def test_only_the_gates_that_were_overruled_are(candidate):
    held = {"version": "t.0", "digest": "sha256:0"}
    failed = [Gate(v.name, v.name not in ("AUC", "calibration"), 0, 0, "") for v in all_passed()]

    def one_of_them(manifest):
        manifest["forced"] = {"why": "as a test", "gates": ["calibration"]}

    claimed = edited(Bundle(gates.stamp(candidate, failed, held, None)), one_of_them)
    assert "failed at AUC, and nobody" in gates.releasable(claimed)


def test_verdicts_name_the_champion_they_were_reached_against(candidate):
    nobody = Bundle(gates.stamp(candidate, all_passed(), None, None))
    assert "does not name the champion" in gates.releasable(nobody)
    first = Bundle(gates.stamp(candidate, all_passed(), {"first": True}, None))
    assert gates.releasable(first) is None
    assert "the first model" in gates.judged_against(first)


def test_what_was_held_against_a_champion_is_not_made_the_first(candidate):
    held = {"version": "t.0", "digest": "sha256:0"}
    failed = [Gate(v.name, v.name != "AUC", 0, 0, "") for v in all_passed()]
    refused = Bundle(gates.stamp(candidate, failed, held, None))
    for without in (None, {"first": True}):
        assert "already held against champion t.0 (sha256:0)" in gates.recordable(refused, without)
        assert gates.recordable(candidate, without) is None
    assert gates.recordable(refused, {"version": "t.5", "digest": "sha256:5"}) is None


def without(key):
    return lambda manifest: manifest.pop(key)


def setting(value, *path):
    def change(manifest):
        node = manifest
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without("metrics"), "metrics is None, expected an object"),
        (without("training"), "training is None, expected an object"),
        (without("version"), "version is None, expected a string"),
        (setting(7, "version"), "version is 7, expected a string"),
        (setting([], "training"), r"training is \[\], expected an object"),
        (setting("x" * 500, "training", "seed"), "training.seed is 'x+\\.\\.\\., expected a whole number"),
        (setting(1, "training", "test_digest"), "training.test_digest is 1, expected a string"),
        (setting({}, "metrics", "gates"), "metrics.gates is {}, expected a list"),
        (setting(["AUC"], "metrics", "gates"), r"metrics.gates\[0\] is 'AUC', expected an object"),
        (setting([{"passed": True}], "metrics", "gates"), r"gates\[0\].name is None, expected a string"),
        (
            setting([{"name": "AUC"}], "metrics", "gates"),
            r"gates\[0\].passed is None, expected true or false",
        ),
        (setting({"version": "1"}, "metrics", "champion"), "metrics.champion is .* a version and a digest"),
        (setting("because", "forced"), "forced is 'because', expected an object"),
        (setting({"why": " ", "gates": []}, "forced"), "forced.why is ' ', expected a reason"),
        (setting({"why": "so"}, "forced"), "forced.gates is None, expected a list"),
    ],
)
def test_a_manifest_of_another_shape_is_refused_by_name(candidate, change, told):
    with pytest.raises(ValueError, match=told):
        edited(candidate, change)


@pytest.mark.parametrize(
    ("text", "told"),
    [(b"{", "manifest.json is not JSON"), (b"\xff", "not JSON"), (b"[]", "manifest.json is \\[\\]")],
)
def test_a_manifest_that_is_no_object_is_refused(text, told):
    with pytest.raises(ValueError, match=told):
        manifest.read(text)


def test_a_manifest_that_names_a_file_that_is_not_there_is_refused(candidate):
    files = {**candidate.files, "manifest.json": b""}
    said = {**candidate.manifest, "files": {**candidate.manifest["files"], "more": {"sha256": "0"}}}
    files["manifest.json"] = bundle.to_json(said)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match="more is not the file"):
        Bundle(out.getvalue())


def test_a_graph_that_is_none_is_refused(fitted, candidate):
    broken = edited(candidate, nothing, **{"model.onnx": b"no graph"})
    with pytest.raises(ValueError, match=r"model t\.1: model\.onnx is no ONNX graph"):
        broken.score(fitted.test.features)


def test_a_bundle_that_does_not_say_how_it_was_trained_is_not_fitted_again(fitted, candidate):
    silent_about_it = edited(candidate, lambda m: m["training"].pop("parameters"))
    with pytest.raises(ValueError, match="does not say how it was trained"):
        refit.pipeline_of(silent_about_it, fitted.train)


def test_a_file_that_is_not_the_manifests_is_refused(candidate):
    i = candidate.content.index(b"Probability that a credit card holder")
    broken = candidate.content[:i] + b"p" + candidate.content[i + 1 :]
    with pytest.raises(ValueError, match=r"no model bundle|not the file"):
        Bundle(broken)
    with pytest.raises(ValueError, match="no model bundle"):
        Bundle(b"something else")


def test_no_binary_says_how_to_get_one(tmp_path):
    with pytest.raises(NativeError, match="make build"):
        Binary.locate(str(tmp_path / "absent"))


def test_what_the_binary_refuses_is_told(binary, tmp_path):
    file = tmp_path / "no.bundle"
    file.write_bytes(b"something else")
    rows = Dataset(np.ones((1, 23)), np.zeros(1, np.int64))
    with pytest.raises(NativeError, match="not a model bundle"):
        binary.score(file, rows)
    assert binary.verify(file)["ok"] is False


def test_the_binary_scores_missing_values(fitted, candidate, binary, tmp_path):
    file = tmp_path / "candidate.bundle"
    file.write_bytes(candidate.content)
    rows = Dataset(
        train.with_missing(fitted.test.features[:200].astype(float), 0.3, 1), fitted.test.defaulted[:200]
    )
    np.testing.assert_allclose(
        binary.score(file, rows), fitted.pipeline.predict_proba(rows.features)[:, 1], rtol=0, atol=1e-6
    )
