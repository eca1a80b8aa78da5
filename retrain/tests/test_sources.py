import numpy as np
import pytest
from test_exported import decided

from credit_retrain.data import dataset, sources
from credit_retrain.uci import published
from credit_retrain.uci.contract import LABEL, NAMES


@pytest.fixture
def raw(tmp_path, uci):
    """A small raw file: rows that the export does not hold."""
    path = tmp_path / "raw.csv"
    dataset.Dataset(uci.features[5000:6000], uci.defaulted[5000:6000]).frame().to_csv(path, index=False)
    return str(path)


@pytest.fixture
def export(tmp_path, uci):
    path = tmp_path / "export.csv"
    decided(dataset.Dataset(uci.features[:2000], uci.defaulted[:2000])).to_csv(path, index=False)
    return str(path)


def test_uci_alone(raw):
    source = sources.choose("uci", raw, None)
    assert (source.used, len(source.data), source.export) == ("uci", 1000, None)
    assert source.data.source == published.NAME


def test_an_export_alone(raw, export):
    told = []
    source = sources.choose("export", raw, export, 500, told.append)
    assert source.used == "export"
    assert len(source.data) == source.export["labelled"] > 500
    assert "with known outcomes" in source.data.source
    assert any("bias" in line for line in told)


def test_both_are_put_together_and_split_by_the_same_hash(raw, export):
    uci = sources.choose("uci", raw, None).data
    alone = sources.choose("export", raw, export, 500, lambda _: None).data
    both = sources.choose("both", raw, export, 500, lambda _: None)
    assert len(both.data) == len(uci) + len(alone)
    assert both.export["also_in_uci"] == 0
    want = np.concatenate([dataset.holdout(uci), dataset.holdout(alone)])
    np.testing.assert_array_equal(dataset.holdout(both.data), want)
    assert uci.source in both.data.source and alone.source in both.data.source


def test_decisions_on_uci_rows_are_left_out_of_both_parts(tmp_path, uci, export):
    path, told = tmp_path / "raw.csv", []
    dataset.Dataset(uci.features[1000:3000], uci.defaulted[1000:3000]).frame().to_csv(path, index=False)
    alone = sources.choose("export", str(path), export, 100, lambda _: None).data
    both = sources.choose("both", str(path), export, 100, told.append)
    known = set(dataset.texts(uci.features[1000:3000]))
    again = sum(row in known for row in dataset.texts(alone.features))
    assert both.export["also_in_uci"] == again > 100
    assert both.used == "both"
    assert len(both.data) == 2000 + len(alone) - again
    first = dataset.Dataset(uci.features[1000:3000], uci.defaulted[1000:3000])
    assert both.data.take(np.arange(len(both.data)) < 2000).digest() == first.digest()
    assert not known & set(dataset.texts(both.data.features[2000:]))
    assert any(f"{again} of {len(alone)} labelled decisions" in t and "left out" in t for t in told)


def test_an_export_of_uci_rows_alone_adds_nothing(tmp_path, uci, export):
    path, told = tmp_path / "raw.csv", []
    dataset.Dataset(uci.features[:2000], uci.defaulted[:2000]).frame().to_csv(path, index=False)
    both = sources.choose("both", str(path), export, 500, told.append)
    assert both.export["also_in_uci"] == both.export["labelled"]
    assert (both.used, len(both.data)) == ("uci", 2000)
    assert told[-1].startswith("0 known outcomes are fewer than the 500")


@pytest.mark.parametrize("asked", ["export", "both"])
def test_too_few_outcomes_fall_back_and_say_so(raw, export, asked):
    told = []
    source = sources.choose(asked, raw, export, 5000, told.append)
    assert (source.asked, source.used, len(source.data)) == (asked, "uci", 1000)
    assert source.export["labelled"] < 5000, "what the export held is told all the same"
    assert told[-1].endswith("fewer than the 5000 that --min-labelled asks for: the UCI data alone are used")


def test_one_outcome_alone_falls_back(tmp_path, raw, uci):
    frame = decided(dataset.Dataset(uci.features[:2000], uci.defaulted[:2000]))
    frame[LABEL] = frame[LABEL].where(frame[LABEL].isna(), 0)
    frame.to_csv(tmp_path / "good.csv", index=False)
    told = []
    source = sources.choose("export", raw, str(tmp_path / "good.csv"), 500, told.append)
    assert source.used == "uci"
    assert "do not hold both outcomes" in told[-1]


def test_a_feature_that_nobody_has_is_named(tmp_path, raw, uci):
    frame = decided(dataset.Dataset(uci.features[:2000], uci.defaulted[:2000])).assign(pay_6=np.nan)
    path = tmp_path / "holed.csv"
    frame.to_csv(path, index=False)
    with pytest.raises(dataset.DatasetError, match="no labelled row has a value of pay_6"):
        sources.choose("export", raw, str(path), 500, lambda _: None)
    assert len(sources.choose("both", raw, str(path), 500, lambda _: None).data) > 1000


def test_an_export_has_to_be_named(raw):
    with pytest.raises(dataset.DatasetError, match="--data both needs --export FILE"):
        sources.choose("both", raw, None)


def test_a_model_is_trained_on_rows_with_missing_values(tmp_path, raw, uci):
    import io
    import json
    import zipfile

    from credit_retrain.model import train

    data = dataset.Dataset(train.with_missing(uci.features[:2000], 0.1, 1), uci.defaulted[:2000])
    decided(data).to_csv(tmp_path / "export.csv", index=False)
    source = sources.choose("both", raw, str(tmp_path / "export.csv"), 500, lambda _: None)
    small = [{"max_depth": 2, "n_estimators": 5, "learning_rate": 0.1}]
    trained = train.train_bundle(source.data, "t.1", "2026-01-01T00:00:00Z", 1, lambda _: None, small)
    with zipfile.ZipFile(io.BytesIO(trained.content)) as bundle:
        reference = json.loads(bundle.read("reference.json"))
        manifest = json.loads(bundle.read("manifest.json"))
    rows, _ = dataset.split(source.data)
    for i, feature in enumerate(reference["features"]):
        assert feature["name"] == NAMES[i]
        assert feature["missing"] == np.isnan(rows.features[:, i]).sum() > 0
        assert sum(feature["counts"]) + feature["missing"] == reference["rows"] == len(rows)
    assert manifest["training"]["dataset"] == source.data.source
