"""The pipeline as one ONNX graph."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, compose, helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.pipeline import Pipeline

from credit_retrain.artifact.graph import GraphBuilder, write_graph
from credit_retrain.uci.contract import NAMES, USED_RUNS
from credit_retrain.uci.features import TREE_INPUTS, Floats

OPSETS = {"": 17, "ai.onnx.ml": 3}
IR_VERSION = 8


def _stamp(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    # skl2onnx records opset 16/1 whatever it is asked for, and graphs merge only with equal opsets.
    # It names every graph at random, and merging writes both names into the result: the same
    # training would not give the same bytes.
    model.ir_version = IR_VERSION
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in OPSETS.items())
    model.producer_name, model.producer_version, model.doc_string = "creditstream", "1", ""
    model.graph.name, model.graph.doc_string = name, ""
    onnx.checker.check_model(model, full_check=True)
    return model


def trees_to_onnx(
    trees: GradientBoostingClassifier, width: int, source: str = "tree_inputs"
) -> onnx.ModelProto:
    """Convert the ensemble alone: input `source` (n, width), outputs `label`, `probabilities`.

    The converter writes 1 for every node's sample count; exact SHAP weighs branches by the
    training rows that reached them, so scikit-learn's counts are written in.
    """
    model = convert_sklearn(
        trees,
        initial_types=[(source, FloatTensorType([None, width]))],
        options={id(trees): {"zipmap": False}},
        target_opset=OPSETS,
    )
    node = next(n for n in model.graph.node if n.op_type == "TreeEnsembleClassifier")
    attributes = {a.name: a for a in node.attribute}
    covers = np.concatenate([t.tree_.weighted_n_node_samples for t in trees.estimators_[:, 0]])
    if len(covers) != len(attributes["nodes_hitrates"].floats):
        raise ValueError("the converter changed the order or number of nodes")
    del attributes["nodes_hitrates"].floats[:]
    attributes["nodes_hitrates"].floats.extend(covers.astype(np.float32).tolist())
    return _stamp(model, "trees")


def features_to_onnx(medians: Floats) -> onnx.ModelProto:
    """Write imputation and engineered features: `features` (n, 23) to `tree_inputs` (n, 35).

    SEX, MARRIAGE and AGE feed no node.
    """
    graph = GraphBuilder()
    parts = [graph.columns("features", a, b, f"used_{a}_{b}") for a, b in USED_RUNS]
    used = graph.node("Concat", parts, "used", axis=1)
    missing = graph.node("IsNaN", [used], "missing")
    filled = graph.node(
        "Where", [missing, graph.constant(medians.reshape(1, -1).astype(np.float32)), used], "imputed"
    )
    write_graph(graph, filled, "engineered")
    width = len(TREE_INPUTS)
    return _stamp(
        helper.make_model(
            helper.make_graph(
                graph.nodes,
                "features",
                [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", len(NAMES)])],
                [helper.make_tensor_value_info("engineered", TensorProto.FLOAT, ["N", width])],
                graph.constants,
            ),
            opset_imports=[helper.make_opsetid(d, v) for d, v in OPSETS.items()],
        ),
        "features",
    )


def to_onnx(pipeline: Pipeline) -> onnx.ModelProto:
    """Write the whole pipeline as one graph with outputs `label` and `probabilities`."""
    trees = trees_to_onnx(pipeline.named_steps["trees"], len(TREE_INPUTS))
    merged = compose.merge_models(
        features_to_onnx(pipeline.named_steps["impute"].medians_),
        trees,
        io_map=[("engineered", "tree_inputs")],
        outputs=["label", "probabilities"],
    )
    return _stamp(merged, "credit_default")


def run(model: onnx.ModelProto, rows: Floats) -> Floats:
    """Score rows on ONNX Runtime: the probability of default, shape (n,)."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    out: Floats = session.run(["probabilities"], {name: np.ascontiguousarray(rows, np.float32)})[0][:, 1]
    return out
