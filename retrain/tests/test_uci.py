"""What names a column of the UCI data is in one sub-package; the schemas are in the package."""

import ast
import json
import re
from importlib import resources
from pathlib import Path

import pytest

import credit_retrain
from credit_retrain.uci.contract import NAMES

CODE = Path(credit_retrain.__file__).parent
WORD = re.compile(r"(?<!\w)(" + "|".join([*NAMES, "bill_amt", "pay_amt", "pay_"]) + r")(?![a-z])")


def texts(file):
    """Yield the string constants of a module but for what documents it."""
    tree = ast.parse(file.read_text())
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield node.value


def naming():
    return {
        str(file.relative_to(CODE).parent)
        for file in CODE.rglob("*.py")
        if any(WORD.search(text) for text in texts(file))
    }


def test_columns_are_named_in_one_sub_package():
    assert naming() == {"uci"}


@pytest.mark.parametrize("event", ["application", "outcome", "prediction"])
def test_the_schemas_travel_in_the_package(event):
    text = (resources.files("credit_retrain") / "schemas" / f"{event}.json").read_text("utf-8")
    generated = Path(__file__).resolve().parents[2] / "schemas" / "jsonschema" / f"{event}.json"
    assert json.loads(text) == json.loads(generated.read_text("utf-8"))
