"""Measures a model on a dataset."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import keras

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.core.input_choice import InputChoice
from keras_kd.evaluation import runtimes
from keras_kd.evaluation.one_pass import Subject
from keras_kd.evaluation.one_pass import evaluate_all
from keras_kd.evaluation.results import Evaluation


def evaluate(  # noqa: PLR0913 (three inputs; the rest are switches)
    model_or_path: keras.Model | str | os.PathLike[str] | Any,
    dataset: Any,
    teacher: keras.Model | str | os.PathLike[str] | Any = None,
    *,
    num_threads: int = 1,
    latency: bool = True,
    latency_runs: int = 100,
    teacher_output: str | None = None,
    model_output: str | None = None,
    output: str | int | None = None,
    student_input: InputChoice = None,
    teacher_input: InputChoice = None,
    runtime: str | Sequence[str] | None = None,
) -> Evaluation:
    """Measure a Keras model, a SavedModel folder or an exported file.

    All are measured by the same code, so that results can be compared. The
    model and the teacher run once per batch, in inference mode, with one
    batch in memory at a time. `latency` adds ten warm-up runs and
    `latency_runs` timed runs of one example.

    Args:
        model_or_path: A built `keras.Model`, a SavedModel folder, a
            `.keras`, `.tflite` or `.onnx` file, a
            `keras_kd.teachers.Ensemble` or `HostTeacher`, or any function
            from a batch to one output.
        dataset: Batched `tf.data.Dataset`, `keras.utils.PyDataset`, or
            arrays as `x`, `(x, y)` or `(x, y, sample_weight)`. Without
            labels, only the agreement with a teacher is measured.
        teacher: Like `model_or_path`; adds `agreement` and `teacher_kl`, or
            `teacher_mae` for numbers, `teacher_cosine` for embeddings.
        num_threads: Threads of the LiteRT runtime for latency, at least 1.
            Defaults to 1. Keras models and SavedModels use TensorFlow's
            threads; `latency_source` says how many.
        latency: Whether to measure latency. Defaults to `True`.
        latency_runs: Timed runs of one example. Defaults to 100.
        teacher_output: Kind of the teacher's output, needed only if it
            cannot be told from the teacher: `"logits"`, `"probabilities"`,
            `"binary_logits"`, `"binary_probabilities"`, `"numbers"` or
            `"embedding"`.
        model_output: The same for the model.
        output: Which output of models of several: a key, or an index. Its
            labels and weights are taken where y has a part for each output.
        student_input: The part of x that the model takes: a key of a dict,
            or a function of x. Defaults to all of it; for a Distiller to its
            own, and for its student to that if it is a key.
        teacher_input: The same for the teacher.
        runtime: What runs a `.tflite` file: `"litert"`, the default;
            `"litert-reference"`; or `"tflm"`, TFLite Micro, for
            microcontrollers, which also gives `arena_bytes` and needs the
            extra `micro`. `"onnxruntime"` runs an `.onnx` file. Several give
            one result with the measurements in each in its `runtimes`. Of
            those for `.tflite` files, latency is measured under `"litert"`
            only: the others take another time here than on a device.

    Shapes:
        x: `(batch, ...)`, inputs of the model, or a structure of these.
        y: class numbers `(batch, ...)` or rows `(batch, ..., classes)`; 0
            and 1 for each label; numbers like the model's. -1 for a class or
            a label, or NaN, means no label: it counts only in what compares
            model and teacher. The classes of a hinge loss are 0 and 1 here.
        sample_weight: `(batch,)` or `(batch, ...)`.

    Returns:
        An `Evaluation`; metrics that do not apply are `None`.

    Raises:
        ImportError: If the runtime is not installed.
        TypeError: If the model, the dataset or the choice of inputs has
            another type.
        ValueError: If there is no complete model at a path, the runtime lacks
            operators of the file, logits and
            probabilities cannot be told apart, the inputs or the classes of
            model, teacher and data do not match, or the dataset is empty,
            endless or not batched.

    Example:
    >>> import keras, keras_kd
    >>> import numpy as np
    >>> model = keras.Sequential(
    ...     [keras.Input((2,)), keras.layers.Dense(2, use_bias=False)])
    >>> model.set_weights([np.eye(2)])
    >>> x, y = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]), [0, 1, 1]
    >>> result = keras_kd.evaluate(model, (x, np.array(y)), latency=False)
    >>> round(result.accuracy, 3), result.num_params, result.flops
    (0.667, 4, 8)
    """
    names: list[Any] = (
        [runtime] if isinstance(runtime, str) else list(runtime or [])
    )
    if runtime is not None and not names:
        raise ValueError(
            requirement(
                "evaluate",
                "runtime",
                "None, the name of a runtime, or several",
                runtime,
            )
        )
    for name in names:
        check_choice("evaluate", "runtime", name, runtimes.NAMES)
    found = evaluate_all(
        [
            Subject(model_or_path, model_output, name, student_input)
            for name in names or [None]
        ],
        dataset,
        teacher,
        num_threads=num_threads,
        latency=latency,
        latency_runs=latency_runs,
        teacher_output=teacher_output,
        output=output,
        # A Distiller knows what its models take.
        teacher_input=teacher_input
        or getattr(model_or_path, "teacher_inputs", None),
    )
    if len(names) < 2:
        return found[0]
    arenas = [one.arena_bytes for one in found if one.arena_bytes]
    return dataclasses.replace(
        found[0],
        runtimes=dict(zip(names, found, strict=True)),
        arena_bytes=arenas[0] if arenas else None,
    )
