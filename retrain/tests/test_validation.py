import csv
import json
import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_retrain.data import dataset, validation
from credit_retrain.uci import contract
from credit_retrain.uci.contract import FEATURES, LABEL, NAMES


def table(**changed):
    """One row of text that holds, and what is changed in it."""
    row = {f.name: str(f.minimum) for f in FEATURES} | {LABEL: "0"}
    return pd.DataFrame([row | changed]).replace({"": None})


def found(**changed):
    return validation.violations(table(**changed), validation.training_schema())


def test_the_schema_says_what_the_contract_says():
    document = json.loads((contract.SCHEMAS / "application.json").read_text())
    node = document["properties"]["features"]
    schema = validation.features_schema()
    assert list(schema.columns) == node["required"]
    for name, rule in node["properties"].items():
        column = schema.columns[name]
        assert column.nullable is ("null" in rule["type"])
        assert column.checks[0].error == f"must be an integer from {rule['minimum']} to {rule['maximum']}"


def test_the_bounds_hold_and_one_beyond_does_not():
    good = ["{low}", "{high}", "{high}.0", ""]
    bad = ["{below}", "{above}", "1.5", "x", "inf", "0x1", "1,0"]

    def row(text):
        return table(
            **{
                f.name: text.format(low=f.minimum, high=f.maximum, below=f.minimum - 1, above=f.maximum + 1)
                for f in FEATURES
            }
        )

    rows = pd.concat([row(text) for text in good + bad], ignore_index=True)
    want = [
        validation.Violation(
            f.name,
            i + 2,
            rows[f.name][i],
            f"must be an integer from {f.minimum} to {f.maximum}",
        )
        for i in range(len(good), len(rows))
        for f in sorted(FEATURES, key=lambda f: f.name)
    ]
    assert validation.violations(rows, validation.training_schema()) == want


def test_a_label_is_0_or_1_and_never_empty():
    assert found(default="1") == []
    assert found(default="2") == [validation.Violation(LABEL, 2, "2", "must be an integer from 0 to 1")]
    assert found(default="") == [validation.Violation(LABEL, 2, None, "must not be empty")]


def test_every_violation_is_told_in_the_order_of_the_file():
    rows = pd.concat([table(age="17", sex="3"), table(), table(pay_0="x", default="")], ignore_index=True)
    told = [str(v) for v in validation.violations(rows, validation.training_schema())]
    assert told == [
        "row 2: age '17': must be an integer from 18 to 120",
        "row 2: sex '3': must be an integer from 1 to 2",
        "row 4: default: must not be empty",
        "row 4: pay_0 'x': must be an integer from -2 to 9",
    ]


def test_absent_columns_are_told_beside_wrong_values():
    rows = table(age="17").drop(columns=["sex", LABEL])
    told = [str(v) for v in validation.violations(rows, validation.training_schema())]
    assert told == [
        "default: there is no such column",
        "sex: there is no such column",
        "row 2: age '17': must be an integer from 18 to 120",
    ]


def test_a_message_shows_the_first_and_counts_the_rest():
    rows = pd.concat([table(age="17")] * (validation.SHOWN + 7), ignore_index=True)
    told = validation.describe(validation.violations(rows, validation.training_schema()))
    assert told.count("row ") == validation.SHOWN
    assert told.endswith("and 7 more")


def test_columns_that_do_not_matter_may_hold_anything():
    assert found(note="anything") == []


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12))
def test_any_text_is_read_as_a_whole_number_within_the_bounds_or_named(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("fuzz") / "data.csv"
    table(age=text).to_csv(path, index=False, quoting=csv.QUOTE_ALL)
    try:
        age = dataset.read(path).features[0, NAMES.index("age")]
    except dataset.DatasetError as error:
        assert [v.column for v in error.violations] == ["age"]
        assert not re.fullmatch(r"1[89]|[2-9][0-9]|1[01][0-9]|120", text)
    else:
        assert age != age or (18 <= age <= 120 and age == int(age))


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "data.csv"
    path.write_bytes(content)
    with pytest.raises(dataset.DatasetError, match=re.escape(str(path))):
        dataset.read(path)
