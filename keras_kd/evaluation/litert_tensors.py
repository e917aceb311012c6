"""Everything that a `.tflite` file computes on the way to its outputs."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.evaluation.tensor_details import tensor_details


class OpenTensors(LiteRTModel):
    """A `.tflite` file whose intermediate results can be read.

    Slower and larger in memory than `LiteRTModel`: the runtime reuses no
    memory, and its fast kernels, which join operators, are off.

    Args:
        path: The file.
        num_threads: Threads of the runtime. Defaults to 1.
    """

    def tensors(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Return all tensors as real numbers, by name.

        Args:
            arrays: Inputs by name.

        Shapes:
            arrays: `(batch, ...)` each, in the real numbers of the model.

        Returns:
            One array `(values,)` a tensor, of all examples.

        Raises:
            ValueError: See `predict`.
        """
        checked = self._check(arrays)
        fixed = self.input_details[0].shape[0]
        length = len(next(iter(checked.values())))
        step = fixed or length
        found: dict[str, list[np.ndarray]] = {}
        for at in range(0, length, step):
            self._run({k: v[at : at + step] for k, v in checked.items()}, fixed)
            for name, value in self._values():
                found.setdefault(name, []).append(value.reshape(-1))
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _values(self) -> list[tuple[str, np.ndarray]]:
        """Return what the tensors hold after a run."""
        values = []
        for detail in self._runtime.get_tensor_details():
            # Weights have a scale a channel, and are no results; what a
            # kernel keeps for itself has no name.
            scales = detail["quantization_parameters"]["scales"]
            kept = not detail["name"] or len(scales) > 1
            if kept or detail["dtype"].__name__ == "object_":
                continue
            try:
                stored = self._runtime.get_tensor(detail["index"])
            except ValueError:
                continue  # the runtime folded it away
            described = tensor_details(
                detail["name"], {"shape_signature": [], **detail}
            )
            values.append((detail["name"], described.decode(stored)))
        return values

    def _interpreter(self, content: bytes, num_threads: int) -> Any:
        from ai_edge_litert.interpreter import Interpreter
        from ai_edge_litert.interpreter import OpResolverType

        return Interpreter(
            model_content=content,
            num_threads=num_threads,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=(
                OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            ),
        )
