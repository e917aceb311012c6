"""A SavedModel folder as a runner."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_kd.core.checks import requirement
from keras_kd.core.files import size_bytes
from keras_kd.core.heads import class_logits
from keras_kd.core.output_kinds import place_of
from keras_kd.evaluation.file_kinds import file_head
from keras_kd.evaluation.file_kinds import folder_kind
from keras_kd.evaluation.file_kinds import graph_producer
from keras_kd.evaluation.file_kinds import kind_of
from keras_kd.evaluation.flops import count_flops
from keras_kd.evaluation.latency import Latency
from keras_kd.evaluation.runners.file_runner import FileRunner
from keras_kd.evaluation.runners.keras_runner import time_function


class SavedModelRunner(FileRunner):
    """Runs the serving signature of a SavedModel.

    Args:
        path: The folder.
        role: `"model"` or `"teacher"`, for error messages.
        output: Kind of the output, if the graph does not tell.
        which: Name or index of the output, of several.
    """

    arena_bytes: int | None = None

    def __init__(
        self, path: Path, role: str, output: str | None, which: Any = None
    ) -> None:
        self._loaded, self._signature = _load(path, role)
        self._inputs = self._signature.structured_input_signature[1]
        outputs = self._signature.structured_outputs
        names = sorted(outputs)
        place = place_of(names, which, subject="evaluate", role=role)
        self._output = names[place]
        graph = self._signature.graph.as_graph_def()
        made = self._signature.outputs[place].name
        seen = kind_of(graph_producer(graph, made))
        head = file_head(output, seen, folder_kind(path, self._output), role)
        units = outputs[self._output].shape[-1]
        super().__init__(path.name, role, head, units)
        self.num_params: int | None = sum(
            int(np.prod(variable.shape))
            for variable in self._signature.variables
        )
        self.size_bytes: int | None = size_bytes(path)

    def predict(self, x: Any) -> np.ndarray:
        """Return the model's output for a batch."""
        return self._call(self._named(x)).numpy()

    def logits(self, x: Any) -> np.ndarray:
        """Return class logits, `(batch, ..., classes)` in float32."""
        return np.asarray(class_logits(self.predict(x), self.known_kind()))

    def flops(self, example: Any) -> int | None:
        """Return the floating-point operations of one example."""
        return count_flops(tf.function(self._call), self._named(example))

    def latency(self, example: Any, num_runs: int, num_threads: int) -> Latency:
        """Time one example; `num_threads` is ignored, as for Keras models."""
        named = self._named(example)
        return time_function(tf.function(self._call), named, num_runs)

    def close(self) -> None:
        """Free the variables."""
        del self._loaded, self._signature

    def _call(self, named: dict[str, Any]) -> Any:
        return self._signature(**named)[self._output]

    def _named(self, x: Any) -> dict[str, tf.Tensor]:
        """Return the inputs by name, cast to the types of the signature."""
        names = sorted(self._inputs)
        if not isinstance(x, Mapping):
            x = x[0] if isinstance(x, (list, tuple)) and len(x) == 1 else x
            x = {names[0]: x} if len(names) == 1 else {}
        if sorted(x) != names:
            raise _bad("dataset", f"dicts of the inputs {names}", sorted(x))
        return {
            name: _cast(np.asarray(values), self._inputs[name])
            for name, values in x.items()
        }


def _load(path: Path, role: str) -> tuple[Any, Any]:
    whole = "a whole SavedModel folder"
    if not tf.saved_model.contains_saved_model(str(path)):
        advice = "It holds no `saved_model.pb`."
        raise _bad(role, whole, str(path), advice)
    try:
        loaded = tf.saved_model.load(str(path))
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        advice = f"TensorFlow says: {reason}"
        raise _bad(role, whole, str(path), advice) from error
    signature = loaded.signatures.get("serving_default")
    if signature is None:
        expected = "a SavedModel with the signature 'serving_default'"
        raise _bad(role, expected, sorted(loaded.signatures))
    return loaded, signature


def _cast(values: np.ndarray, spec: tf.TensorSpec) -> tf.Tensor:
    if values.ndim != spec.shape.rank or not spec.shape[1:].is_compatible_with(
        values.shape[1:]
    ):
        shape = tuple(spec.shape)
        raise _bad("dataset", f"inputs of shape {shape}", values.shape)
    tensor = tf.constant(values)
    numeric = tensor.dtype != tf.string and spec.dtype != tf.string
    return tf.cast(tensor, spec.dtype) if numeric else tensor


def _bad(
    argument: str, expected: str, received: Any, advice: str = ""
) -> ValueError:
    return ValueError(
        requirement("evaluate", argument, expected, received, advice)
    )
