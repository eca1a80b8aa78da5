import json
from dataclasses import replace

import numpy as np
import pytest

from credit_retrain import bundle, card, evaluate, gates, train
from credit_retrain.dataset import Dataset, split
from credit_retrain.gates import Bundle, Case, Limits
from credit_retrain.native import Binary, NativeError

SMALL = {**train.SHARED, "max_depth": 2, "n_estimators": 40, "learning_rate": 0.15}


def silent(_):
    pass


@pytest.fixture(scope="module")
def fitted(uci):
    rows, test = split(uci)
    return train.fit(rows, test, SMALL, 42, silent)


def packed(fitted, uci, version="t.1", training=None):
    probability = fitted.pipeline.predict_proba(fitted.test.features)[:, 1]
    metrics = {"test": evaluate.evaluate(fitted.test.defaulted, probability, 1, 20).to_dict()}
    manifest = train.describe(fitted, uci, version, "2026-01-01T00:00:00Z", metrics, training)
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


def case(fitted, candidate, binary=None, champion=None, validation=None, pipeline=None):
    return Case(
        candidate,
        champion,
        fitted.train,
        fitted.test,
        pipeline or fitted.pipeline,
        binary,
        validation or validated(fitted),
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
    assert {"calibration", "golden rows", "ONNX Runtime", "score PSI, hold-out"} <= found.keys()
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
    assert "credit_retrain validate" in gates._data(nobody).told


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
    assert "champion t.1's" in verdict.told


def test_a_champion_that_may_have_seen_the_rows_is_no_yardstick(fitted, candidate, tmp_path):
    def other_rows(manifest):
        manifest["training"]["test_digest"] = "sha256:other"

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


def test_the_same_rule_makes_a_yardstick_of_a_champion_with_other_rows(fitted, uci):
    ruled = packed(fitted, uci, training={"holdout": gates.HOLDOUT_RULE})

    def other_rows(manifest):
        manifest["training"]["test_digest"] = "sha256:other"

    assert gates.yardstick(case(fitted, ruled, champion=edited(ruled, other_rows))) is None

    def no_rule(manifest):
        other_rows(manifest)
        del manifest["training"]["holdout"]

    assert "refused" in gates.yardstick(case(fitted, ruled, champion=edited(ruled, no_rule)))


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


def test_verdicts_are_recorded_and_decide_about_the_release(fitted, candidate, tmp_path):
    assert "has been through no gate" in gates.releasable(candidate)
    verdicts = gates.judge(case(fitted, candidate), tmp_path)  # no binary: two fail
    refused = Bundle(gates.stamp(candidate, verdicts, None))
    assert "failed at native engine, golden rows" in gates.releasable(refused)
    forced = Bundle(gates.stamp(candidate, verdicts, "the binary is built elsewhere"))
    assert gates.releasable(forced) is None
    assert forced.manifest["forced"] == {
        "why": "the binary is built elsewhere",
        "gates": ["native engine", "golden rows"],
    }
    sound = [v for v in verdicts if v.passed]
    passed = Bundle(gates.stamp(candidate, sound, "not needed"))
    assert gates.releasable(passed) is None
    assert passed.manifest["forced"] is None, "nothing was overruled"
    assert passed.files["model.onnx"] == candidate.files["model.onnx"]
    fewer = [replace(v, passed=v.name != "native engine") for v in verdicts]
    half = Bundle(gates.stamp(candidate, fewer, "the binary is built elsewhere"))
    half.manifest["metrics"]["gates"] = gates.record(verdicts)
    assert "failed at native engine, golden rows" in gates.releasable(half), "only one of them is overruled"


def test_the_binary_asks_for_the_same_verdicts(fitted, candidate, binary, tmp_path):
    verdicts = gates.judge(case(fitted, candidate), tmp_path)  # no binary: two fail

    def release(content, *flags):
        file = tmp_path / "asked.bundle"
        file.write_bytes(content)
        # Nobody listens there: what is refused is refused before anything is asked for.
        binary.run(["model", "release", str(file), "--brokers", "127.0.0.1:1", *flags])

    for flags in ((), ("--ungated", "in a hurry")):
        with pytest.raises(NativeError, match=r"golden rows: figure none, limit 1e-06 \(no creditstream"):
            release(gates.stamp(candidate, verdicts, None), *flags)
    with pytest.raises(NativeError, match="has been through no gate"):
        release(candidate.content)
    sound = gates.stamp(candidate, [v for v in verdicts if v.passed], None)
    forced = gates.stamp(candidate, verdicts, "the binary is built elsewhere")
    for content, flags in ((sound, ()), (forced, ()), (candidate.content, ("--ungated", "a sandbox"))):
        with pytest.raises(NativeError, match="no Kafka broker answers"):
            release(content, *flags)


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
