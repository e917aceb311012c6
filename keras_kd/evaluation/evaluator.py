"""Measures a model on a dataset."""

import dataclasses
import os
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import keras

from keras_kd.core.batches import batches
from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_integer
from keras_kd.core.input_choice import InputChoice
from keras_kd.core.input_choice import check_input_choice
from keras_kd.core.input_choice import choose_input
from keras_kd.core.input_choice import remembered_part
from keras_kd.core.output_kinds import by_name
from keras_kd.core.output_kinds import place_of
from keras_kd.evaluation import runtimes
from keras_kd.evaluation.classification_metrics import Tally
from keras_kd.evaluation.label_metrics import LabelsTally
from keras_kd.evaluation.results import Evaluation
from keras_kd.evaluation.runners import Runner
from keras_kd.evaluation.runners import open_runner
from keras_kd.evaluation.vector_metrics import EmbeddingTally
from keras_kd.evaluation.vector_metrics import NumbersTally

AnyTally = Tally | LabelsTally | NumbersTally | EmbeddingTally


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
            and 1 for each label; numbers like the model's.
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
    check_integer("evaluate", "num_threads", num_threads, low=1)
    check_integer("evaluate", "latency_runs", latency_runs, low=1)
    names = [runtime] if isinstance(runtime, str) else list(runtime or [])
    for name in names:
        check_choice("evaluate", "runtime", name, runtimes.NAMES)
    # A Distiller knows what its models take, and its student remembers.
    student_input = (
        student_input
        or getattr(model_or_path, "student_inputs", None)
        or remembered_part(model_or_path)
    )
    teacher_input = teacher_input or getattr(
        model_or_path, "teacher_inputs", None
    )

    def measured(name: str | None) -> Evaluation:
        steps = _Steps(dataset, student_input, teacher_input, output)
        model = open_runner(
            model_or_path, output=model_output, which=output, runtime=name
        )
        guide = None
        try:
            if teacher is not None:
                guide = open_runner(
                    teacher, role="teacher", output=teacher_output, which=output
                )
            _settle(model, guide)
            tally, example = _count(model, guide, steps)
            taken = None
            if latency:
                taken = model.latency(example, latency_runs, num_threads)
            return Evaluation(
                name=model.name,
                num_examples=tally.num_examples,
                **tally.result(),
                num_params=model.num_params,
                flops=model.flops(example),
                size_bytes=model.size_bytes,
                latency_ms_p50=taken.p50_ms if taken else None,
                latency_ms_p95=taken.p95_ms if taken else None,
                latency_source=taken.source if taken else None,
                arena_bytes=model.arena_bytes,
            )
        finally:
            for runner in (model, guide):
                if runner is not None:
                    runner.close()

    if len(names) < 2:
        return measured(names[0] if names else None)
    found = {name: measured(name) for name in names}
    arenas = [one.arena_bytes for one in found.values() if one.arena_bytes]
    return dataclasses.replace(
        found[names[0]],
        runtimes=found,
        arena_bytes=arenas[0] if arenas else None,
    )


class _Steps:
    """The batches of a data set, as the model and the teacher take them."""

    def __init__(
        self, dataset: Any, student_input: Any, teacher_input: Any, output: Any
    ) -> None:
        self._choices = {
            "student_input": student_input,
            "teacher_input": teacher_input,
        }
        for argument, how in self._choices.items():
            check_input_choice(how, subject="evaluate", argument=argument)
        self._output = output
        self._steps = batches(dataset)

    def __iter__(self) -> Iterator[tuple[Any, Any, Any, Any]]:
        for x, y, weights in self._steps:
            yield (*self._chosen(x), self._part(y), self._part(weights))

    def _chosen(self, x: Any) -> Iterator[Any]:
        for argument, how in self._choices.items():
            yield choose_input(x, how, subject="evaluate", argument=argument)

    def _part(self, labels: Any) -> Any:
        """Return the labels or the weights of the chosen output."""
        parts = by_name(labels)
        names = list(parts)
        place = place_of(names, self._output, subject="evaluate", role="data")
        return parts[names[place]]


def _settle(model: Runner, teacher: Runner | None) -> None:
    """Decide what the outputs are; each model may tell the other's."""
    if teacher is not None:
        for one, other in ((teacher, model), (model, teacher)) * 2:
            one.settle(other.kind)
        teacher.check()
    model.check()


def _tally_for(model: Runner) -> AnyTally:
    """Return what counts the outputs of a model."""
    kind = model.kind
    if kind == "numbers":
        return NumbersTally()
    if kind == "embedding":
        return EmbeddingTally()
    labels = str(kind).startswith("binary") and (model.units or 1) > 1
    return LabelsTally() if labels else Tally()


def _count(
    model: Runner, teacher: Runner | None, steps: _Steps
) -> tuple[AnyTally, Any]:
    """Run both models on every batch; return the tally and one example."""
    tally: AnyTally | None = None
    example = None
    for x, teacher_x, y, weights in steps:
        if example is None:
            example = keras.tree.map_structure(lambda leaf: leaf[:1], x)
        outputs = model.logits(x)
        guided = teacher.logits(teacher_x) if teacher else None
        tally = tally or _tally_for(model)
        tally.update(outputs, y, weights, guided)
    return tally or Tally(), example
