"""The Distiller: a Keras model that trains a student under a teacher."""

import functools
from typing import Any

import keras

from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.core.joined import unpack
from keras_kd.core.schedules import Number
from keras_kd.core.schedules import Schedule
from keras_kd.core.schedules import check_schedule
from keras_kd.core.taps import Tap
from keras_kd.distiller import compatibility
from keras_kd.distiller.arguments import ALPHA_ADVICE
from keras_kd.distiller.arguments import build_student
from keras_kd.distiller.arguments import resolve_losses
from keras_kd.distiller.checkpoint import Saving
from keras_kd.distiller.guards import stop_when_nan
from keras_kd.distiller.teacher_slot import TeacherSlot
from keras_kd.distiller.tensorflow_step import TensorFlowStep
from keras_kd.distiller.terms import layer_names
from keras_kd.teachers.inputs import InputChoice
from keras_kd.teachers.inputs import check_input_choice

# The signature of Keras' method, under a docstring of our own.
_signature_of = functools.partial(functools.wraps, assigned=(), updated=())


@keras.saving.register_keras_serializable("keras_kd")
class Distiller(TeacherSlot, Saving, TensorFlowStep, keras.Model):
    """Trains a student to do what a teacher does, with `model.fit`.

    Costs one teacher and one student forward pass a step, however many
    losses there are. For `predict`, `evaluate`, `call` and `export` it is
    the student. The teacher runs with `training=False`, outside the gradient
    tape, and is never changed or saved.

    Formula:
        `(1 - alpha) * task + alpha * sum_i weight_i * loss_i`, each a mean
        over the global batch, plus the student's regularization.

    Reference:
        Hinton, Vinyals and Dean 2015, arXiv:1503.02531.

    Args:
        teacher: A built `keras.Model`, a `keras_kd.teachers.Ensemble` or
            `HostTeacher`, a `keras_kd.TeacherCache`, or `None` until one is
            assigned to `distiller.teacher` or when the data was joined to a
            cache. A teacher that runs refuses joined data.
        student: A built `keras.Model`; trained in place.
        losses: A loss of `keras_kd.losses`, its name, a loss instance of
            `keras.distillation`, or a list of them. Defaults to
            `SoftTargets(temperature=4.0)`.
        alpha: Weight of the distillation part, between 0 and 1: a number or
            a `LearningRateSchedule` read at `optimizer.iterations`. Defaults
            to 0.9, as in the papers.
        temperature: Temperature of the default loss; an error together with
            `losses`.
        student_loss_weight: Weight of the task loss, 0 or more, in place of
            `1 - alpha`.
        agreement: Log the share of examples on which student and teacher
            pick the same class. Defaults to False.
        teacher_output: `"logits"`, `"probabilities"`, `"binary_logits"` or
            `"binary_probabilities"` where the teacher's layers do not tell
            what it returns; a structure of them for several outputs.
        student_output: The same for the student.
        teacher_input: What the teacher takes of a batch's x: a function of x
            (another size or scale), or a key of a dict x (another modality).
            TensorFlow traces the function. Defaults to all of x.
        student_input: The same for the student, in `fit`, `evaluate`,
            `predict` and calls; `distiller.student` and exports take the
            student's own input.
        name: Name of the model.

    Shapes:
        Outputs are the student's, and inputs too where `student_input` is not
        given. Labels are as the compiled loss takes them; -1 under a
        cross-entropy, or NaN in float labels, is no label: such an example
        counts in the distillation part only. A one-unit head is two classes,
        a sigmoid head of several units two classes each.

    Raises:
        TypeError: If teacher, student, losses or inputs are of another type.
        ValueError: If alpha is outside [0, 1], a model is not built, the
            models take different inputs or have different class counts, a
            layer is unknown, or the outputs cannot be told to be logits or
            probabilities.

    Example:
    >>> import keras
    >>> import numpy as np
    >>> import keras_kd
    >>> keras.utils.set_random_seed(0)
    >>> teacher = keras_kd.students.mlp((4,), 3)
    >>> student = keras_kd.students.mlp((4,), 3, width=0.1)
    >>> distiller = keras_kd.Distiller(teacher, student, alpha=1.0)
    >>> distiller.compile("adam")
    >>> history = distiller.fit(np.ones((8, 4), "float32"), verbose=0)
    >>> print(sorted(history.history))
    ['loss', 'soft_targets']
    """

    def __init__(  # noqa: PLR0913 - the public contract
        self,
        teacher: Any,
        student: keras.Model,
        losses: Any = None,
        *,
        alpha: Number = 0.9,
        temperature: Number | None = None,
        student_loss_weight: Number | None = None,
        agreement: bool = False,
        teacher_output: Any = None,
        student_output: Any = None,
        teacher_input: InputChoice = None,
        student_input: InputChoice = None,
        name: str = "distiller",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, autocast=False, **kwargs)
        if not isinstance(student, keras.Model):
            raise TypeError(
                requirement("Distiller", "student", "a keras.Model", student)
            )
        self.alpha = check_schedule(
            "Distiller", "alpha", alpha, low=0, high=1, advice=ALPHA_ADVICE
        )
        self.student_loss_weight = student_loss_weight
        if student_loss_weight is not None:
            self.student_loss_weight = check_schedule(
                "Distiller", "student_loss_weight", student_loss_weight, low=0
            )
        settings = {
            "agreement": bool(agreement),
            "teacher_output": teacher_output,
            "student_output": student_output,
        }
        self._hold("_settings", settings)
        given = {"teacher_input": teacher_input, "student_input": student_input}
        for argument, how in given.items():
            check_input_choice(how, subject="Distiller", argument=argument)
        self._hold("_inputs", given)
        if teacher_input is None and student_input is None:
            build_student(student, teacher)
        self.student = student
        self.distillation_losses = resolve_losses(losses, temperature)
        self._student_tap = Tap(
            student,
            layer_names(self.distillation_losses, "student"),
            student_output,
            logits=self._needs_logits,
            role="student",
        )
        self._hold("_trackers", self._make_trackers())
        self._evaluating = False
        self._sparse_classes: int | None = None
        self._ignored_label: Any = None
        self._assign_teacher(teacher)
        self.built = True

    @property
    def _needs_logits(self) -> bool:
        return self._settings["agreement"] or any(
            loss.teacher_layer is None for loss in self.distillation_losses
        )

    @property
    def _needs_task(self) -> bool:
        weight = self.student_loss_weight
        if weight is None:
            return isinstance(self.alpha, Schedule) or self.alpha < 1
        return isinstance(weight, Schedule) or weight > 0

    def _make_trackers(self) -> dict[str, keras.metrics.Metric]:
        self._term_names = [loss.name for loss in self.distillation_losses]
        names = [*self._term_names, "student_loss"]
        if self._settings["agreement"]:
            names.append("agreement")
        taken = [name for name in names if names.count(name) > 1]
        if taken or "loss" in names:
            raise ValueError(
                "`Distiller` needs `losses` to have names of their own. "
                f"Received: {show(self._term_names)}. Give each a `name=`; "
                "`loss`, `student_loss` and `agreement` are taken."
            )
        return {name: keras.metrics.Mean(name=name) for name in names}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics logged: the student's own while evaluating."""
        trackers = dict(self._trackers)
        if self._compile_loss is None:
            del trackers["student_loss"]
        own = [] if self._evaluating else list(trackers.values())
        silent = []
        compiled = self._compile_metrics
        if compiled is not None and not compiled.built:
            silent.append(compiled)  # no label was seen yet
        if self._evaluating and self._compile_loss is None:
            silent.append(getattr(self, "_loss_tracker", None))
        kept = [m for m in super().metrics if all(m is not s for s in silent)]
        return [*kept, *own]

    @property
    def output_names(self) -> list[str] | None:
        """Names of the student's outputs, which `compile` matches."""
        return getattr(self.student, "output_names", None)

    @_signature_of(keras.Model.compile)
    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Configure training; the arguments are `keras.Model.compile`'s.

        Raises:
            ValueError: If there is no `loss` although the task has a weight,
                or a cross-entropy's `from_logits` is not what the student
                returns, or XLA is asked for with a `HostTeacher`.
        """
        asked = kwargs.get("jit_compile", args[7] if len(args) > 7 else None)
        self._check_xla(asked is True)
        # What "auto" comes to on a GPU.
        self.supports_jit = not getattr(self._teacher, "on_host", False)
        super().compile(*args, **kwargs)
        loss = getattr(self, "loss", None) if self._compile_loss else None
        if loss is None and self._needs_task:
            raise ValueError(
                "`compile` needs a `loss`, because the task's weight is not "
                f"0 (alpha={show(self.alpha)}). Received: loss=None. Give "
                "the loss, or set alpha=1.0 to learn from the teacher alone."
            )
        kinds = self._student_tap.kinds
        compatibility.check_loss(loss, kinds, self.student)
        sparse, self._ignored_label = compatibility.sparse_labels(loss)
        self._sparse_classes = None
        if sparse and len(kinds) == 1:
            spec = keras.tree.flatten(self._student_tap.spec.predictions)[0]
            self._sparse_classes = spec.shape[-1]
        self._scale_half_precision(kwargs.get("auto_scale_loss", True))

    def _scale_half_precision(self, wanted: bool) -> None:
        """Scale the loss of a float16 student, which Keras does not see."""
        half = any(
            layer.compute_dtype == "float16"
            for layer in self.student._flatten_layers()
        )
        scaled = keras.optimizers.LossScaleOptimizer
        optimizer: Any = getattr(self, "optimizer", None)
        if wanted and half and not isinstance(optimizer, scaled):
            self.optimizer = scaled(optimizer)

    @_signature_of(keras.Model.fit)
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Train the student; the arguments are `keras.Model.fit`'s.

        Raises:
            FloatingPointError: If a term of the loss became NaN or infinite.
                Names it; the weights are those of the last good step.
            ValueError: If there is no teacher, or labels are out of range.
        """
        stop = keras.callbacks.LambdaCallback(on_epoch_end=stop_when_nan)
        callbacks = kwargs.pop("callbacks", None)
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.append(stop)
        else:
            callbacks = [*keras.tree.flatten(callbacks or []), stop]
        with self._training():
            return super().fit(*args, callbacks=callbacks, **kwargs)

    @_signature_of(keras.Model.train_on_batch)
    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Train on one batch; the arguments are Keras' own."""
        with self._training():
            return super().train_on_batch(*args, **kwargs)

    @_signature_of(keras.Model.evaluate)
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate the student; the arguments are `keras.Model.evaluate`'s."""
        self._evaluating = True
        try:
            return super().evaluate(*args, **kwargs)
        finally:
            self._evaluating = False

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> Any:
        """Run the student; `student_input` and joined data as in `fit`."""
        x, _ = unpack(inputs)
        return self.student(self._part(x, "student_input"), training=training)
