"""What the ten splits allow, on few rows."""

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from credit_retrain.__main__ import main
from credit_retrain.cli import rows
from credit_retrain.evaluate import ceiling, repeated
from credit_retrain.uci.features import TREE_INPUTS

SMALL = {"max_depth": 2, "n_estimators": 10, "learning_rate": 0.2}


@pytest.fixture(scope="module")
def models():
    return ceiling.recipes(SMALL, 42)


def test_the_splits_are_those_that_a_training_repeats(few):
    again = repeated.repeat(few, SMALL, 42, 1)
    this = {ceiling.THIS: ceiling.recipes(SMALL, 42)[ceiling.THIS]}
    assert ceiling.beside(few, this, 1, lambda _: None)[ceiling.THIS] == again.auc
    rows, tested = ceiling.part(few.defaulted, 3)
    wanted = train_test_split(np.arange(2000), test_size=0.2, stratify=few.defaulted, random_state=3)
    assert [rows.tolist(), tested.tolist()] == [w.tolist() for w in wanted]


@pytest.mark.slow
def test_no_model_but_the_one_that_says_so_sees_a_protected_input(few, models):
    changed = few.features.copy()
    changed[:, 1], changed[:, 3], changed[:, 4] = 3 - changed[:, 1], 3 - changed[:, 3], 80
    for name, recipe in models.items():
        fitted = recipe().fit(few.features, few.defaulted)
        same = np.array_equal(fitted.predict_proba(few.features), fitted.predict_proba(changed))
        assert same == (name != ceiling.PROTECTED), name


def test_more_features_are_as_many_as_the_table_says(few):
    width = ceiling.Inputs(more=True).fit(few.features).transform(few.features).shape[1]
    assert width == len(TREE_INPUTS) + 33
    rows = few.features.copy()
    rows[::3] = np.nan
    assert np.isfinite(ceiling.Inputs(more=True).fit(rows).transform(rows)).all()


def test_luck_is_that_of_the_parts_and_not_of_a_model(few, models):
    found = ceiling.luck(few, models[ceiling.THIS], 42, 1, drawn=40)
    assert found.tens[0] <= found.drawn <= found.tens[1]
    assert abs(found.five_fold - found.drawn) < 0.02
    assert found.below in (0.25, 0.5, 0.75, 1.0)
    assert f"{found.ten:.4f}" in ceiling.told(found)


def test_the_table_pairs_every_model_with_this_one():
    told = ceiling.table(
        {ceiling.THIS: [0.7 + i / 100 for i in range(10)], "b": [0.71 + i / 100 for i in range(10)]}
    )
    assert told.splitlines()[-1] == "| b | 0.7550 | +0.0100 (+0.0100 to +0.0100) |"


def test_the_command_prints_both(few, monkeypatch, capsys):
    monkeypatch.setattr(rows, "read", lambda *_: few)
    monkeypatch.setattr(ceiling, "DRAWN", 20)
    monkeypatch.setattr(
        ceiling, "recipes", lambda parameters, seed: {ceiling.THIS: lambda: ceiling.build(SMALL, seed)}
    )
    assert main(["ceiling", "--n-jobs", "1"]) == 0
    told = capsys.readouterr().out
    assert f"| {ceiling.THIS} | 0." in told
    assert "five-fold cross-validation: 0." in told
