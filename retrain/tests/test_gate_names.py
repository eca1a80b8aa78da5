import re
from pathlib import Path

from credit_retrain.evaluate import gates

SERVING = Path(__file__).parents[2] / "model" / "gates.go"


def test_the_serving_side_asks_for_the_same_gates():
    listed = re.search(r"var gateNames = \[\]string\{\n(.*?)\n\}", SERVING.read_text("utf-8"), re.DOTALL)
    assert listed is not None
    assert tuple(re.findall(r'^\t"(.*)",$', listed[1], re.MULTILINE)) == gates.NAMES
