"""The result of `evaluate`."""

import dataclasses
import json
import math
from typing import Any


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Measurements of one model; those that do not apply are `None`.

    Args:
        name: The model's name, or that of its file.
        num_examples: Number of examples that were measured.
        accuracy: Share of the labels that are the model's first choice.
        top5_accuracy: Share of the labels that are among the model's first
            five choices; `None` for fewer than six classes.
        nll: Mean negative log-likelihood of the labels, in nats.
        calibration_error: Expected calibration error over 15 bins.
        agreement: Share of examples on which model and teacher choose the
            same class.
        teacher_kl: Mean divergence KL(teacher to model) at temperature 1.
        per_class_recall: Accuracy on each class; `None` for a class that
            has no examples.
        mean_iou: For outputs per pixel or token: intersection over union of
            predicted and true positions, averaged over the classes that
            occur.
        per_label_f1: For several labels: F1 of each at a probability of 0.5;
            `None` for a label that no example has, neither 0 nor 1.
        per_label_auc: For several labels: exact area under the ROC curve of
            each, ties counted half; `None` for a label without positive or
            without negative examples.
        mae: For numbers: mean absolute error, in the unit of the targets.
        rmse: For numbers: root of the mean squared error.
        teacher_mae: For numbers: mean absolute difference to the teacher.
        cosine: For embeddings: mean cosine with the target embeddings.
        teacher_cosine: For embeddings: mean cosine with the teacher's.
        num_params: Number of all weights of a Keras model or SavedModel,
            trainable or not; of the weights stored in a `.tflite` file.
        flops: Floating-point operations of one example, as TensorFlow's
            profiler counts them (a multiplication and an addition are two);
            `None` for `.tflite` files.
        size_bytes: Size of the file or folder in bytes; of the weights for a
            Keras model in memory.
        latency_ms_p50: Median time of one example, in milliseconds.
        latency_ms_p95: 95th percentile of the time, in milliseconds.
        latency_source: How latency was measured, and on how many threads.
        arena_bytes: Under TFLite Micro, the smallest arena in which the file
            runs: activations and the runtime's own tables, measured in its
            64-bit build, an upper bound for 32-bit chips.
        runtimes: With several runtimes, the `Evaluation` in each, by its
            name; the fields above are those of the first, and `arena_bytes`
            that of any.

    Example:
    >>> import keras_kd
    >>> keras_kd.Evaluation("student", 500, accuracy=0.97).accuracy
    0.97
    """

    name: str
    num_examples: int
    accuracy: float | None = None
    top5_accuracy: float | None = None
    nll: float | None = None
    calibration_error: float | None = None
    agreement: float | None = None
    teacher_kl: float | None = None
    per_class_recall: list[float | None] | None = None
    mean_iou: float | None = None
    per_label_f1: list[float | None] | None = None
    per_label_auc: list[float | None] | None = None
    mae: float | None = None
    rmse: float | None = None
    teacher_mae: float | None = None
    cosine: float | None = None
    teacher_cosine: float | None = None
    num_params: int | None = None
    flops: int | None = None
    size_bytes: int | None = None
    latency_ms_p50: float | None = None
    latency_ms_p95: float | None = None
    latency_source: str | None = None
    arena_bytes: int | None = None
    runtimes: dict[str, "Evaluation"] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as plain values."""
        return dataclasses.asdict(self)

    def to_json(self, indent: int | None = None) -> str:
        """Return the attributes as a JSON object.

        JSON has no infinity, so an infinite `nll` or `teacher_kl` becomes
        null.
        """
        values = _finite(self.to_dict())
        return json.dumps(values, indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    """Return a value, or those in a dict, with `None` for what is infinite."""
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    is_infinite = isinstance(value, float) and not math.isfinite(value)
    return None if is_infinite else value
