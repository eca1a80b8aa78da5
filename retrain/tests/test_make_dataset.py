import json

import numpy as np
import pandas as pd
import pytest

from credit_retrain.artifact import export
from credit_retrain.data import dataset, make_dataset, sources
from credit_retrain.model import train
from credit_retrain.uci.contract import LABEL, NAMES, USED
from credit_retrain.uci.features import ENGINEERED


def source(data):
    return sources.Source(data, "uci", "uci", 2000, None)


@pytest.fixture(scope="module")
def holed(few):
    return dataset.Dataset(train.with_missing(few.features, 0.1, 1), few.defaulted)


def test_the_layout(tmp_path, few):
    facts = make_dataset.make(source(few), tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "current.csv",
        "source.json",
        "test.csv",
        "train.csv",
    ]
    for name in ("train", "test"):
        frame = pd.read_csv(tmp_path / f"{name}.csv")
        assert list(frame.columns) == [*NAMES, *ENGINEERED, LABEL]
        assert len(frame) == facts[name]["rows"]
    assert 0.17 < facts["test"]["rows"] / len(few) < 0.23
    assert list(pd.read_csv(tmp_path / "current.csv").columns) == NAMES
    assert json.loads((tmp_path / "source.json").read_text()) == facts
    assert facts["current"]["origin"] == make_dataset.STAND_IN


@pytest.mark.parametrize("rows", ["few", "holed"])
def test_what_was_written_reads_back_as_it_was_split(tmp_path, request, rows):
    data = request.getfixturevalue(rows)
    make_dataset.make(source(data), tmp_path)
    prepared = make_dataset.read(tmp_path)
    for got, want in zip(dataset.split(prepared.data()), dataset.split(data), strict=True):
        np.testing.assert_array_equal(got.features, want.features)
        np.testing.assert_array_equal(got.defaulted, want.defaulted)
    assert prepared.data().digest() == data.digest()
    np.testing.assert_array_equal(prepared.current, prepared.test.features)


@pytest.mark.parametrize("rows", ["few", "holed"])
def test_engineered_columns_are_what_the_graph_computes_bit_for_bit(tmp_path, request, rows):
    import onnxruntime

    facts = make_dataset.make(source(request.getfixturevalue(rows)), tmp_path)
    prepared = make_dataset.read(tmp_path)
    medians = np.array([facts["medians"][name] for name in USED], np.float32)
    graph = export.features_to_onnx(medians).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    for name, part in (("train", prepared.train), ("test", prepared.test)):
        (want,) = session.run(["engineered"], {"features": part.features.astype(np.float32)})
        assert (prepared.engineered[name] == want[:, len(USED) :]).all()


def test_the_newest_inputs_take_the_place_of_the_stand_in(tmp_path, few):
    newest = few.frame().head(5)[NAMES].assign(age=pd.array([None, 20, 30, 40, 50], "Int64"))
    newest.assign(default_probability=0.5).to_csv(tmp_path / "newest.csv", index=False)
    facts = make_dataset.make(source(few), tmp_path / "out", tmp_path / "newest.csv")
    assert facts["current"] == {"rows": 5, "origin": str(tmp_path / "newest.csv")}
    current = make_dataset.read(tmp_path / "out").current
    assert np.isnan(current[0, NAMES.index("age")])
    assert current[1:, NAMES.index("age")].tolist() == [20, 30, 40, 50]


def test_everything_wrong_is_told_together(tmp_path, few):
    make_dataset.make(source(few), tmp_path)
    rows = pd.read_csv(tmp_path / "train.csv", dtype=str)
    rows.loc[3, "age"] = "200"
    rows.to_csv(tmp_path / "train.csv", index=False)
    pd.read_csv(tmp_path / "test.csv").drop(columns=["util_1"]).to_csv(tmp_path / "test.csv", index=False)
    (tmp_path / "current.csv").write_text("sex\n1\n")
    with pytest.raises(make_dataset.RefusedError) as refused:
        make_dataset.read(tmp_path)
    told = str(refused.value)
    assert "row 5: age '200'" in told
    assert "util_1" in told
    assert "limit_bal: there is no such column" in told
    assert set(refused.value.problems) == {"train.csv", "test.csv", "current.csv"}


def test_a_held_out_row_among_the_training_rows_is_refused(tmp_path, few):
    make_dataset.make(source(few), tmp_path)
    both = [pd.read_csv(tmp_path / f"{name}.csv", dtype=str) for name in ("train", "test")]
    pd.concat([both[0], both[1].head(2)]).to_csv(tmp_path / "train.csv", index=False)
    with pytest.raises(dataset.DatasetError, match="2 rows belong on the other side"):
        make_dataset.read(tmp_path)


def test_a_folder_that_was_not_prepared_says_what_to_run(tmp_path):
    with pytest.raises(
        make_dataset.NotPreparedError, match=r"train\.csv.*run `retrain/credit-retrain prepare`"
    ):
        make_dataset.read(tmp_path)
