import numpy as np
import pandas as pd
import pytest

from credit_retrain.data import dataset, exported
from credit_retrain.uci.contract import LABEL, NAMES


def decided(rows, seed=1):
    """An export: `rows` decisions, approved below 0.3, outcomes of most of the approved."""
    rng = np.random.default_rng(seed)
    frame = rows.frame()
    label = frame.pop(LABEL).astype("Int64")
    p = np.round(rng.random(len(frame)) * 0.8, 4)
    decision = np.select([p < 0.3, p < 0.5], ["approve", "refer"], "decline")
    unknown = (decision != "approve") | (rng.random(len(frame)) < 0.1)
    head = pd.DataFrame(
        {
            "application_id": [f"A-{i}" for i in range(len(frame))],
            "applied_at": "2026-11-01T00:00:00Z",
            "decided_at": [f"2026-11-01T00:{i // 60 % 60:02}:{i % 60:02}.5Z" for i in range(len(frame))],
            "model_version": "2026-11-23.1",
            "default_probability": p,
            "decision": decision,
        }
    )
    return pd.concat([head, frame, label.mask(unknown)], axis=1)


@pytest.fixture
def frame(few):
    return decided(dataset.Dataset(few.features[:400], few.defaulted[:400]))


def read(path, frame):
    frame.to_csv(path, index=False)
    return exported.read(path)


def test_an_export_is_read_as_it_was_written(tmp_path, frame, few):
    got = read(tmp_path / "export.csv", frame)
    assert (len(got), got.rows) == (400, 400)
    known = frame[LABEL].notna().to_numpy()
    labelled = got.labelled()
    np.testing.assert_array_equal(labelled.features, few.features[:400][known])
    np.testing.assert_array_equal(labelled.defaulted, frame[LABEL][known].astype(int))
    assert (
        labelled.source == "decisions from 2026-11-01T00:00:00Z to 2026-11-01T00:06:39Z with known outcomes"
    )


def test_missing_values_stay_missing(tmp_path, frame):
    frame.loc[::2, "age"] = pd.NA
    frame.loc[1, "pay_0"] = pd.NA
    got = read(tmp_path / "export.csv", frame)
    assert np.isnan(got.frame["age"]).sum() == 200
    known = frame[frame[LABEL].notna()]
    labelled = got.labelled()
    np.testing.assert_array_equal(np.isnan(labelled.features), known[NAMES].isna())
    assert got.facts()["missing_share"] == pytest.approx(201 / (400 * 23), abs=1e-6)
    assert labelled.digest() != labelled.take(~np.isnan(labelled.features).any(axis=1)).digest()


def test_an_outcome_labels_the_decision_that_it_is_of(tmp_path, frame):
    """Decided in January, February and March, told of in January and February."""
    frame = frame.head(3).assign(application_id="C-1", default=pd.array([0, 1, None], "Int64"))
    frame["decided_at"] = ["2026-01-10T00:00:00Z", "2026-02-10T00:00:00Z", "2026-03-10T00:00:00.000001Z"]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
        got = read(tmp_path / "export.csv", frame.iloc[order])
        assert (len(got), got.rows, got.facts()["repeated"], got.conflicting) == (3, 3, 0, 0)
        by_month = got.frame.sort_values("decided_at")
        assert by_month["limit_bal"].tolist() == frame["limit_bal"].tolist()
        assert by_month[LABEL].tolist()[:2] == [0, 1]
        assert np.isnan(by_month[LABEL].tolist()[2])
        assert len(got.labelled().defaulted) == 2


def test_a_decision_of_several_exports_counts_once(tmp_path, frame):
    """In the first nothing was known of it, in the others it was told of."""
    one = frame.head(1).assign(application_id="A", decided_at="2026-01-10T00:00:00Z")
    later = frame.iloc[[1]].assign(application_id="A", decided_at="2026-02-10T00:00:00Z", default=pd.NA)
    unknown, yes, no = (one.assign(default=pd.array([v], "Int64")) for v in (None, 1, 0))
    for rows in ([unknown, later, yes, no], [later, yes, unknown, no], [yes, no, later, later]):
        got = read(tmp_path / "export.csv", pd.concat(rows))
        assert (len(got), got.conflicting, got.facts()["repeated"]) == (2, 1, 2)
        assert got.frame.sort_values("decided_at")[LABEL].tolist()[0] == 1
        assert "conflicting: both outcomes are told of 1 decision, the first counts" in exported.lines(
            got.facts()
        )
    superseded = read(tmp_path / "export.csv", pd.concat([unknown, later]))
    assert superseded.frame["decided_at"].item() == pd.Timestamp("2026-02-10", tz="UTC")


def test_an_application_told_of_twice_with_one_outcome_does_not_conflict(tmp_path, frame):
    frame = pd.concat([frame, frame])
    got = read(tmp_path / "export.csv", frame)
    assert (len(got), got.rows, got.conflicting) == (400, 800, 0)
    assert not any(line.startswith("conflicting") for line in exported.lines(got.facts()))


def test_a_line_that_is_shorter_than_the_header_is_no_unknown_outcome(tmp_path, frame):
    path = tmp_path / "export.csv"
    frame.to_csv(path, index=False)
    lines = path.read_text().splitlines()
    lines[3] = lines[3].rsplit(",", 1)[0]
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(dataset.DatasetError, match=f"line 4 has {len(frame.columns) - 1} fields, the header"):
        exported.read(path)


def test_facts_say_who_is_labelled(tmp_path, frame):
    facts = read(tmp_path / "export.csv", frame).facts()
    approved = frame[frame["decision"] == "approve"]
    assert facts["labelled"] == approved[LABEL].notna().sum()
    assert facts["labelled_share"] == pytest.approx(facts["labelled"] / 400)
    assert facts["default_rate"] == pytest.approx(approved[LABEL].dropna().mean(), abs=1e-6)
    assert facts["by_decision"]["approve"]["applications"] == len(approved)
    assert facts["by_decision"]["decline"]["labelled"] == 0
    assert facts["by_decision"]["decline"]["default_rate"] is None
    means = facts["mean_probability"]
    assert means["all"] == pytest.approx(frame["default_probability"].mean(), abs=1e-6)
    assert means["granted"] == pytest.approx(approved["default_probability"].mean(), abs=1e-6)
    assert set(facts["psi"]["granted"]) == set(NAMES)


def test_psi_is_nought_for_all_and_large_where_the_granted_differ(tmp_path, frame):
    frame["decision"] = np.where(frame["limit_bal"] > 200_000, "approve", "decline")
    psi = read(tmp_path / "export.csv", frame).facts()["psi"]["granted"]
    assert max(psi, key=psi.get) == "limit_bal"
    assert psi["limit_bal"] > 0.5 > psi["sex"]
    everybody = read(tmp_path / "export.csv", frame.assign(decision="approve")).facts()["psi"]["granted"]
    assert set(everybody.values()) == {0.0}


def test_the_lines_tell_share_and_bias(tmp_path, frame):
    told = exported.lines(read(tmp_path / "export.csv", frame).facts())
    assert "400 rows, 400 decisions (0 repeated" in told[0]
    assert "approve" in told[1] and "decline 0 of" in told[1]
    assert "among the granted" in told[2] and "PSI" in told[2]
    none = read(tmp_path / "export.csv", frame.assign(decision="decline", default=pd.NA))
    assert exported.lines(none.facts())[-1].startswith("bias: none was granted")


def test_every_violation_is_named(tmp_path, frame):
    frame = frame.astype(object)
    frame.loc[0, "age"] = 17
    frame.loc[1, "decision"] = "maybe"
    frame.loc[2, "decided_at"] = "2026-02-31T00:00:00Z"
    frame.loc[3, "default_probability"] = 1.5
    frame.loc[4, "application_id"] = None
    frame.loc[5, "default"] = 2
    with pytest.raises(dataset.DatasetError) as error:
        read(tmp_path / "export.csv", frame)
    assert [(v.row, v.column) for v in error.value.violations] == [
        (2, "age"),
        (3, "decision"),
        (4, "decided_at"),
        (5, "default_probability"),
        (6, "application_id"),
        (7, "default"),
    ]


def test_violations_of_every_stretch_of_a_long_file_are_named(tmp_path, frame, monkeypatch):
    monkeypatch.setattr(exported, "CHUNK", 100)
    assert len(read(tmp_path / "export.csv", frame)) == 400
    frame.loc[[50, 350], "age"] = 17
    with pytest.raises(dataset.DatasetError) as error:
        read(tmp_path / "export.csv", frame)
    assert [v.row for v in error.value.violations] == [52, 352]


def test_a_file_that_was_cut_off_is_refused(tmp_path, frame):
    path = tmp_path / "export.csv"
    frame.to_csv(path, index=False)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(dataset.DatasetError, match="cut off"):
        exported.read(path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "cut off"),
        ("\n", "no CSV"),
        ("a,b\n1,2,3\n", "line 2 has 3 fields, the header 2"),
        ("a,b\n1,2\n", "no such column"),
        ("a\n\xff\n", "no CSV"),
    ],
)
def test_what_is_no_export_is_refused(tmp_path, content, told):
    path = tmp_path / "export.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(dataset.DatasetError, match=told):
        exported.read(path)


def test_an_export_without_decisions_is_refused(tmp_path, frame):
    with pytest.raises(dataset.DatasetError, match="no decision"):
        read(tmp_path / "export.csv", frame.head(0))
    with pytest.raises(dataset.DatasetError, match="creditstream dataset export"):
        exported.read(tmp_path / "absent.csv")
