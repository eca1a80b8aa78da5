import numpy as np
import pytest

from credit_retrain.data.dataset import Dataset
from credit_retrain.evaluate import fairness
from credit_retrain.uci import groups
from credit_retrain.uci.contract import NAMES


def rows(**columns):
    """Rows that are alike but for the columns given."""
    n = len(next(iter(columns.values())))
    features = np.ones((n, len(NAMES)))
    for name, values in columns.items():
        if name != "defaulted":
            features[:, NAMES.index(name)] = values
    return Dataset(features, np.asarray(columns.get("defaulted", np.zeros(n)), np.int64))


def test_rates_by_group_that_can_be_counted_by_hand():
    # 200 men, 120 of them approved; 200 women, 180 of them. Half of each paid.
    sex = np.repeat([1, 2], 200)
    probability = np.where(np.concatenate([np.arange(200) < 120, np.arange(200) < 180]), 0.1, 0.3)
    defaulted = np.tile(np.arange(200) % 2, 2)
    found = fairness.assess(rows(sex=sex, defaulted=defaulted), probability, 1, 100)["sex"]
    assert found["compared_with"] == "female"
    men, women = found["groups"]
    assert (men["approval_rate"], women["approval_rate"]) == (0.6, 0.9)
    assert men["approval_ratio"]["value"] == pytest.approx(0.6 / 0.9, abs=1e-5)
    low, high = men["approval_ratio"]["interval"]
    assert low < 0.6 / 0.9 < high
    assert men["opportunity_difference"]["value"] == pytest.approx(0.3)
    assert women["approval_ratio"]["value"] == 1
    assert found["lowest_approval_ratio"] == men["approval_ratio"]


def test_small_groups_are_shown_and_not_judged():
    education = np.concatenate([np.full(150, 1), np.full(150, 2), np.full(20, 0)])
    probability = np.concatenate([np.full(300, 0.1), np.full(20, 0.9)])
    found = fairness.assess(rows(education=education), probability, 1, 20)["education"]
    other = next(g for g in found["groups"] if g["group"] == "other or unknown")
    assert other["approval_rate"] == 0
    assert not other["judged"]
    assert found["lowest_approval_ratio"]["value"] == 1


def test_every_value_of_the_contract_is_in_one_group():
    for attribute, values in (
        ("sex", (1, 2)),
        ("education", range(7)),
        ("marriage", range(4)),
        ("age", range(18, 121)),
    ):
        found = next(a.groups for a in groups.ATTRIBUTES if a.name == attribute)
        members = sum(np.asarray(group(np.array(values, float)), int) for group in found.values())
        assert (members == 1).all()


def test_an_application_that_lacks_too_much_is_not_approved():
    few = rows(sex=[1, 1, 1])
    few.features[1, NAMES.index("pay_0") :][:3] = np.nan
    few.features[2, NAMES.index("pay_0") :][:4] = np.nan
    assert fairness.approve(few, np.full(3, 0.1)).tolist() == [True, True, False]
    few.features[2, :] = np.where(np.isin(NAMES, ["sex", "marriage", "age", "pay_0"]), np.nan, 1)
    assert fairness.approve(few, np.full(3, 0.1)).tolist() == [True, True, True], "what is no input may lack"


def test_where_nobody_is_approved_all_are_treated_alike():
    found = fairness.assess(rows(sex=np.repeat([1, 2], 150)), np.full(300, 0.9), 1, 20)["sex"]
    assert found["lowest_approval_ratio"] == {"value": 1, "interval": [1, 1]}
    assert found["largest_opportunity_difference"] == {"value": 0, "interval": [0, 0]}
