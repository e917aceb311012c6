"""ONNX Runtime, for `.onnx` files."""

from typing import Any

import numpy as np

from keras_kd.evaluation.runtimes.refusals import Lacking
from keras_kd.evaluation.runtimes.runtime import Runtime
from keras_kd.evaluation.runtimes.runtime import Tensors


class OnnxSession:
    """A file in ONNX Runtime; see `Session`.

    Args:
        session: The runtime's own session.
    """

    def __init__(self, session: Any) -> None:
        self.inputs = {x.name: _dtype(x) for x in session.get_inputs()}
        self.outputs = {x.name: _dtype(x) for x in session.get_outputs()}
        self._session: Any = session

    def run(self, inputs: Tensors) -> list[np.ndarray]:
        """See `Session`."""
        named = dict(zip(self.inputs, inputs, strict=True))
        return list(self._session.run(None, named))

    def close(self) -> None:
        """See `Session`."""
        self._session = None


class OnnxRuntime(Runtime):
    """ONNX Runtime on this machine's CPU."""

    name = "onnxruntime"
    package = "onnxruntime"
    extra = "onnx"

    def open(self, content: bytes, num_threads: int = 1) -> OnnxSession:
        """See `Runtime`."""
        self.check_installed()
        import onnxruntime as package

        options = package.SessionOptions()
        options.intra_op_num_threads = num_threads
        try:
            return OnnxSession(
                package.InferenceSession(
                    content, options, providers=["CPUExecutionProvider"]
                )
            )
        # The runtime's errors have no common base class.
        except Exception as error:
            raise ValueError(str(error)[:300]) from error

    def lacking(self, content: bytes) -> list[Lacking]:
        """Return nothing: ONNX Runtime has every operator of the format."""
        return []


def _dtype(node: Any) -> str:
    """Return the NumPy name of a type such as `tensor(float)`."""
    name = node.type.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)
