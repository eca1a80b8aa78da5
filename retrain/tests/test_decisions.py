"""What the default policy makes of probabilities."""

import re
from pathlib import Path

import numpy as np
import pytest

from credit_retrain.data.dataset import Dataset
from credit_retrain.evaluate import decisions, fairness
from credit_retrain.uci.contract import NAMES
from credit_retrain.uci.features import ENGINEERED, MEANINGS

ROOT = Path(__file__).resolve().parents[2]


def rows(defaulted):
    return Dataset(np.ones((len(defaulted), len(NAMES))), np.array(defaulted))


def test_the_cut_offs_are_the_default_policys():
    text = (ROOT / "policy" / "policy.go").read_text()
    told = dict(re.findall(r"(approve_below|decline_from|max_missing): ([0-9.]+)\n", text))
    assert float(told["approve_below"]) == fairness.APPROVE_BELOW
    assert float(told["decline_from"]) == decisions.DECLINE_FROM
    assert int(told["max_missing"]) == fairness.MAX_MISSING


def test_a_cut_off_belongs_to_the_riskier_side_and_a_person_decides_what_lacks_too_much():
    few = rows([0] * 5)
    few.features[3:, NAMES.index("pay_0") :][:, :4] = np.nan
    probability = np.array([0.1999, 0.20, 0.45, 0.1, 0.9])
    assert decisions.decide(few, probability).tolist() == ["approve", "refer", "decline", "refer", "refer"]


def test_every_row_and_every_default_falls_to_one_decision():
    found = decisions.table(rows([0, 1, 0, 1, 1, 0]), np.array([0.1, 0.1, 0.3, 0.6, 0.6, 0.6]))
    assert [(f["decision"], f["rows"]) for f in found] == [("approve", 2), ("refer", 1), ("decline", 3)]
    assert [f["default_rate"] for f in found] == [0.5, 0.0, pytest.approx(2 / 3, abs=1e-5)]
    assert sum(f["share"] for f in found) == pytest.approx(1, abs=1e-4)
    assert sum(f["defaults"] for f in found) == pytest.approx(1, abs=1e-4)


def test_a_decision_that_nobody_gets_has_no_default_rate():
    found = decisions.table(rows([0, 1]), np.array([0.1, 0.1]))
    assert found[2]["default_rate"] is None


def test_every_engineered_input_is_told_in_words():
    assert MEANINGS.keys() == ENGINEERED.keys()
