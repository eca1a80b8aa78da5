"""The feature graph against plain NumPy, written a second time and on purpose differently."""

import numpy as np
import onnxruntime
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_retrain.artifact.export import features_to_onnx
from credit_retrain.uci.contract import FEATURES, NAMES, USED
from credit_retrain.uci.features import ENGINEERED, TREE_INPUTS, engineer
from credit_retrain.uci.transformers import Imputer

STATUS = ["pay_0", "pay_2", "pay_3", "pay_4", "pay_5", "pay_6"]
BILLS = [f"bill_amt{i}" for i in range(1, 7)]
PAID = [f"pay_amt{i}" for i in range(1, 7)]


def plain(row):
    """Compute the engineered features of one complete row: whole numbers first, one division at the end."""

    def over(a, b):
        return np.float32(np.float32(a) / np.float32(b))

    def paid_share(paid, owed):
        return min(max(over(paid, max(owed, 1)), np.float32(0)), np.float32(2))

    limit = max(row["limit_bal"], 1)
    status, bills, paid = ([row[n] for n in names] for names in (STATUS, BILLS, PAID))
    return {
        "util_1": over(bills[0], limit),
        "util_mean": over(sum(bills), 6 * limit),
        "util_max": over(max(bills), limit),
        "util_rise": over(bills[0] - bills[5], limit),
        "headroom": limit - bills[0],
        "payratio_1": paid_share(paid[0], bills[1]),
        "payratio_2": paid_share(paid[1], bills[2]),
        "payratio_5m": paid_share(sum(paid[:5]), sum(bills[1:])),
        "paid_to_limit": over(sum(paid), limit),
        "paid_months": sum(p > 0 for p in paid),
        "delay_max": max(status),
        "delay_months": sum(s > 0 for s in status),
        "delay_sum": sum(s for s in status if s > 0),
        "delay_recent": max(status[0], 0) + max(status[1], 0),
        "delay_trend": status[0] - status[5],
    }


def value(feature):
    """Any whole number of the contract, its bounds and nought often, or nothing."""
    bounds = [v for v in (feature.minimum, feature.maximum, 0, 1) if feature.minimum <= v <= feature.maximum]
    return st.one_of(st.integers(feature.minimum, feature.maximum), st.sampled_from(bounds), st.none())


ROW = st.tuples(*(value(f) for f in FEATURES))
MEDIANS = np.array([{"limit_bal": 140_000, "education": 2}.get(name, 0) for name in USED], np.float32)


def session():
    graph = features_to_onnx(MEDIANS)
    return onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])


GRAPH = session()


@settings(max_examples=100, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=20))
def test_graph_and_pipeline_compute_the_same_bits_as_plain_numpy(rows):
    x = np.array([[np.nan if v is None else v for v in row] for row in rows], np.float32)
    imputer = Imputer()
    imputer.medians_ = MEDIANS
    from_graph = GRAPH.run(None, {"features": x})[0]
    from_pipeline = engineer(imputer.transform(x))
    imputed = [
        {
            name: int(MEDIANS[USED.index(name)]) if row[NAMES.index(name)] is None else row[NAMES.index(name)]
            for name in USED
        }
        for row in rows
    ]
    want = np.array(
        [[*(r[n] for n in USED), *(plain(r)[n] for n in ENGINEERED)] for r in imputed], np.float32
    )
    assert from_graph.shape == (len(rows), len(TREE_INPUTS))
    np.testing.assert_array_equal(from_graph, want)
    np.testing.assert_array_equal(from_pipeline, want)


@settings(max_examples=25, deadline=None)
@given(ROW, ROW)
def test_protected_characteristics_do_not_reach_the_trees(row, other):
    first = np.array([[np.nan if v is None else v for v in row]], np.float32)
    second = first.copy()
    for name in ("sex", "marriage", "age"):
        i = NAMES.index(name)
        second[0, i] = np.nan if other[i] is None else other[i]
    np.testing.assert_array_equal(*(GRAPH.run(None, {"features": x})[0] for x in (first, second)))
