"""What every distillation loss is."""

import re
from collections.abc import Mapping
from typing import Any
from typing import ClassVar

import keras
from keras import ops

from keras_kd.core.checks import requirement
from keras_kd.core.ranges import Range
from keras_kd.core.schedules import Number
from keras_kd.core.schedules import check_schedule
from keras_kd.core.schedules import to_config
from keras_kd.core.schedules import value_at


@keras.saving.register_keras_serializable("keras_kd")
class DistillationLoss(keras.Layer):
    """Base class of the distillation losses.

    Subclass it to add a method: set `kind`, take the arguments, and write
    `call`. A loss returns one number per example; the `Distiller` alone
    weights and averages. A loss is a Keras layer, so weights that it adds
    (an adapter between two widths, say) are trained and saved with the
    `Distiller`, never with the student.

    Args:
        weight: Factor of this loss among the distillation losses, 0 or
            more: a number or a `LearningRateSchedule` read at
            `optimizer.iterations`. Defaults to 1.0.
        name: Name in the logs. Defaults to the class name in snake_case.
        teacher_layer: For feature losses: the teacher's layer to read, a
            name, a path `"backbone/block_3"`, or a list of them. Needs
            `student_layer` too.
        student_layer: The student's layer or layers, as many.
        output: For logit losses of models with several outputs: the name or
            index of the one to compare. Defaults to all of them, summed.

    Attributes:
        kind: `"logit"`, `"feature"` or `"relation"`.
        uses_batch: Whether one example's value depends on the others in the
            batch, as in relation losses.
        ranges: Argument to the `keras_kd.core.ranges.Range` that a search
            draws it from.

    Shapes:
        teacher_outputs, student_outputs: logits `(batch, ..., classes)`, or
            for feature losses what the layers returned.
        labels: as the dataset gives them, or `None`; -1 or NaN where an
            example has no label.

    Returns:
        `(batch,)`, float32, or float64 where the inputs are.

    Raises:
        ValueError: If the class counts differ.

    Example:
    >>> import keras
    >>> import keras_kd
    >>> class LogitsMAE(keras_kd.losses.DistillationLoss):
    ...     def call(self, teacher_outputs, student_outputs, labels=None):
    ...         gap = keras.ops.abs(teacher_outputs - student_outputs)
    ...         return keras.ops.mean(gap, axis=-1)
    >>> float(LogitsMAE()([[4.0, 0.0]], [[1.0, 1.0]])[0])
    2.0
    """

    kind = "logit"
    uses_batch = False
    ranges: ClassVar[Mapping[str, Range]] = {}

    def __init__(
        self,
        *,
        weight: Number = 1.0,
        name: str | None = None,
        teacher_layer: str | list[str] | None = None,
        student_layer: str | list[str] | None = None,
        output: str | int | None = None,
    ) -> None:
        subject = type(self).__name__
        super().__init__(
            name=name or _snake_case(subject), dtype="float32", autocast=False
        )
        self.supports_masking = True
        self.weight = check_schedule(subject, "weight", weight, low=0)
        self.output_name = output
        self.teacher_layer = teacher_layer
        self.student_layer = student_layer
        self._check_layers(subject)
        self._step: Any = 0
        self._shapes: dict[str, Any] | None = None

    def __call__(
        self,
        teacher_outputs: Any,
        student_outputs: Any,
        labels: Any = None,
        *,
        step: Any = 0,
        training: bool = False,
    ) -> Any:
        """Return the loss of each example, unweighted.

        Args:
            teacher_outputs: The teacher's logits or features.
            student_outputs: The student's, in the same structure.
            labels: What the dataset gives as `y`.
            step: The optimizer step that schedules are read at.
            training: Whether the loss's own layers, its adapter say, run in
                training mode, as they do in `fit` only.

        Returns:
            `(batch,)`: the mean over positions where outputs have any.
        """
        values = self.per_position(
            teacher_outputs,
            student_outputs,
            labels,
            step=step,
            training=training,
        )
        axes = tuple(range(1, len(values.shape)))
        return ops.mean(values, axis=axes) if axes else values

    def per_position(
        self,
        teacher_outputs: Any,
        student_outputs: Any,
        labels: Any = None,
        *,
        step: Any = 0,
        training: bool = False,
    ) -> Any:
        """Return the loss of each example and position, `(batch, ...)`.

        The `Distiller` uses this, so that masks and weights of single
        positions (padded tokens, say) count.
        """
        if self.kind == "logit":
            teacher_outputs = _full_precision(teacher_outputs)
            student_outputs = _full_precision(student_outputs)
            self._check_classes(teacher_outputs, student_outputs)
        else:
            teacher_outputs, student_outputs = keras.tree.map_structure(
                _full_precision, (teacher_outputs, student_outputs)
            )
        teacher_outputs = keras.tree.map_structure(
            ops.stop_gradient, teacher_outputs
        )
        self._step = step
        self._shapes = {
            "teacher": _shapes_of(teacher_outputs),
            "student": _shapes_of(student_outputs),
        }
        try:
            return super().__call__(
                teacher_outputs,
                student_outputs,
                labels=labels,
                training=training,
            )
        finally:
            self._step = 0

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Compute the loss; the one method a subclass writes.

        Layers that the loss holds run in training mode in `fit` and in
        inference mode everywhere else; a `call` that takes `training` gets it.

        Args:
            teacher_outputs: float32 or float64, constant.
            student_outputs: float32 or float64.
            labels: What the dataset gives as `y`, or `None`.

        Returns:
            `(batch,)`, or `(batch, ...)` with one value per position.
        """
        raise NotImplementedError(f"{type(self).__name__} has no `call`.")

    def scheduled(self, value: Number) -> Any:
        """Return a number, or a schedule's value at the current step."""
        return value_at(value, self._step)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make this loss again."""
        config: dict[str, Any] = {
            "name": self.name,
            "weight": to_config(self.weight),
        }
        optional = {
            "teacher_layer": self.teacher_layer,
            "student_layer": self.student_layer,
            "output": self.output_name,
        }
        given = {k: v for k, v in optional.items() if v is not None}
        return config | given

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the shapes that the loss was built with, for its file."""
        return self._shapes

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Make the weights again, those of lazily built layers too.

        Args:
            config: What `get_build_config` returned.
        """
        if set(config) != {"teacher", "student"}:  # a file of version 0.1.0
            super().build_from_config(config)
            return
        self.per_position(
            _symbolic(config["teacher"]), _symbolic(config["student"])
        )

    def _check_layers(self, subject: str) -> None:
        given = {
            "teacher_layer": self.teacher_layer,
            "student_layer": self.student_layer,
        }
        missing = [name for name, value in given.items() if value is None]
        if len(missing) == 1:
            raise ValueError(
                requirement(
                    subject,
                    missing[0],
                    "given together with its counterpart",
                    None,
                    "Name one layer of each model, or none.",
                )
            )
        counts = [
            len(value) if isinstance(value, (list, tuple)) else 1
            for value in given.values()
        ]
        if counts[0] != counts[1]:
            raise ValueError(
                requirement(
                    subject,
                    "student_layer",
                    f"as many layers as `teacher_layer` ({counts[0]})",
                    self.student_layer,
                )
            )

    def _check_classes(self, teacher: Any, student: Any) -> None:
        if tuple(teacher.shape[1:]) != tuple(student.shape[1:]):
            raise ValueError(
                f"`{self.name}` needs teacher and student to give logits over "
                f"the same classes. Received: teacher logits of shape "
                f"{tuple(teacher.shape)}, student logits of shape "
                f"{tuple(student.shape)}. Give the student's last layer as "
                "many units as the teacher has classes."
            )


def _full_precision(tensor: Any) -> Any:
    """Cast to float32, keeping float64."""
    if not isinstance(tensor, keras.KerasTensor):
        tensor = ops.convert_to_tensor(tensor)
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    return tensor if dtype == "float64" else ops.cast(tensor, "float32")


def _shapes_of(outputs: Any) -> Any:
    """Shapes of outputs in a form that JSON can hold, the batch left open."""
    if isinstance(outputs, (list, tuple)):
        return {"several": [_shapes_of(each) for each in outputs]}
    return {"shape": [None, *outputs.shape[1:]]}


def _symbolic(shapes: Any) -> Any:
    if "several" in shapes:
        return [_symbolic(each) for each in shapes["several"]]
    return keras.KerasTensor(tuple(shapes["shape"]), "float32")


def _snake_case(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
