"""A bundle's bytes, opened and held to its manifest: what reads a bundle reads it here."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError

from credit_retrain.artifact import bundle, manifest
from credit_retrain.artifact.export import run

Doubles = npt.NDArray[np.float64]


class Bundle:
    """A bundle's bytes, opened: its manifest and its graph.

    Raises
    ------
    ValueError
        When it is no bundle, its manifest has another shape, or a file is not the one that the
        manifest names.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.files = bundle.unpack(content)
        self.manifest = manifest.read(self.files["manifest.json"])
        for name, said in self.manifest["files"].items():
            if hashlib.sha256(self.files.get(name, b"")).hexdigest() != said["sha256"]:
                raise ValueError(f"{name} is not the file that the bundle's manifest names")

    @property
    def version(self) -> str:
        """The model version."""
        return str(self.manifest["version"])

    @property
    def digest(self) -> str:
        """The digest of its bytes, as the models topic and MLflow have it."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    def graph(self) -> onnx.ModelProto:
        """Read its graph."""
        try:
            return onnx.load_from_string(self.files["model.onnx"])
        except DecodeError as error:
            raise ValueError(f"model {self.version}: model.onnx is no ONNX graph") from error

    def score(self, features: npt.ArrayLike) -> Doubles:
        """Score rows of the 23 features on ONNX Runtime: the probability of default, shape (n,)."""
        return run(self.graph(), np.asarray(features, np.float32)).astype(np.float64)
