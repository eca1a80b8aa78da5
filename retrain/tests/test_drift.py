import json
import os
import zipfile

import numpy as np
import pandas as pd
import pytest

from credit_retrain.__main__ import main
from credit_retrain.base.places import SHIPPED
from credit_retrain.data.dataset import LABEL, DatasetError, split
from credit_retrain.dev import drift_fixtures
from credit_retrain.drift import daily
from credit_retrain.uci.contract import NAMES


@pytest.fixture(scope="module")
def tables(uci):
    """6,000 of the training rows, and 4,000 of the hold-out: drawn from the same population."""
    training, holdout = split(uci)
    bundle = SHIPPED.read_bytes()
    reference, current = (
        training.frame().astype(float).sample(6000, random_state=1),
        holdout.frame().astype(float).sample(4000, random_state=1),
    )
    return daily.score(daily.Table(reference), bundle), daily.score(daily.Table(current), bundle)


@pytest.fixture(scope="module")
def moved(tables):
    """The same current rows in trouble: later payments, lower limits, more defaults."""
    frame = tables[1].frame.copy()
    rng = np.random.default_rng(3)
    for name in ("pay_0", "pay_2", "pay_3"):
        frame[name] = np.clip(frame[name] + rng.integers(0, 3, len(frame)), -2, 9)
    frame.loc[rng.random(len(frame)) < 0.1, "limit_bal"] = np.nan
    frame.loc[rng.random(len(frame)) < 0.3, LABEL] = 1
    return daily.Table(frame)


@pytest.fixture(scope="module")
def trouble(tables, moved):
    """What is said of the rows in trouble."""
    return daily.check(tables[0], moved)[0]


def column(status, name):
    return next(c for c in status["data_drift"]["columns"] if c["column"] == name)


def test_the_same_population_is_quiet(tables):
    status, pages = daily.check(*tables)
    assert not status["data_drift"]["drifted"]
    assert status["data_drift"]["missing_columns"] == []
    assert status["data_drift"]["drifted_columns"] == 0
    assert len(status["data_drift"]["columns"]) == len(NAMES) + 1
    assert not status["concept_drift"]["drifted"]
    assert status["concept_drift"]["current"]["loans"] == 4000
    assert set(pages) == {"drift_report.html", "concept_report.html"}


def test_a_population_in_trouble_is_seen(trouble):
    status = trouble
    drifted = {c["column"] for c in status["data_drift"]["columns"] if c["drifted"]}
    assert {"pay_0", "pay_2", "pay_3"} <= drifted
    assert "age" not in drifted
    assert 0.05 < column(status, "limit_bal")["missing_current"] < 0.15
    assert status["concept_drift"]["drifted"]
    assert status["concept_drift"]["current"]["default_rate"] > 0.4


def test_a_column_that_is_not_handed_in_any_more_is_drift(tables):
    """Of what is left of pay_0 every value is as before: only the share of missing ones tells."""
    frame = tables[1].frame.copy()
    frame.iloc[::2, frame.columns.get_loc("pay_0")] = np.nan
    data = daily.check(tables[0], daily.Table(frame))[0]["data_drift"]
    assert data["drifted"]
    assert data["missing_columns"] == ["pay_0"]
    assert data["drifted_columns"] == 1
    found = next(c for c in data["columns"] if c["column"] == "pay_0")
    assert found["score"] < found["threshold"]
    assert found["drifted"]
    assert found["missing_drifted"]
    assert found["missing_current"] == 0.5


@pytest.mark.parametrize(
    ("before", "now", "want"),
    [
        ((0, 20000), (1, 50), False),  # 2 %, and one row is chance
        ((0, 20000), (5, 50), True),
        ((0, 20000), (90, 10000), False),  # certain, and below the floor
        ((0, 20000), (110, 10000), True),
        ((2000, 20000), (1000, 10000), False),
        ((2000, 20000), (0, 10000), True),  # that values came back is a change of the feed, too
        ((0, 20000), (0, 10000), False),
        ((20000, 20000), (10000, 10000), False),
    ],
)
def test_missing_shares_are_compared(before, now, want):
    def values(missing, rows):
        return pd.Series([np.nan] * missing + [1.0] * (rows - missing))

    found = daily.missing_drift(values(*before), values(*now), 0.01 / 24)
    assert found["missing_drifted"] is want


@pytest.fixture(scope="module")
def own(tables, moved):
    """creditstream's own figures of the same rows, in the bins of the shipped bundle.

    They are computed as drift/statistic computes them, which the Go tests hold to these functions.
    """
    with zipfile.ZipFile(SHIPPED) as archive:
        features = json.loads(archive.read("reference.json"))["features"]
    figures = {}
    for f in features:
        edges = np.array(f["edges"], float)
        counts = [
            np.bincount(
                np.searchsorted(edges, t.frame[f["name"]].dropna(), side="right"), minlength=len(edges) + 1
            )
            for t in (tables[0], moved)
        ]
        figures[f["name"]] = drift_fixtures._distances(edges, *counts)
    return figures


def test_evidently_agrees_on_bins_of_single_values(own, trouble):
    """Of codes and payment status creditstream's bins are the values themselves: nothing is lost by counting.

    The Jensen-Shannon distance is the same but for its base, which is e in Evidently and 2 in creditstream;
    the normalised Wasserstein distance is the same.
    """
    for name in ("sex", "education", "marriage"):
        found = column(trouble, name)
        assert "Jensen" in found["method"]
        assert found["score"] / np.sqrt(np.log(2)) == pytest.approx(own[name]["jensen_shannon"], abs=1e-9)
    for name in ("pay_0", "pay_2", "pay_3", "pay_4", "pay_5", "pay_6"):
        assert "Wasserstein" in column(trouble, name)["method"]
        assert column(trouble, name)["score"] == pytest.approx(own[name]["wasserstein"], abs=1e-9)


def test_evidently_sees_more_of_the_tails(own, trouble):
    """Of amounts creditstream knows in which of some twenty bins a value lies, and not how far out."""
    for name in ("age", "limit_bal", "bill_amt1", "pay_amt1", "pay_amt6"):
        score, ours = column(trouble, name)["score"], own[name]["wasserstein"]
        assert "Wasserstein" in column(trouble, name)["method"]
        assert 0 < ours < score * 1.2
        assert score - ours < 0.05


def test_labels_of_few_loans_say_nothing(tables):
    reference, current = tables
    frame = current.frame.copy()
    frame.loc[frame.index[150:], LABEL] = np.nan
    assert daily.concept_drift(reference, daily.Table(frame)) is None
    assert daily.concept_drift(reference, daily.Table(frame.drop(columns=LABEL))) is None
    assert daily.concept_drift(reference, daily.Table(current.frame.drop(columns=daily.PROBABILITY))) is None


def test_granted_loans_are_compared_with_rows_that_could_have_been_granted(tables):
    """Only the safe half has outcomes: ranking is worse among them, and that is no drift."""
    reference, current = tables
    frame = current.frame.copy()
    frame.loc[frame[daily.PROBABILITY] > 0.2, LABEL] = np.nan
    granted = daily.Table(frame)
    found = daily.concept_drift(reference, granted)
    everything = daily.concept_drift(reference, current)
    assert found["reference"]["auc"] < everything["reference"]["auc"] - 0.05
    assert not found["drifted"]


def test_the_command_writes_reports_that_load_nothing(tables, tmp_path, monkeypatch):
    reference, current = (t.frame.head(1500) for t in tables)
    reference.drop(columns=daily.PROBABILITY).to_csv(tmp_path / "train.csv", index=False)
    current.assign(application_id="A-1").to_csv(tmp_path / "current.csv", index=False)
    monkeypatch.delenv("DO_NOT_TRACK", raising=False)
    out = tmp_path / "out"
    arguments = ["--reference", str(tmp_path / "train.csv"), "--current", str(tmp_path / "current.csv")]
    assert main(["drift", *arguments, "--out", str(out)]) == 0
    assert os.environ["DO_NOT_TRACK"] == "1"
    status = json.loads((out / "drift_status.json").read_text())
    assert status["tool"].startswith("evidently 0.7")
    assert status["reference"]["rows"] == 1500
    for name in ("drift_report.html", "concept_report.html"):
        page = (out / name).read_text()
        assert "limit_bal" in page or name.startswith("concept")
        assert '<script src="http' not in page


def test_a_few_rows_are_not_judged(tables, tmp_path, capsys):
    """Of 499 rows chance alone moves columns: neither yes nor no, said in JSON, output and exit code."""
    reference, current = tables
    few = daily.FEWEST_ROWS - 1
    reference.frame.to_csv(tmp_path / "train.csv", index=False)
    current.frame.head(few).drop(columns=LABEL).to_csv(tmp_path / "current.csv", index=False)
    out = tmp_path / "out"
    out.mkdir()
    for name in daily.PAGES:
        (out / name).write_text("of yesterday")
    arguments = ["--reference", str(tmp_path / "train.csv"), "--current", str(tmp_path / "current.csv")]
    assert main(["drift", *arguments, "--out", str(out)]) == 3
    assert f"not judged: {few} rows against 6000" in capsys.readouterr().out
    status = json.loads((out / "drift_status.json").read_text())
    assert status["data_drift"] == {"judged": False, "fewest_rows": 500, "drifted": None}
    assert status["current"]["rows"] == few
    assert [path.name for path in out.iterdir()] == ["drift_status.json"]
    enough = daily.Table(current.frame.head(few + 1))
    assert daily.check(reference, enough)[0]["data_drift"]["judged"]
    # A reference of few rows says as little; what became of loans is judged all the same.
    status, pages = daily.check(daily.Table(reference.frame.head(few)), current)
    assert not status["data_drift"]["judged"]
    assert set(pages) == {"concept_report.html"}


def test_warnings_that_mean_nothing_are_not_told(tables, recwarn):
    """No granted loan is above one half, and a column may hold one value only."""
    reference, current = tables
    granted = current.frame[current.frame[daily.PROBABILITY] < 0.3].assign(sex=1.0, pay_6=0.0)
    status, pages = daily.check(reference, daily.Table(granted))
    assert status["concept_drift"] is not None
    assert "concept_report.html" in pages
    assert [str(w.message) for w in recwarn if "site-packages" in w.filename] == []


@pytest.mark.parametrize(
    ("change", "want"),
    [
        (lambda f: f.drop(columns="age"), "no column age"),
        (lambda f: f.iloc[:0], "no rows"),
        (lambda f: f.astype({"age": object}).assign(age=["x", *f["age"][1:]]), "row 2: age 'x'"),
    ],
)
def test_what_is_no_table_is_named(tables, tmp_path, change, want):
    change(tables[1].frame.head(5)).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DatasetError, match=want):
        daily.read(tmp_path / "t.csv")


def test_missing_values_and_wild_ones_are_read(tmp_path):
    frame = pd.DataFrame([[1] * len(NAMES), [None] * len(NAMES)], columns=NAMES)
    frame.loc[0, "age"] = 9999
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = daily.read(tmp_path / "t.csv")
    assert len(table) == 2
    assert not table.scored
    assert table.frame["age"].tolist()[0] == 9999
    assert table.frame["age"].isna().tolist() == [False, True]
