"""Engineered features as ONNX nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper, numpy_helper

from credit_retrain.uci.features import COLUMNS, ENGINEERED, STEPS


class GraphBuilder:
    """Collects ONNX nodes and their constants."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self._named: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def constant(self, value: npt.NDArray[Any]) -> str:
        """Return the name of an initialiser with this value."""
        key = (str(value.dtype), value.shape, value.tobytes())
        if key not in self._named:
            self._named[key] = f"constant_{len(self._named)}"
            self.constants.append(numpy_helper.from_array(value, self._named[key]))
        return self._named[key]

    def node(self, op: str, inputs: list[str], output: str, **attributes: object) -> str:
        """Add a node and return its output's name."""
        self.nodes.append(helper.make_node(op, inputs, [output], name="n_" + output, **attributes))
        return output

    def columns(self, source: str, first: int, last: int, output: str) -> str:
        """Add a slice of columns [first, last)."""

        def one(v: int) -> str:
            return self.constant(np.array([v], np.int64))

        return self.node("Slice", [source, one(first), one(last), one(1)], output)


def write_graph(graph: GraphBuilder, used: str, output: str) -> None:
    """Write `engineer` as nodes from the tensor `used` (n, 20) to `output` (n, 35)."""
    for name, (first, last) in COLUMNS.items():
        graph.columns(used, first, last, name)
    for step in STEPS:
        inputs = [a if isinstance(a, str) else graph.constant(np.asarray(a, np.float32)) for a in step.args]
        if step.op == "ReduceSum":  # the axes are an input since opset 13
            axis = graph.constant(np.array([1], np.int64))
            graph.node("ReduceSum", [*inputs, axis], step.name, keepdims=1)
        elif step.op == "ReduceMax":  # the axes are an attribute until opset 18
            graph.node("ReduceMax", inputs, step.name, axes=[1], keepdims=1)
        else:
            graph.node(step.op, inputs, step.name)
    graph.node("Concat", [used, *ENGINEERED], output, axis=1)
