"""An `.onnx` file as a runner."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_kd.core.checks import requirement
from keras_kd.core.heads import class_logits
from keras_kd.core.imports import optional
from keras_kd.core.output_kinds import place_of
from keras_kd.evaluation import runtimes
from keras_kd.evaluation.file_kinds import file_head
from keras_kd.evaluation.file_kinds import kind_of
from keras_kd.evaluation.file_kinds import onnx_producer
from keras_kd.evaluation.latency import Latency
from keras_kd.evaluation.latency import threads
from keras_kd.evaluation.latency import timed
from keras_kd.evaluation.runners.file_runner import FileRunner


class OnnxRunner(FileRunner):
    """Runs an `.onnx` file through ONNX Runtime.

    Args:
        path: The file.
        role: `"model"` or `"teacher"`, for error messages.
        output: Kind of the output, if the operators do not tell.
        which: Name or index of the output, of several.

    Raises:
        ImportError: If a package of the extra `onnx` is missing.
        ValueError: If ONNX Runtime cannot load the file.
    """

    arena_bytes: int | None = None

    def __init__(
        self, path: Path, role: str, output: str | None, which: Any = None
    ) -> None:
        onnx = optional("onnx", "onnx", "`evaluate` with an ONNX file")
        self._content = path.read_bytes()
        try:
            session: Any = runtimes.get("onnxruntime").open(self._content)
        except ValueError as error:
            expected = "a whole ONNX file that ONNX Runtime can load"
            raise ValueError(
                requirement(
                    "evaluate", role, expected, str(path), f"It said: {error}"
                )
            ) from error
        self._session = session
        graph = onnx.load_from_string(self._content).graph
        names = list(session.outputs)
        place = place_of(names, which, subject="evaluate", role=role)
        self._name = names[place]
        head = file_head(
            output, kind_of(onnx_producer(graph, self._name)), None, role
        )
        sizes = graph.output[place].type.tensor_type.shape.dim
        units = sizes[-1].dim_value if sizes else 0
        super().__init__(path.name, role, head, units or None)
        stored = [tuple(one.dims) for one in graph.initializer]
        self.num_params: int | None = int(sum(map(np.prod, stored)))
        self.size_bytes: int | None = len(self._content)

    def predict(self, x: Any) -> np.ndarray:
        """Return the model's output for a batch."""
        return self._run(self._session, x)

    def logits(self, x: Any) -> np.ndarray:
        """Return class logits, `(batch, ..., classes)` in float32."""
        return np.asarray(class_logits(self.predict(x), self.known_kind()))

    def flops(self, example: Any) -> int | None:
        """Return `None`: the profiler does not count ONNX's operators."""
        return None

    def latency(
        self, example: Any, num_runs: int, num_threads: int
    ) -> Latency | None:
        """Time one example in ONNX Runtime."""
        runtime = runtimes.get("onnxruntime")
        session: Any = runtime.open(self._content, num_threads)
        source = f"ONNX Runtime, {threads(num_threads)}"
        return timed(lambda: self._run(session, example), num_runs, source)

    def close(self) -> None:
        """Free the runtime."""
        self._session.close()

    def _run(self, session: Any, x: Any) -> np.ndarray:
        if isinstance(x, Mapping):
            values = [x[name] for name in session.inputs]
        else:
            values = list(x) if isinstance(x, (list, tuple)) else [x]
        arrays = [
            np.asarray(value).astype(dtype)
            for value, dtype in zip(
                values, session.inputs.values(), strict=True
            )
        ]
        found = session.run(arrays)
        return dict(zip(session.outputs, found, strict=True))[self._name]
