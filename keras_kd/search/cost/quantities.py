"""Functions that measure each quantity of an untrained student."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from typing import cast

import keras
import numpy as np
import tensorflow as tf

from keras_kd.core.checks import requirement
from keras_kd.evaluation.flops import count_flops
from keras_kd.evaluation.latency import file_latency
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.evaluation.runtimes import Arena
from keras_kd.evaluation.runtimes import UnusableFileError
from keras_kd.export.context import read_context
from keras_kd.export.conversion import convert_student
from keras_kd.export.layer_names import LayerNames
from keras_kd.export.random_examples import random_examples
from keras_kd.search.cost.memory import peak_memory

_SUBJECT = "Budget"
_TIMEOUT = 120.0
# Few are enough: the calibrated ranges do not change the file's size.
_CALIBRATION_EXAMPLES = 8
_ROUNDS = 3
_RUNS = 50
_ROUND_MS = 200.0
# At this factor from the limit, another round would not change the verdict.
_CLEAR = 2.0
# Layers whose kernels a converter neither folds, merges nor drops.
_KERNELS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Dense,
)
_BYTES_PER_WEIGHT = {
    "float32": 4,
    "float16": 2,
    "dynamic_range": 1,
    "int8": 1,
}


def num_params(student: keras.Model) -> int:
    """Return the number of weights, trainable or not."""
    return sum(int(np.prod(weight.shape)) for weight in student.weights)


def least_bytes(student: keras.Model, quantization: str) -> int:
    """Return a lower bound of the bytes of the student's file.

    Counts the kernels of the plain layers of a Functional or Sequential
    model, at the fewest bytes per weight in `quantization`. Weights that a
    converter could fold, share or drop do not count, so a student that fits
    is never refused.

    Args:
        student: A built model.
        quantization: `"float32"`, `"float16"`, `"dynamic_range"`, `"int8"`.
    """
    if not isinstance(student, (keras.Sequential, keras.Function)):
        return 0
    if type(student).call.__module__.partition(".")[0] != "keras":
        return 0
    kernels = {
        id(layer._kernel): int(np.prod(layer._kernel.shape))
        for layer in student.layers
        if type(layer) in _KERNELS and layer.quantization_mode is None
    }
    return sum(kernels.values()) * _BYTES_PER_WEIGHT[quantization]


def flops(student: keras.Model) -> int:
    """Return the floating-point operations for one example.

    Raises:
        ValueError: If TensorFlow cannot count them.
    """
    context = read_context(_SUBJECT, student)
    example = context.signature.build(random_examples(context, 1))
    count = count_flops(
        tf.function(lambda x: student(x, training=False)), example
    )
    if count is None:
        raise ValueError(
            requirement(
                _SUBJECT,
                "student",
                "a model whose operations TensorFlow can count, for `flops`",
                student,
                "Limit `num_params` or `latency_ms` instead.",
            )
        )
    return count


@contextmanager
def converted(
    student: keras.Model, quantization: str, runtime: str | None = None
) -> Iterator[Path]:
    """Yield the student's `.tflite` file, in a scratch folder.

    Args:
        student: A built model. Its weights change during the conversion and
            are restored.
        quantization: `"float32"`, `"float16"`, `"dynamic_range"`, `"int8"`.
        runtime: The runtime for which the file is made.

    Raises:
        ValueError: If the student cannot be exported.
        RuntimeError: If the converter refuses, crashes or takes two minutes.
    """
    context = read_context(_SUBJECT, student, runtime=runtime)
    calibration = None
    if quantization == "int8":
        calibration = random_examples(context, _CALIBRATION_EXAMPLES)
    with tempfile.TemporaryDirectory(prefix="keras_kd_budget_") as folder:
        path = Path(folder) / "student.tflite"
        with _as_if_trained(student):
            convert_student(
                context,
                {quantization: path},
                calibration,
                timeout=_TIMEOUT,
            )
        yield path


def memory(path: Path) -> int:
    """Return the most bytes of activations alive at once in a file."""
    return peak_memory(path.read_bytes())


def arena(path: Path, student: keras.Model) -> int:
    """Return the bytes of the smallest arena of TFLite Micro for a file.

    Args:
        path: The file.
        student: The model in it.

    Raises:
        ImportError: If TFLite Micro is not installed.
        ValueError: If it lacks operators of the file; names them and their
            layers.
    """
    try:
        file = LiteRTModel(path, runtime="tflm")
    except UnusableFileError as error:
        names = LayerNames(read_context(_SUBJECT, student))
        told = error.retold(_SUBJECT, path, names.shown)
        expected = "None for a student that TFLite Micro does not run"
        raise ValueError(
            requirement(_SUBJECT, "arena_bytes", expected, student, told.reason)
        ) from error
    file.close()
    # TFLite Micro has an arena; other runtimes have none.
    return cast(Arena, file.arena()).bytes


def latency(path: Path, num_threads: int, limit: float | None) -> float:
    """Return the median milliseconds for one example.

    Several medians are taken and the smallest is returned, as other work on
    the machine only adds time. The first is enough if it is more than twice
    the limit or less than half of it.

    Args:
        path: A `.tflite` file.
        num_threads: Threads of the LiteRT runtime.
        limit: The budget's limit, or `None`.
    """
    best = file_latency(path, 1, num_threads).p50_ms
    runs = int(np.clip(_ROUND_MS / best, 5, _RUNS))
    for _ in range(_ROUNDS):
        if limit and not limit / _CLEAR < best < limit * _CLEAR:
            break
        best = min(best, file_latency(path, runs, num_threads).p50_ms)
    return best


def refuse_open(student: keras.Model, names: list[str]) -> None:
    """Refuse quantities that need fixed input sizes.

    Args:
        student: A model with an input size that is not fixed.
        names: The wanted quantities that need fixed sizes.

    Raises:
        ValueError: If there are such quantities; names them.
    """
    if names:
        raise ValueError(
            requirement(
                _SUBJECT,
                "student",
                f"a model of fixed input sizes, for {', '.join(names)}",
                student,
                "Give its `keras.Input` the sizes that the device will see.",
            )
        )


@contextmanager
def _as_if_trained(student: keras.Model) -> Iterator[None]:
    """Add noise to the weights while the context is open.

    An untrained student's biases are all zero and its normalizations have no
    effect. The converter stores equal vectors once and drops operations
    without effect, so the file would be smaller than the trained student's,
    by 0.2 to 11 % in the families of `keras_kd.students`.
    """
    generator = np.random.default_rng(0)
    before: list[tuple[Any, np.ndarray]] = []
    try:
        for weight in student.weights:
            value = keras.ops.convert_to_numpy(weight)
            if "float" not in value.dtype.name:
                continue
            before.append((weight, value.copy()))
            noise = generator.uniform(1e-3, 2e-3, value.shape)
            weight.assign(value + noise.astype(value.dtype))
        yield
    finally:
        for weight, value in before:
            weight.assign(value)
