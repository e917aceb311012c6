"""A `.tflite` file as a runner."""

from pathlib import Path
from typing import Any

import numpy as np

from keras_kd.core.heads import class_logits
from keras_kd.core.output_kinds import place_of
from keras_kd.evaluation.file_kinds import file_head
from keras_kd.evaluation.file_kinds import kind_of
from keras_kd.evaluation.file_kinds import litert_producer
from keras_kd.evaluation.latency import Latency
from keras_kd.evaluation.latency import file_latency
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.evaluation.runners.file_runner import FileRunner


class LiteRTRunner(FileRunner):
    """Runs a `.tflite` file through LiteRT or another runtime.

    Args:
        path: The file.
        role: `"model"` or `"teacher"`, for error messages.
        output: Kind of the output, if the operators do not tell.
        which: Name or index of the output, of several.
        runtime: The runtime that runs the file.
    """

    def __init__(
        self,
        path: Path,
        role: str,
        output: str | None,
        which: Any = None,
        runtime: str = "litert",
    ) -> None:
        self._path = path
        self._model = LiteRTModel(path, runtime=runtime)
        details = self._model.output_details
        self._names = [detail.name for detail in details]
        place = place_of(self._names, which, subject="evaluate", role=role)
        self._place = place
        self._step = details[place].scale
        content = path.read_bytes()
        seen = kind_of(litert_producer(content, details[place].index))
        carried = dict(enumerate(self._model.output_kinds)).get(place)
        head = file_head(output, seen, carried, role)
        super().__init__(path.name, role, head, details[place].shape[-1])
        self.num_params: int | None = self._model.num_params
        self.size_bytes: int | None = path.stat().st_size
        arena = self._model.arena()
        self.arena_bytes: int | None = arena.bytes if arena else None
        self._runtime = runtime

    def predict(self, x: Any) -> np.ndarray:
        """Return the model's output for a batch, dequantized."""
        outputs = self._model.predict(x)
        if isinstance(outputs, dict):
            return outputs[self._names[self._place]]
        return outputs

    def logits(self, x: Any) -> np.ndarray:
        """Return class logits, `(batch, ..., classes)` in float32."""
        outputs = self.predict(x)
        kind = self.known_kind()
        if self._step and kind.endswith("probabilities"):
            # A quantized probability is off by up to half a step. If it is
            # stored as 0, its logarithm must not become -inf.
            half = np.float32(self._step / 2)
            outputs = np.clip(outputs, half, 1 - half)
        return np.asarray(class_logits(outputs, kind))

    def flops(self, example: Any) -> int | None:
        """Return `None`: the profiler does not count LiteRT operators."""
        return None

    def latency(
        self, example: Any, num_runs: int, num_threads: int
    ) -> Latency | None:
        """Time one example in LiteRT (see `file_latency`)."""
        if self._runtime != "litert":
            return None
        return file_latency(self._path, num_runs, num_threads)

    def close(self) -> None:
        """Free the runtime."""
        self._model.close()
