"""One interface for Keras models, SavedModel folders and exported files.

The metrics only use the methods and attributes of `Runner`.
"""

import os
from pathlib import Path
from typing import Any
from typing import Protocol

import keras
import numpy as np

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.model_files import open_model
from keras_kd.evaluation.latency import Latency
from keras_kd.evaluation.runners.function_runner import FunctionRunner
from keras_kd.evaluation.runners.keras_runner import KerasRunner
from keras_kd.evaluation.runners.litert_runner import LiteRTRunner
from keras_kd.evaluation.runners.onnx_runner import OnnxRunner
from keras_kd.evaluation.runners.saved_model_runner import SavedModelRunner
from keras_kd.evaluation.runtimes import ON_TFLITE

_RUNTIMES = {".tflite": ON_TFLITE, ".onnx": ("onnxruntime",)}


class Runner(Protocol):
    """A model that can be measured.

    Attributes:
        name: The model's name, or that of its file.
        num_params: Number of weights, or None if unknown.
        size_bytes: Size in bytes, or None if unknown.
        units: Size of the output's last axis, or None if unknown.
        arena_bytes: Smallest arena, for files in a runtime that has one.
    """

    name: str
    arena_bytes: int | None
    units: int | None
    num_params: int | None
    size_bytes: int | None

    @property
    def kind(self) -> str | None:
        """What the output is, or None if it is unknown."""

    def settle(self, like: str | None) -> None:
        """Decide what an open output is: what the other model's output is."""

    def check(self) -> None:
        """Check that the kind of the output is known."""

    def predict(self, x: Any) -> np.ndarray:
        """Return the model's output for a batch."""

    def logits(self, x: Any) -> np.ndarray:
        """Return class logits, `(batch, ..., classes)` in float32."""

    def flops(self, example: Any) -> int | None:
        """Return the floating-point operations of one example."""

    def latency(
        self, example: Any, num_runs: int, num_threads: int
    ) -> Latency | None:
        """Time one example; `None` if the time here tells nothing."""

    def close(self) -> None:
        """Free the model's resources."""


def open_runner(
    model: Any,
    *,
    role: str = "model",
    output: str | None = None,
    which: Any = None,
    runtime: str | None = None,
) -> Runner:
    """Open a Keras model, a SavedModel folder or a file.

    Args:
        model: A `keras.Model`, an ensemble or a function of a batch, or the
            path of one of these.
        role: `"model"` or `"teacher"`, for error messages.
        output: Kind of the output, if the model does not tell: `"logits"`,
            `"probabilities"`, `"binary_logits"` or
            `"binary_probabilities"`.
        which: Name or index of the output, of several.
        runtime: The runtime that runs a file; `None` for the usual one.

    Raises:
        TypeError: If `model` is neither a model, a function nor a path.
        ValueError: If there is no complete model at the path, or the kind of
            its outputs is unknown.
    """
    if runtime is not None:
        _check_runtime(model, runtime)
    if isinstance(model, keras.Model):
        # A Distiller is measured as the student it trains.
        student = getattr(model, "student", model)
        inner = student if isinstance(student, keras.Model) else model
        return KerasRunner(inner, role, output, which=which)
    if callable(model) and not isinstance(model, type):
        return FunctionRunner(model, role, output, which)
    if not isinstance(model, (str, os.PathLike)):
        raise TypeError(
            requirement(
                "evaluate",
                role,
                "a keras.Model or a path, or a function",
                model,
            )
        )
    path = Path(model)
    if not path.exists():
        raise ValueError(_missing(path, role))
    if path.is_dir():
        return SavedModelRunner(path, role, output, which)
    if path.suffix == ".tflite":
        return LiteRTRunner(path, role, output, which, runtime or "litert")
    if path.suffix == ".onnx":
        return OnnxRunner(path, role, output, which)
    if path.suffix in (".keras", ".h5"):
        return KerasRunner(_load(path), role, output, path, which)
    raise ValueError(
        requirement(
            "evaluate",
            role,
            "a `.keras`, `.tflite` or `.onnx` file or a SavedModel folder",
            str(path),
        )
    )


def _check_runtime(model: Any, runtime: str) -> None:
    """Check that a runtime runs what is to be measured.

    Raises:
        ValueError: If it does not.
    """
    fitting = _RUNTIMES.get(Path(str(model)).suffix)
    if fitting is not None:
        check_choice("evaluate", "runtime", runtime, fitting)
        return
    raise ValueError(
        requirement(
            "evaluate",
            "runtime",
            "None for anything but a `.tflite` or `.onnx` file",
            runtime,
            "Export the model, and evaluate the file.",
        )
    )


def _load(path: Path) -> keras.Model:
    model = open_model(path)
    student = getattr(model, "student", model)
    return student if isinstance(student, keras.Model) else model


def _missing(path: Path, role: str) -> str:
    beside = []
    if path.parent.is_dir():
        beside = [entry.name for entry in path.parent.iterdir()]
    return requirement(
        "evaluate",
        role,
        "an existing file or folder",
        str(path),
        nearest(path.name, beside),
    )
