import numpy as np

from credit_retrain.data import dataset
from credit_retrain.uci import oddities
from credit_retrain.uci.contract import NAMES


def test_the_oddities_of_the_dataset(uci):
    found = oddities.count(uci)
    assert found.rows == 30_000
    assert found.undocumented == {"education": {"0": 14, "5": 280, "6": 51}, "marriage": {"0": 54}}
    assert found.no_use == {
        "pay_0": 2759,
        "pay_2": 3782,
        "pay_3": 4085,
        "pay_4": 4348,
        "pay_5": 4546,
        "pay_6": 4895,
    }
    assert (found.duplicates, found.same_features) == (35, 56)
    assert (found.conflicting_groups, found.conflicting_rows) == (21, 46)
    assert found.over_limit == 2115


def test_equal_rows_are_on_one_side(uci):
    train, test = dataset.split(uci)
    whole = oddities.count(uci)
    parts = [oddities.count(part) for part in (train, test)]
    for name in ("duplicates", "same_features", "conflicting_groups", "conflicting_rows"):
        assert sum(getattr(p, name) for p in parts) == getattr(whole, name), "no pair is torn apart"


def test_pairs_are_told_apart_from_conflicts():
    row = np.full(len(NAMES), 18.0)
    other = row.copy()
    other[0] = np.nan
    data = dataset.Dataset(np.stack([row, row, row, other, other]), np.array([0, 0, 1, 1, 1]))
    found = oddities.count(data)
    assert (found.duplicates, found.same_features) == (2, 3)
    assert (found.conflicting_groups, found.conflicting_rows) == (1, 3)
