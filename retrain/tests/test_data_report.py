import json

import numpy as np
import pandas as pd
import pytest
from test_exported import decided

from credit_retrain import __main__ as command_line
from credit_retrain.data import checks, dataset, expectations, make_dataset, sources
from credit_retrain.uci import published
from credit_retrain.uci.contract import LABEL, NAMES


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, uci):
    out = tmp_path_factory.mktemp("processed")
    make_dataset.make(sources.Source(uci, "uci", "uci", 2000, None), out)
    return out


@pytest.fixture(scope="module")
def report(prepared):
    return checks.examine(prepared)


def failed(report):
    return {c.name for c in report.checks if not c.passed}


def test_the_dataset_passes_every_check(report):
    assert failed(report) == set()
    assert report.passed()
    names = {c.name for c in report.checks}
    for kind in (
        "expect_table_row_count_to_be_between",
        "expect_column_values_to_be_between limit_bal",
        "expect_column_values_to_be_in_set education",
        f"expect_column_mean_to_be_between {LABEL}",
        "expect_compound_columns_to_be_unique",
        "expect_column_quantile_values_to_be_between bill_amt1",
        "hold-out apart",
        "engineered features",
        "UCI content",
    ):
        assert kind in names


def test_every_expectation_tells_what_it_saw(report):
    for c in report.checks:
        assert c.figure
        assert "Traceback" not in c.figure


def test_the_report_is_kept(tmp_path, report):
    written = checks.write(report, tmp_path)
    document = json.loads(written[0].read_text())
    assert document["passed"] is True
    assert document["data"]["digest"] == published.DIGEST
    assert document["oddities"]["train"]["duplicates"] + document["oddities"]["test"]["duplicates"] == 35
    text = written[1].read_text()
    assert text.startswith("# Data validation\n\n**Passed**")
    assert "| duplicates |" in text and "| undocumented education 5 |" in text
    first = [p.read_bytes() for p in written]
    assert [p.read_bytes() for p in checks.write(report, tmp_path)] == first


def test_rows_that_look_otherwise_fail(tmp_path, uci):
    frame = uci.frame().head(20_000)
    frame.loc[::3, LABEL] = 1  # half of them default
    frame["bill_amt1"] = frame["bill_amt1"] // 2
    frame.loc[::10, "age"] = pd.NA
    frame.loc[::20, "marriage"] = 0
    frame = pd.concat([frame, *[frame.head(20)] * 50])
    features = frame[NAMES].to_numpy(np.float64, na_value=np.nan)
    data = dataset.Dataset(features, frame[LABEL].to_numpy(np.int64))
    make_dataset.make(sources.Source(data, "uci", "uci", 2000, None), tmp_path)
    report = checks.examine(tmp_path)
    assert failed(report) == {
        "UCI content",
        "expect_table_row_count_to_be_between",
        "expect_column_values_to_not_be_null age",
        f"expect_column_mean_to_be_between {LABEL}",
        "expect_compound_columns_to_be_unique",
        "expect_column_values_to_not_be_in_set marriage",
        "expect_column_quantile_values_to_be_between bill_amt1",
    }
    assert not report.passed()
    assert "## Not met" in report.markdown()


def test_a_population_that_moved_is_told_and_does_not_gate(tmp_path, uci):
    frame = decided(dataset.Dataset(uci.features[:6000], uci.defaulted[:6000]))
    frame["bill_amt1"] = frame["bill_amt1"] // 3
    frame.to_csv(tmp_path / "export.csv", index=False)
    source = sources.choose("export", None, str(tmp_path / "export.csv"), 2000, lambda _: None)
    make_dataset.make(source, tmp_path / "processed")
    report = checks.examine(tmp_path / "processed")
    assert "expect_column_quantile_values_to_be_between bill_amt1" in failed(report)
    assert report.passed()
    assert "| note |" in report.markdown()


def test_wrong_engineered_features_and_digests_fail(tmp_path, prepared, monkeypatch):
    monkeypatch.setattr(expectations, "check", lambda *arguments: [])
    for path in prepared.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = pd.read_csv(tmp_path / "train.csv", dtype=str)
    rows.loc[0, "util_1"] = "0.5"
    rows.loc[1, LABEL] = str(1 - int(rows.loc[1, LABEL]))
    rows.to_csv(tmp_path / "train.csv", index=False)
    report = checks.examine(tmp_path)
    assert failed(report) == {"engineered features", "digests"}
    figures = {c.name: c.figure for c in report.checks}
    assert figures["engineered features"].startswith("1 rows differ")
    assert figures["digests"].startswith("train differ")


def test_the_command_fails_and_keeps_the_report_when_the_contract_is_broken(tmp_path, prepared, capsys):
    for path in prepared.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = pd.read_csv(tmp_path / "train.csv", dtype=str)
    rows.loc[[5, 7], "age"] = ["x", "200"]
    rows.to_csv(tmp_path / "train.csv", index=False)
    (tmp_path / "current.csv").write_text(",".join(NAMES) + "\n" + ",".join(["0"] * 23) + "\n")
    out = tmp_path / "reports"
    assert command_line.main(["validate", "--prepared", str(tmp_path), "--out", str(out)]) == 1
    told = capsys.readouterr().out
    assert "row 7: age 'x'" in told and "row 9: age '200'" in told and "limit_bal '0'" in told
    document = json.loads((out / "validation.json").read_text())
    assert document["passed"] is False
    assert [c["name"] for c in document["checks"]] == ["contract train.csv", "contract current.csv"]
    assert document["checks"][0]["violations"][1] == {
        "column": "age",
        "row": 9,
        "value": "200",
        "rule": "must be an integer from 18 to 120",
    }
    assert "**Failed**" in (out / "validation.md").read_text()


def test_the_command_says_what_to_run_first(tmp_path, capsys):
    assert command_line.main(["validate", "--prepared", str(tmp_path)]) == 1
    assert "run `retrain/credit-retrain prepare`" in capsys.readouterr().err
