"""Time the shap library on the shipped model's trees, and hold it to what training recorded.

Prints one line of JSON: microseconds per row, of one row at a time and of 1,024 at once. Only the trees
are explained: the engineered features, which the native engine computes too, are given.
"""

import json
import sys
import time
import zipfile
from statistics import median

import numpy as np
import onnx
import onnxruntime
import shap


def tree_inputs(graph: onnx.ModelProto, rows: np.ndarray) -> np.ndarray:
    """Return what the graph feeds its trees, (rows, tree inputs)."""
    name = next(n for n in graph.graph.node if n.op_type == "TreeEnsembleClassifier").input[0]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([name], {"features": rows})[0]


def trees(graph: onnx.ModelProto) -> tuple[list[dict], float]:
    """Return the ensemble in shap's own form, and the base margin."""
    node = next(n for n in graph.graph.node if n.op_type == "TreeEnsembleClassifier")
    a = {x.name: onnx.helper.get_attribute_value(x) for x in node.attribute}
    at = {}  # (tree, node) to its place in its tree
    places: dict[int, list[int]] = {}
    for i, (t, k) in enumerate(zip(a["nodes_treeids"], a["nodes_nodeids"], strict=True)):
        at[t, k] = len(places.setdefault(t, []))
        places[t].append(i)
    weights = {
        (t, k): w for t, k, w in zip(a["class_treeids"], a["class_nodeids"], a["class_weights"], strict=True)
    }
    out = []
    for t, nodes in places.items():
        leaf = [a["nodes_modes"][i] == b"LEAF" for i in nodes]
        out.append(
            {
                "children_left": np.array(
                    [-1 if e else at[t, a["nodes_truenodeids"][i]] for i, e in zip(nodes, leaf, strict=True)]
                ),
                "children_right": np.array(
                    [-1 if e else at[t, a["nodes_falsenodeids"][i]] for i, e in zip(nodes, leaf, strict=True)]
                ),
                "children_default": np.array(
                    [-1 if e else at[t, a["nodes_falsenodeids"][i]] for i, e in zip(nodes, leaf, strict=True)]
                ),
                "features": np.array(
                    [-2 if e else a["nodes_featureids"][i] for i, e in zip(nodes, leaf, strict=True)]
                ),
                "thresholds": np.array([a["nodes_values"][i] for i in nodes], dtype=np.float64),
                "values": np.array([[weights.get((t, a["nodes_nodeids"][i]), 0.0)] for i in nodes]),
                "node_sample_weight": np.array([a["nodes_hitrates"][i] for i in nodes], dtype=np.float64),
            }
        )
    return out, a["base_values"][0] if a.get("base_values") else 0.0


def main(bundle: str) -> None:
    """Explain the bundle's golden rows."""
    with zipfile.ZipFile(bundle) as archive:
        graph = onnx.load_from_string(archive.read("model.onnx"))
        golden = json.loads(archive.read("golden.json"))["rows"]
    ensemble, base = trees(graph)
    rows = np.array([r["features"] for r in golden], dtype=np.float32)
    x = tree_inputs(graph, rows).astype(np.float64)
    explainer = shap.TreeExplainer(
        {"trees": ensemble, "base_offset": base, "input_dtype": np.float32, "internal_dtype": np.float64},
        feature_perturbation="tree_path_dependent",
    )
    recorded = np.array([r["contributions"] for r in golden])
    off = np.abs(explainer.shap_values(x, check_additivity=False) - recorded).max()
    if not off < 1e-5:
        sys.exit(f"explain.py: shap is {off:.3g} off what training recorded: these are not the same trees")
    batch = np.resize(x, (1024, x.shape[1]))

    def per_row(x: np.ndarray) -> float:
        began = time.perf_counter()
        explainer.shap_values(x, check_additivity=False)
        return (time.perf_counter() - began) / len(x) * 1e6

    figures = {
        "batch=1": median(per_row(batch[i : i + 1]) for i in range(200)),
        "batch=1024": median(per_row(batch) for _ in range(7)),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1])
