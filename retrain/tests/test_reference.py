import numpy as np
import pytest

from credit_retrain.artifact import reference
from credit_retrain.data import bins
from credit_retrain.data.dataset import Dataset
from credit_retrain.uci.contract import FEATURES, NAMES


def test_a_constant_column_has_a_bin_on_either_side():
    values = np.full(400, 5000.0)
    assert bins.edges("pay_amt6", 0, 2_796_202, values) == [5000, 5001]
    values[:10] = 0  # nearly constant: every quantile is the same
    values[-10:] = 80_000
    assert bins.edges("pay_amt6", 0, 2_796_202, values) == [5000, 5001]
    values[:] = 0
    values[-15:] = np.arange(1, 16)
    assert bins.edges("pay_amt6", 0, 2_796_202, values) == [0, 1]
    assert bins.edges("age", 18, 120, np.full(30, 40.0)) == [40, 41]


def test_a_column_that_is_always_missing_has_one_bin():
    assert bins.edges("pay_amt6", 0, 2_796_202, np.array([])) == []


def test_other_columns_have_the_bins_they_had():
    values = np.concatenate([np.zeros(90), np.arange(1, 11)])
    assert bins.edges("pay_amt6", 0, 2_796_202, values) == [5]
    assert bins.edges("sex", 1, 2, np.full(10, 2.0)) == [2]


@pytest.mark.parametrize("value", [0, 7777])
def test_a_reference_counts_a_constant_column_in_the_bin_of_its_value(value):
    rng = np.random.default_rng(1)
    rows = 500
    features = np.column_stack([rng.integers(f.minimum, f.maximum + 1, rows) for f in FEATURES]).astype(float)
    at = NAMES.index("pay_amt6")
    features[:, at] = value
    built = reference.build(Dataset(features, rng.integers(0, 2, rows)), rng.normal(size=rows))
    column = built["features"][at]
    assert column["edges"] == [value, value + 1]
    assert column["counts"] == [0, rows, 0]
    assert len(built["features"][NAMES.index("pay_amt5")]["edges"]) == 19
