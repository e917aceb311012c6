"""Finds the Keras layer that a tensor of a file comes from."""

import re

import numpy as np

from keras_kd.core.layer_paths import walk
from keras_kd.export.context import Context


class LayerNames:
    """Maps the names of a file's tensors to Keras layers.

    The converter names a tensor `model_1/block_1/dense_1/MatMul`: the model,
    its layers from the outside in, and an operation. When TensorFlow traces a
    model for the second time, it appends a number to each name.

    Args:
        context: The student, and the layers around it in the file.
    """

    def __init__(self, context: Context) -> None:
        self._root = context.model.name
        self._layers = dict(walk(context.model))
        # With layers around it, the student is a layer itself.
        around = context.model is not context.student
        self._student = context.student.name if around else ""

    def layer(self, tensor: str) -> str | None:
        """Return the path of the layer in the student, such as `"block/dense"`.

        Args:
            tensor: Name of a tensor, or several joined by `;` if several
                layers became one operator. The layer is then the one with
                most weights.

        Returns:
            The path of the innermost layer; `None` if no layer is known.
        """
        found = [path for part in tensor.split(";") if (path := self._in(part))]
        path = max(found, key=self._size, default="")
        return path.removeprefix(f"{self._student}/") or None

    def shown(self, tensor: str) -> str:
        """Return the layer's path, or the tensor's name if it is unknown."""
        return self.layer(tensor) or tensor

    def _in(self, name: str) -> str:
        """Return the path in the file's model of a layer in one name."""
        parts = name.split("/")
        again = re.fullmatch(re.escape(self._root) + r"_\d+", parts[0])
        found = ""
        for part in parts[1:] if again or parts[0] == self._root else parts:
            spelt = [re.sub(r"_\d+$", "", part), part]
            for one in spelt if again else reversed(spelt):
                inner = f"{found}/{one}" if found else one
                if inner in self._layers:
                    found = inner
                    break
        return "" if found == self._student else found

    def _size(self, path: str) -> int:
        return sum(int(np.prod(w.shape)) for w in self._layers[path].weights)
