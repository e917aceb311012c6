"""The base class of all distillation losses."""

import re
from collections.abc import Mapping
from typing import Any
from typing import ClassVar

import keras
from keras import ops

from keras_kd.core.bound import Bound
from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.core.layer_paths import is_pattern
from keras_kd.core.ranges import Range
from keras_kd.core.replicas import all_gather
from keras_kd.core.replicas import own_rows
from keras_kd.core.schedules import Number
from keras_kd.core.schedules import check_schedule
from keras_kd.core.schedules import to_config
from keras_kd.core.schedules import value_at
from keras_kd.losses.class_balance import check_class_balance
from keras_kd.losses.weighting import Weighting
from keras_kd.losses.weighting import check_weighting
from keras_kd.losses.weighting import weighting_config


@keras.saving.register_keras_serializable("keras_kd")
class DistillationLoss(keras.Layer):
    """Base class of the distillation losses.

    Subclass it to add a method: set `reads`, take the method's arguments, and
    write `call`. A loss returns one number per example; only the `Distiller`
    weights and averages. A loss is a Keras layer, so weights that it adds
    (for example an adapter between two widths) are trained and saved with
    the `Distiller`, never with the student; its own layers run in training
    mode in `fit` and in inference mode everywhere else. Override `bind` if
    the loss needs something from the models themselves.

    The `Distiller` alone applies `weight`, `weighting` and `class_balance`; a
    direct call returns the values without them. Like `sample_weight`, the
    factors multiply the values, and the sum is divided by the number of
    examples of the global batch, not by the sum of the factors. Where a loss
    of features has no positions like those of the logits, an example has
    the mean factor of its positions.

    Args:
        weight: Factor of this loss among the distillation losses, 0 or
            more: a number or a `LearningRateSchedule` read at
            `optimizer.iterations`. Defaults to 1.0.
        name: Name in the logs. Defaults to the class name in snake_case.
        teacher_layer: For losses that read layers: the name or path
            (`"backbone/block_3"`) of the teacher's layer, a regular
            expression that matches whole paths (`"backbone/block_[0-9]"`),
            or a list of them. Needs `student_layer` too.
        student_layer: The same for the student, with as many layers.
        layers: `"auto"` instead of the names: a `Distiller` pairs layers of
            both models as `auto_layers` says, logs the pairs (INFO, logger
            `"keras_kd"`) and puts their names into `teacher_layer` and
            `student_layer`. A cache must hold layers to pair; those with
            equal shapes are taken in the order of their names.
        output: For models with several outputs: the name or index of the
            output whose logits are compared and whose labels are read.
            Defaults to all outputs, summed.
        gather: For losses that use the batch: compare over the global batch
            of all replicas instead of each replica's part of it. Defaults to
            False.
        weighting: How strongly each example counts in this loss (not in the
            task loss): `"teacher_confidence"`, the teacher's largest
            probability; `"entropy"`, `1 - entropy / log(classes)` of its
            probabilities; `"teacher_correct"`, 1 where its class is the
            label or the label is unknown, else 0; or a function of the
            teacher's logits and the labels that returns factors of at least
            0, `(batch,)` or one per position. Defaults to `None`: all count
            the same.
        class_balance: The number of training examples of each class, or a
            `ClassBalance`: examples of rare classes count more. Defaults to
            `None`.

    Attributes:
        kind: `"logit"`, `"feature"` or `"relation"`, for lists of methods.
        reads: What `call` receives from each model: `"logits"`, `"layers"`,
            or `"both"` as a dict `{"logits": ..., "layers": ...}`.
        needs_classes: Whether the logits must be those of classes or labels;
            a Distiller then refuses outputs of numbers and embeddings.
        uses_batch: Whether the value of one example depends on the others in
            the batch, as in relation losses.
        needs_labels: Whether examples without labels are refused.
        needs_example_ids: Whether `call` takes `example_ids`.
        auto_layers: What `layers="auto"` pairs: `"stages"`, the last layer
            of each resolution of both models, or of each block where there
            is one resolution, such as in transformers, by how often the
            input was halved or else by depth; `"last_map"`; or
            `"features"`, the last layer without positions.
        ranges: Name of each argument that a search varies, and its
            `keras_kd.core.ranges.Range`.

    Shapes:
        teacher_outputs, student_outputs: logits `(batch, ..., classes)`, or
            the output of the layer, or a list of outputs for several layers.
        labels: from a `Distiller`, in the form that
            `keras_kd.losses.normal_labels` returns, with -1 for a missing
            label; or `None`.
        example_ids: `(batch,)`, int64: each example's number in the data
            set.

    Returns:
        `(batch,)`, float32, or float64 for float64 inputs.

    Raises:
        ValueError: If the class counts differ, layers are named that the
            loss does not read, or labels are missing that it needs.

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
    reads = "logits"
    needs_classes = False
    uses_batch = False
    needs_labels = False
    needs_example_ids = False
    auto_layers = "stages"
    ranges: ClassVar[Mapping[str, Range]] = {}

    def __init__(  # noqa: PLR0913 - the public contract
        self,
        *,
        weight: Number = 1.0,
        name: str | None = None,
        teacher_layer: str | list[str] | None = None,
        student_layer: str | list[str] | None = None,
        layers: str | None = None,
        output: str | int | None = None,
        gather: bool = False,
        weighting: Weighting | None = None,
        class_balance: Any = None,
    ) -> None:
        subject = type(self).__name__
        super().__init__(
            name=name or snake_case(subject), dtype="float32", autocast=False
        )
        self.supports_masking = True
        self.weight = check_schedule(subject, "weight", weight, low=0)
        self.output_name = output
        self.teacher_layer = teacher_layer
        self.student_layer = student_layer
        self.layers = layers
        self.gather = bool(gather)
        self.weighting = check_weighting(subject, weighting)
        self.class_balance = check_class_balance(subject, class_balance)
        self._check_layers(subject)
        if self.gather and not self.uses_batch:
            raise ValueError(
                requirement(
                    subject,
                    "gather",
                    "False for a loss that compares each example alone",
                    gather,
                )
            )
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
        example_ids: Any = None,
    ) -> Any:
        """Return the loss of each example, unweighted.

        Args:
            teacher_outputs: The teacher's logits or features.
            student_outputs: The student's logits or features, in the same
                structure.
            labels: Labels in their normal form, or `None`.
            step: The optimizer step at which schedules are read.
            training: Whether the loss's own layers, such as an adapter, run
                in training mode, as they do only in `fit`.
            example_ids: The examples' numbers, for a loss that needs them.

        Returns:
            `(batch,)`: the mean over the positions, if there are any.
        """
        values = self.per_position(
            teacher_outputs,
            student_outputs,
            labels,
            step=step,
            training=training,
            example_ids=example_ids,
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
        example_ids: Any = None,
    ) -> Any:
        """Return the loss of each example and position, `(batch, ...)`.

        The `Distiller` calls this method, so that masks and weights of
        single positions (such as padded tokens) count.
        """
        teacher_outputs = self._prepared(teacher_outputs)
        student_outputs = self._prepared(student_outputs)
        self._check_classes(teacher_outputs, student_outputs)
        self._check_labels(labels, student_outputs)
        teacher_outputs = keras.tree.map_structure(
            ops.stop_gradient, teacher_outputs
        )
        self._step = step
        self._shapes = {
            "teacher": _shapes_of(teacher_outputs),
            "student": _shapes_of(student_outputs),
        }
        ids = {"example_ids": example_ids} if self.needs_example_ids else {}
        try:
            return super().__call__(
                teacher_outputs,
                student_outputs,
                labels=labels,
                training=training,
                **ids,
            )
        finally:
            self._step = 0

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Compute the loss; the only method that a subclass must write.

        It may also take `training`, which is True only in `fit`, and must
        take `example_ids` if the class `needs_example_ids`. During shape
        inference labels and ids are `None`.

        Args:
            teacher_outputs: float32 or float64, constant; logits or features
                as `reads` says.
            student_outputs: float32 or float64.
            labels: Labels in their normal form, or `None`.

        Returns:
            `(batch,)`, or `(batch, ...)` with one value per position.
        """
        raise NotImplementedError(f"{type(self).__name__} has no `call`.")

    def bind(self, teacher: Bound, student: Bound) -> None:
        """Prepare the loss for two models, before anything is computed.

        Override it if the loss needs a classifier, the statistics of a
        BatchNormalization, or the number of examples in a cache. A
        `Distiller` calls it whenever it gets a teacher, but not when it is
        loaded from a file.

        Args:
            teacher: The teacher. `teacher.model(...)` returns the Keras
                model, or raises an error that says what the loss needs.
            student: The student.
        """

    def across_replicas(self, tensor: Any) -> Any:
        """Return the tensor of the global batch; without `gather`, unchanged.

        Gradients flow back to the replica that a row came from.
        """
        return all_gather(tensor) if self.gather else tensor

    def own_rows(self, rows: Any, like: Any) -> Any:
        """Return this replica's rows of a result for the global batch.

        Args:
            rows: One row for each example of the global batch.
            like: A tensor with one row for each example of this replica.
        """
        return own_rows(rows, ops.shape(like)[0]) if self.gather else rows

    def layer_names(self, role: str) -> list[str]:
        """Return the names of the layers that the loss reads from one model.

        Args:
            role: `"teacher"` or `"student"`.
        """
        layers = getattr(self, f"{role}_layer")
        if layers is None:
            return []
        return list(layers) if isinstance(layers, (list, tuple)) else [layers]

    def scheduled(self, value: Number, like: Any = None) -> Any:
        """Return a number, or a schedule's value at the current step.

        Args:
            value: A number or a schedule.
            like: A tensor whose dtype the result gets, in full precision.
        """
        value = value_at(value, self._step)
        return (
            value
            if like is None
            else ops.convert_to_tensor(value, dtype=like.dtype)
        )

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        config: dict[str, Any] = {
            "name": self.name,
            "weight": to_config(self.weight),
        }
        optional = {
            "teacher_layer": self.teacher_layer,
            "student_layer": self.student_layer,
            "layers": self.layers,
            "output": self.output_name,
            "gather": self.gather if self.uses_batch else None,
        }
        given = {k: v for k, v in optional.items() if v is not None}
        return config | given | weighting_config(self)

    def get_build_config(self) -> dict[str, Any] | None:
        """Return the shapes that the loss was built with."""
        return self._shapes

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Create the weights again, including those of lazily built layers.

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
        read = self.layers is not None or len(missing) < len(given)
        if self.reads == "logits" and read:
            raise ValueError(
                f"`{subject}` needs no layers, because it reads logits. "
                f"Received: teacher_layer={show(self.teacher_layer)}, "
                f"student_layer={show(self.student_layer)}, "
                f"layers={show(self.layers)}. Leave them out; "
                'in a class of your own set `reads = "layers"`.'
            )
        if self.layers is not None:
            check_choice(subject, "layers", self.layers, ["auto"])
            if len(missing) < len(given):
                raise ValueError(
                    requirement(
                        subject,
                        "layers",
                        "None where `teacher_layer` or `student_layer` is "
                        "given",
                        self.layers,
                    )
                )
            return
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
        names = [self.layer_names(role) for role in ("teacher", "student")]
        if any(is_pattern(name, ()) for name in [*names[0], *names[1]]):
            return  # A Distiller counts what it matches.
        if len(names[0]) != len(names[1]):
            raise ValueError(
                requirement(
                    subject,
                    "student_layer",
                    f"as many layers as `teacher_layer` ({len(names[0])})",
                    self.student_layer,
                )
            )

    def _check_labels(self, labels: Any, student: Any) -> None:
        # While shapes are inferred, there are none.
        leaf = keras.tree.flatten(student)[0]
        inferring = isinstance(leaf, keras.KerasTensor)
        if self.needs_labels and labels is None and not inferring:
            raise ValueError(
                f"`{self.name}` needs labels. Received: labels=None. Train on "
                "data with `y`, one array for each output."
            )

    def _prepared(self, outputs: Any) -> Any:
        """Cast the outputs that the loss reads to float32; keep float64."""
        if self.reads == "logits":
            return _full_precision(outputs)
        if self.reads == "both":
            layers = keras.tree.map_structure(
                _full_precision, outputs["layers"]
            )
            return {
                "logits": _full_precision(outputs["logits"]),
                "layers": layers,
            }
        return keras.tree.map_structure(_full_precision, outputs)

    def _check_classes(self, teacher: Any, student: Any) -> None:
        if self.reads == "layers":
            return
        if self.reads == "both":
            teacher, student = teacher["logits"], student["logits"]
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
    """Return the shapes of outputs as JSON values, without a batch size."""
    if isinstance(outputs, dict):
        return {"named": {k: _shapes_of(v) for k, v in outputs.items()}}
    if isinstance(outputs, (list, tuple)):
        return {"several": [_shapes_of(each) for each in outputs]}
    return {"shape": [None, *outputs.shape[1:]]}


def _symbolic(shapes: Any) -> Any:
    if "named" in shapes:
        return {k: _symbolic(v) for k, v in shapes["named"].items()}
    if "several" in shapes:
        return [_symbolic(each) for each in shapes["several"]]
    return keras.KerasTensor(tuple(shapes["shape"]), "float32")


def snake_case(name: str) -> str:
    """Convert a class name to its name in the logs: `logits_mse`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
