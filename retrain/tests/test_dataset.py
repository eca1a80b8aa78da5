import numpy as np
import pytest

from credit_retrain.data import dataset
from credit_retrain.uci import published
from credit_retrain.uci.contract import NAMES


def test_the_dataset_is_the_one_the_bundle_was_trained_on(uci):
    assert len(uci) == 30_000
    assert uci.digest() == published.DIGEST


def test_digest_ignores_the_order_of_rows(uci):
    order = np.random.default_rng(1).permutation(len(uci))
    assert dataset.Dataset(uci.features[order], uci.defaulted[order]).digest() == uci.digest()


def test_holdout_is_a_fifth_and_depends_on_features_alone(uci):
    train, test = dataset.split(uci)
    assert len(train) + len(test) == len(uci)
    assert 0.19 < len(test) / len(uci) < 0.21
    flipped = dataset.Dataset(uci.features, 1 - uci.defaulted)
    assert (dataset.holdout(flipped) == dataset.holdout(uci)).all()
    seen = {row.tobytes() for row in train.features}
    assert not any(row.tobytes() in seen for row in test.features)


def test_every_violation_is_named_with_column_and_value(tmp_path, few):
    frame = few.frame().head(5).astype(str)
    frame.loc[1, "age"] = "17"
    frame.loc[3, "pay_0"] = "x"
    path = tmp_path / "bad.csv"
    frame.to_csv(path, index=False)
    with pytest.raises(dataset.DatasetError) as error:
        dataset.read(path)
    assert "row 3: age '17'" in str(error.value)
    assert "row 5: pay_0 'x'" in str(error.value)


def test_a_missing_column_is_named(tmp_path, few):
    path = tmp_path / "bad.csv"
    few.frame().head(2).drop(columns=[NAMES[4]]).to_csv(path, index=False)
    with pytest.raises(dataset.DatasetError, match=NAMES[4]):
        dataset.read(path)


def test_no_dataset_names_both_ways_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setenv("DATASET", str(tmp_path / "absent.csv"))
    with pytest.raises(dataset.DatasetError, match=r"DATASET.*make data"):
        dataset.locate(None)


def test_a_folder_in_place_of_the_dataset_is_called_one(monkeypatch, tmp_path):
    monkeypatch.setenv("DATASET", str(tmp_path))
    with pytest.raises(dataset.DatasetError, match=f"{tmp_path} is a folder"):
        dataset.locate(None)


def lines_of(few):
    return few.frame().head(3).to_csv(index=False).splitlines()


def test_a_line_with_another_number_of_fields_is_named(tmp_path, few):
    path = tmp_path / "data.csv"
    good = lines_of(few)
    for broken, told in (
        ([good[0], *(line + "," for line in good[1:])], "line 2 has 25 fields, the header 24"),
        ([*good[:3], good[3].rsplit(",", 1)[0]], "line 4 has 23 fields, the header 24"),
        ([*good[:2], "", good[2] + ",,"], "line 4 has 26 fields, the header 24"),
        ([good[0], '"a\nb"' + good[1][good[1].index(",") :], good[2] + ","], "line 4 has 25 fields"),
    ):
        path.write_text("\n".join(broken) + "\n")
        with pytest.raises(dataset.DatasetError, match=told):
            dataset.read(path)


def test_a_comma_at_the_end_of_every_line_is_a_column_without_a_name(tmp_path, few):
    path = tmp_path / "data.csv"
    path.write_text("".join(f"{line},\n" for line in lines_of(few)))
    np.testing.assert_array_equal(dataset.read(path).features, few.features[:3])


def test_a_column_that_is_there_twice_is_named(tmp_path, few):
    path = tmp_path / "data.csv"
    path.write_text("".join(f"{line},{line.split(',')[4]}\n" for line in lines_of(few)))
    with pytest.raises(dataset.DatasetError, match="the header names age twice"):
        dataset.read(path)
