"""The pipeline of a bundle, fitted again."""

from __future__ import annotations

from sklearn.pipeline import Pipeline

from credit_retrain.artifact.export import to_onnx
from credit_retrain.artifact.opened import Bundle
from credit_retrain.data.dataset import Dataset
from credit_retrain.model.pipeline import build


def pipeline_of(opened: Bundle, train: Dataset) -> Pipeline:
    """Fit the pipeline that a bundle's manifest describes.

    Raises
    ------
    ValueError
        When its graph is not the bundle's, byte by byte, or the manifest describes none.
    """
    training = opened.manifest["training"]
    if "parameters" not in training or "seed" not in training:
        raise ValueError(
            "the bundle's manifest does not say how it was trained: expected training.parameters and "
            "training.seed"
        )
    pipeline = build(training["parameters"], training["seed"]).fit(train.features, train.defaulted)
    if to_onnx(pipeline).SerializeToString(deterministic=True) != opened.files["model.onnx"]:
        raise ValueError("training again gives another graph than the bundle's; see `make check-train`")
    return pipeline
