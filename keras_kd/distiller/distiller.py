"""The Distiller: a Keras model that trains a student under a teacher."""

import functools
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_kd.core.bound import Bound
from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.core.input_choice import InputChoice
from keras_kd.core.input_choice import check_input_choice
from keras_kd.core.input_choice import choose_input
from keras_kd.core.input_choice import remember_key
from keras_kd.core.keras_internals import compiled_loss
from keras_kd.core.keras_internals import compiled_metrics
from keras_kd.core.keras_internals import flatten_layers
from keras_kd.core.keras_internals import loss_tracker
from keras_kd.core.output_kinds import loss_kinds
from keras_kd.core.output_kinds import remember
from keras_kd.core.packed_inputs import unpack
from keras_kd.core.saved_functions import saved_function
from keras_kd.core.schedules import Number
from keras_kd.core.schedules import to_config
from keras_kd.core.taps import Tap
from keras_kd.core.taps import Tapped
from keras_kd.core.taps import input_spec
from keras_kd.distiller import compatibility
from keras_kd.distiller import constant_teacher
from keras_kd.distiller import metrics
from keras_kd.distiller import tensorflow_step
from keras_kd.distiller.layer_choice import choose_layers
from keras_kd.distiller.objective import Objective
from keras_kd.teachers import JoinedTeacher
from keras_kd.teachers.base import BoundTeacher
from keras_kd.teachers.bind import bind

# Copies the signature of Keras' method, but not its docstring.
_signature_of = functools.partial(functools.wraps, assigned=(), updated=())


@keras.saving.register_keras_serializable("keras_kd")
class Distiller(keras.Model):
    """Trains a student to imitate a teacher, with `model.fit`.

    A step costs one forward pass of the teacher and one of the student, for
    any number of losses. `predict`, `evaluate`, `call` and `export` use only
    the student. The teacher runs with `training=False`, outside the gradient
    tape, and is never changed or saved.

    A small teacher's weights are constants of the traced step, which makes it
    faster. `fit` sees when a callback changes them: before each epoch, and
    before each batch if a callback of yours acts on batches. A subclass with
    a `train_step` of its own may change the teacher at any time; there the
    weights are no constants.

    Formula:
        `(1 - alpha) * task + alpha * sum_i weight_i * loss_i`, where each
        loss is a mean over the global batch, plus the student's
        regularization.

    Reference:
        Hinton, Vinyals and Dean 2015, arXiv:1503.02531.

    Args:
        teacher: A built `keras.Model`, a `keras_kd.teachers.Ensemble` or
            `HostTeacher`, or a `keras_kd.TeacherCache`. `None` if the data
            is joined to a cache, or to assign `distiller.teacher` later. A
            live teacher refuses joined data.
        student: A built `keras.Model`; it is trained in place.
        losses: A loss of `keras_kd.losses`, its name, a loss instance of
            `keras.distillation`, or a list of them. Defaults to what fits
            the outputs: `SoftTargets(temperature=1.0)` for classes and
            labels, `LogitsMSE()` for numbers, `Hint(metric="cosine")` for
            embeddings.
        alpha: Weight of the distillation part, between 0 and 1: a number or
            a `LearningRateSchedule` read at `optimizer.iterations`, such as
            a warm-up. Defaults to 0.9, as in the papers.
        temperature: Temperature of the default loss; not allowed together
            with `losses`. Defaults to 1.0, which never cost accuracy in
            `benchmarks/defaults.py`; long training may gain from 2 to 4.
        student_loss_weight: Weight of the task loss, 0 or more, instead of
            `1 - alpha`.
        agreement: Whether to log the share of examples on which student and
            teacher pick the same class. Defaults to False.
        teacher_output: `"logits"`, `"probabilities"`, `"binary_logits"`,
            `"binary_probabilities"`, `"numbers"` or `"embedding"`, if
            neither the teacher's layers nor a compiled loss tell; a structure
            of these for several outputs.
        student_output: The same for the student.
        teacher_input: The part of a batch's x that the teacher takes: a
            function of x (another size or scale), or a key of a dict x
            (another modality). TensorFlow traces the function. Defaults to
            all of x.
        student_input: The same for the student, in `fit`, `evaluate`,
            `predict` and calls; `distiller.student` and exports take the
            student's own input.
        name: Name of the model.

    Shapes:
        Outputs are those of the student, and so are inputs without
        `student_input`. Labels are as the compiled loss takes them. -1 under
        a cross-entropy, or NaN in float labels, means no label: such an
        example counts only in the distillation part. A head of one unit has
        two classes; in a sigmoid head of several units each unit has two.

    Raises:
        TypeError: If teacher, student, losses or inputs have the wrong type.
        ValueError: If alpha is outside [0, 1], a model is not built, the
            models take different inputs or have different class counts, a
            layer is unknown, or it is unknown whether the outputs are logits
            or probabilities.

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

    A warm-up, as DKD and ReviewKD train, is a schedule of Keras: here the
    distillation part grows from 0 to 1 in 2,000 steps beside the whole task
    loss. `alpha`, `student_loss_weight` and the arguments of losses take
    schedules.
    >>> ramp = keras.optimizers.schedules.PolynomialDecay(
    ...     0.0, decay_steps=2000, end_learning_rate=1.0)
    >>> loss = keras_kd.losses.DecoupledKD(weight=ramp)
    >>> distiller = keras_kd.Distiller(
    ...     teacher, student, loss, alpha=1.0, student_loss_weight=1.0)
    >>> print([float(loss.weight(step)) for step in (0, 500, 2000, 9000)])
    [0.0, 0.25, 1.0, 1.0]
    """

    _teacher: BoundTeacher | None

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
        self._objective = Objective(
            losses, temperature, alpha, student_loss_weight
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
            _build_student(student, teacher)
        choose_layers(self._objective.losses, teacher, student)
        self.student = student
        remember_key(student, student_input)
        self.distillation_losses = self._objective.losses
        self.student_tap = Tap(
            student,
            self._objective.layer_names("student"),
            student_output,
            logits=self._reads_logits,
            role="student",
            strict=False,
        )
        self._hold("_trackers", self._make_trackers())
        self._evaluating = False
        self._sparse_classes: int | None = None
        self._ignored_label: Any = None
        self._hold("_bound_to", None)
        self._assign_teacher(teacher)
        self.built = True

    @property
    def objective(self) -> Objective:
        """The objective: the losses and their weights."""
        return self._objective

    @property
    def alpha(self) -> Number:
        """Weight of the distillation part."""
        return self._objective.alpha

    @alpha.setter
    def alpha(self, value: Number) -> None:
        self._objective.set_weights(value, self.student_loss_weight)

    @property
    def student_loss_weight(self) -> Number | None:
        """Weight of the task loss, or `None` for `1 - alpha`."""
        return self._objective.student_loss_weight

    @student_loss_weight.setter
    def student_loss_weight(self, value: Number | None) -> None:
        self._objective.set_weights(self.alpha, value)

    @property
    def teacher(self) -> Any:
        """The teacher that the user gave, or `None`; may be assigned."""
        return None if self._teacher is None else self._teacher.model

    def __setattr__(self, name: str, value: Any) -> None:
        # A property's setter would run too late: Keras tracks a model first.
        if name == "teacher":
            self._assign_teacher(value)
        else:
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        # Keras saves the models under all these names.
        return [name for name in super().__dir__() if name != "teacher"]

    def _hold(self, name: str, value: Any) -> None:
        """Set an attribute that Keras does not track."""
        object.__setattr__(self, name, value)

    @property
    def _reads_logits(self) -> bool:
        return self._settings["agreement"] or self._objective.reads_logits

    def _assign_teacher(self, teacher: Any) -> None:
        bound: BoundTeacher | None = None
        if teacher is not None:
            bound = bind(
                teacher,
                self._objective.layer_names("teacher"),
                self._settings["teacher_output"],
                logits=self._reads_logits,
                input=self._inputs["teacher_input"],
                strict=False,
            )
            # With `teacher_input` or `student_input`, a model's input is
            # known only from the data.
            if all(how is None for how in self._inputs.values()):
                for model in bound.models:
                    compatibility.check_inputs(model, self.student)
            compatibility.check_replicas(self.student, self.distribute_strategy)
        self._hold("_teacher", bound)
        self._settle_outputs(getattr(self, "loss", None))
        self.train_function = None  # It was traced with the old teacher.

    def _settle_outputs(self, loss: Any, *, final: bool = False) -> None:
        """Decide what the outputs are, and bind the losses to them.

        The student's outputs are what its layers, arguments and loss say;
        what they leave open, the teacher's outputs tell, and the other way
        round.

        Args:
            loss: The `loss` of `compile`, if it is known.
            final: Whether an output may no longer stay open.
        """
        tap, teacher = self.student_tap, self._teacher
        trained_by = loss_kinds(loss, tap.keys)
        tap.settle(trained_by)
        if teacher is not None:
            teacher.settle(tap.kind_by_key)
            tap.settle(trained_by, teacher.kind_by_key)
            teacher.settle(tap.kind_by_key)
        kinds = tap.kind_by_key
        if self._objective.choose(kinds):
            self.distillation_losses = self._objective.losses
            self._hold("_trackers", self._make_trackers())
        read = self._objective.outputs_read(tap.keys)
        if self._settings["agreement"]:
            read = tap.keys
        if final and self._reads_logits:
            tap.check(read)
            if teacher is not None:
                teacher.check(read)
        self._objective.check_kinds(kinds)
        if teacher is None or teacher.spec is None:
            return
        if any(kinds[key] is None for key in read) and self._reads_logits:
            return  # `compile` will tell.
        key = (id(teacher), *kinds.items(), *map(id, self._objective.losses))
        if key == self._bound_to:
            return
        self._hold("_bound_to", key)
        stored = teacher.reads_joined and hasattr(teacher.model, "__len__")
        count = len(teacher.model) if stored else None
        self._objective.bind(
            Bound("teacher", teacher.model, teacher.spec, count),
            Bound("student", self.student, tap.spec),
        )

    def teach(self, x: Any, joined: dict[str, Any] | None) -> Tapped:
        """Return the teacher's outputs for a batch.

        Args:
            x: The inputs.
            joined: The teacher outputs joined to the inputs, or `None`.

        Raises:
            ValueError: If there is neither a teacher nor joined outputs, or
                both a live teacher and joined outputs.
        """
        if self._teacher is not None:
            return self._teacher(x, joined)
        if joined is None or not set(joined) & {"logits", "features"}:
            raise ValueError(
                "`Distiller` needs a teacher to train. Received: "
                "teacher=None. Assign one with `distiller.teacher = "
                "teacher`; a saved Distiller never holds it. Or train on "
                "`cache.join(dataset)`."
            )
        layers = self._objective.layer_names("teacher")
        return JoinedTeacher(None, layers)(x, joined)

    def student_inputs(self, x: Any) -> Any:
        """Return the part of x that the student takes."""
        return self._choose(x, "student_input")

    def teacher_inputs(self, x: Any) -> Any:
        """Return the part of x that the teacher takes."""
        return self._choose(x, "teacher_input")

    def _choose(self, x: Any, argument: str) -> Any:
        how = self._inputs[argument]
        return choose_input(x, how, subject="Distiller", argument=argument)

    def _make_trackers(self) -> dict[str, keras.metrics.Metric]:
        terms = self._objective.names
        names = [*terms, "student_loss"]
        if self._settings["agreement"]:
            names.append("agreement")
        taken = [name for name in names if names.count(name) > 1]
        if taken or "loss" in names:
            raise ValueError(
                "`Distiller` needs `losses` to have names of their own. "
                f"Received: {show(terms)}. Give each a `name=`; "
                "`loss`, `student_loss` and `agreement` are taken."
            )
        return {name: keras.metrics.Mean(name=name) for name in names}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The logged metrics; in `evaluate`, only those of the student."""
        trackers = dict(self._trackers)
        if compiled_loss(self) is None:
            del trackers["student_loss"]
        own = [] if self._evaluating else list(trackers.values())
        silent = []
        compiled = compiled_metrics(self)
        if compiled is not None and not compiled.built:
            silent.append(compiled)  # no labels so far
        if self._evaluating and compiled_loss(self) is None:
            silent.append(loss_tracker(self))
        kept = [m for m in super().metrics if all(m is not s for s in silent)]
        return [*kept, *own]

    @property
    def output_names(self) -> list[str] | None:
        """Names of the student's outputs, for dicts given to `compile`."""
        return getattr(self.student, "output_names", None)

    @_signature_of(keras.Model.compile)
    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Configure training; the arguments are `keras.Model.compile`'s.

        The name `"accuracy"` counts each output of two classes or of a label:
        a logit is true above 0, a probability above 0.5.

        Raises:
            ValueError: If there is no `loss` although the task has a weight,
                a cross-entropy's `from_logits` does not match the student's
                outputs, or XLA is requested with a `HostTeacher`.
        """
        asked = kwargs.get("jit_compile", args[7] if len(args) > 7 else None)
        self._check_xla(asked is True)
        # Decides whether `jit_compile="auto"` uses XLA on a GPU.
        self.supports_jit = not getattr(self._teacher, "on_host", False)
        super().compile(*args, **kwargs)
        loss = getattr(self, "loss", None) if compiled_loss(self) else None
        if loss is None and self._objective.needs_task:
            raise ValueError(
                "`compile` needs a `loss`, because the task's weight is not "
                f"0 (alpha={show(self.alpha)}). Received: loss=None. Give "
                "the loss, or set alpha=1.0 to learn from the teacher alone."
            )
        self._settle_outputs(loss, final=True)
        kinds = self.student_tap.kinds
        remember(self.student, kinds)
        compatibility.check_loss(loss, kinds, self.student)
        self._count_decisions(inspect.signature(super().compile), args, kwargs)
        sparse, self._ignored_label = compatibility.sparse_labels(loss)
        self._sparse_classes = None
        if sparse and len(kinds) == 1:
            spec = keras.tree.flatten(self.student_tap.spec.predictions)[0]
            self._sparse_classes = spec.shape[-1]
        self._scale_half_precision(kwargs.get("auto_scale_loss", True))

    def _count_decisions(
        self, signature: inspect.Signature, args: Any, kwargs: Any
    ) -> None:
        """Compile again if an accuracy would not suit two classes or labels."""
        given = signature.bind(*args, **kwargs).arguments
        counted = {
            name: compatibility.with_decisions(
                given[name], self.student_tap.kind_by_key
            )
            for name in ("metrics", "weighted_metrics")
            if given.get(name) is not None
        }
        if any(counted[name] != given[name] for name in counted):
            super().compile(**(given | counted))

    def _scale_half_precision(self, wanted: bool) -> None:
        """Scale the loss of a float16 student.

        Keras looks only at the Distiller's own dtype policy.
        """
        half = any(
            layer.compute_dtype == "float16"
            for layer in flatten_layers(self.student)
        )
        scaled = keras.optimizers.LossScaleOptimizer
        optimizer: Any = getattr(self, "optimizer", None)
        if wanted and half and not isinstance(optimizer, scaled):
            self.optimizer = scaled(optimizer)

    @_signature_of(keras.Model.fit)
    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Train the student; the arguments are `keras.Model.fit`'s.

        Raises:
            FloatingPointError: If a term of the loss became NaN or infinite;
                names the term. The weights are those of the last good step.
            ValueError: If there is no teacher, or labels are out of range.
        """
        callbacks = kwargs.pop("callbacks", None)
        given = isinstance(callbacks, keras.callbacks.CallbackList)
        if not given:
            callbacks = keras.tree.flatten(callbacks or [])
        others = callbacks.callbacks if given else callbacks
        added = [
            keras.callbacks.LambdaCallback(
                on_epoch_end=tensorflow_step.stop_when_nan
            ),
            constant_teacher.watch(self, others),
        ]
        for callback in added:
            callbacks.append(callback)
        self._build_optimizer()
        own_step = type(self).train_step is not Distiller.train_step
        constant = constant_teacher.constant(self, own_step=own_step)
        with self._training(), constant:
            return super().fit(*args, callbacks=callbacks, **kwargs)

    def _build_optimizer(self) -> None:
        """Make the optimizer's variables before the step is traced.

        TensorFlow traces a function that makes variables twice.
        """
        optimizer: Any = getattr(self, "optimizer", None)
        if optimizer is None or optimizer.built:
            return
        if all(loss.built for loss in self._objective.losses):
            with self.distribute_strategy.scope():
                optimizer.build(self.trainable_variables)

    @_signature_of(keras.Model.train_on_batch)
    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Train on one batch; the arguments are Keras' own.

        Raises:
            FloatingPointError: See `fit`.
            ValueError: See `fit`.
        """
        with self._training():
            logs = super().train_on_batch(*args, **kwargs)
        if self.jit_compile:
            try:
                tensorflow_step.stop_when_nan(0, self.get_metrics_result())
            except FloatingPointError:
                self.reset_metrics()  # They would hold back all that follows.
                raise
        return logs

    @_signature_of(keras.Model.evaluate)
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """Evaluate the student; the arguments are `keras.Model.evaluate`'s."""
        with self.evaluating():
            return super().evaluate(*args, **kwargs)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Log the metrics of the student alone, as `evaluate` does."""
        self._evaluating = True
        try:
            yield
        finally:
            self._evaluating = False

    def train_step(self, data: Any) -> dict[str, Any]:
        """Run one batch: forward passes, loss, update, logs."""
        return tensorflow_step.train_step(self, data)

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate the student on one batch; no teacher, no change."""
        return tensorflow_step.test_step(self, data)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Update the compiled metrics over the labelled examples.

        Args:
            x: Not used.
            y: Labels; -1 under a cross-entropy, or NaN, means no label.
            y_pred: The student's outputs.
            sample_weight: Weights for the `weighted_metrics`.

        Returns:
            Every logged value by name.
        """
        if compiled_metrics(self) is not None and y is not None:
            metrics.update(
                compiled_metrics(self),
                y,
                y_pred,
                sample_weight,
                getattr(self, "loss", None),
            )
        results: dict[str, Any] = self.get_metrics_result()
        return results

    def call(
        self, inputs: Any, training: bool | None = None, mask: Any = None
    ) -> Any:
        """Run the student; takes the same inputs as `fit`."""
        x, _ = unpack(inputs)
        return self.student(self.student_inputs(x), training=training)

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Export the student; the arguments are `keras.Model.export`'s."""
        self.student.export(filepath, *args, **kwargs)

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save to a `.keras` file; the arguments are `keras.Model.save`'s.

        Raises:
            ValueError: If an input function or a loss's `weighting` is not
                registered with Keras. An existing file of that name is left
                unchanged.
        """
        # Check first: Keras empties the file before it calls `get_config`.
        self._saved_inputs()
        for loss in self._objective.losses:
            loss.get_config()
        super().save(filepath, *args, **kwargs)

    def _saved_inputs(self) -> dict[str, Any]:
        given = {k: v for k, v in self._inputs.items() if v is not None}
        return {
            argument: how
            if isinstance(how, str)
            else saved_function(
                how,
                subject="Distiller",
                argument=argument,
                instead="save `distiller.student` alone",
            )
            for argument, how in given.items()
        }

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments, without the teacher.

        Raises:
            ValueError: If an input function is not registered with Keras.
        """
        save = keras.saving.serialize_keras_object
        weight = self.student_loss_weight
        return {
            "name": self.name,
            "student": save(self.student),
            "losses": [save(loss) for loss in self._objective.losses],
            "alpha": to_config(self.alpha),
            "student_loss_weight": None
            if weight is None
            else to_config(weight),
            **self._settings,
            **self._saved_inputs(),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> Any:
        """Create a Distiller whose teacher is `None`."""
        load = functools.partial(
            keras.saving.deserialize_keras_object,
            custom_objects=custom_objects,
        )
        config = dict(config)
        student = load(config.pop("student"))
        losses = [load(loss) for loss in config.pop("losses")]
        for name in ("teacher_input", "student_input"):
            if isinstance(config.get(name), dict):
                config[name] = load(config[name])
        return cls(None, student, losses, **config)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile again from the saved settings and build the optimizer."""
        config = keras.saving.deserialize_keras_object(config)
        self.compile(**config)
        self.optimizer.build(self.trainable_variables)

    def _check_xla(self, asked: Any) -> None:
        if asked and getattr(self._teacher, "on_host", False):
            raise ValueError(
                requirement(
                    "compile",
                    "jit_compile",
                    "False for a HostTeacher, which XLA cannot call",
                    asked,
                    "Build a `TeacherCache` of it to train under XLA.",
                )
            )

    @contextmanager
    def _training(self) -> Iterator[None]:
        """Raise an error of a step as its message, without the graph."""
        self._check_xla(self.jit_compile)
        if self._teacher is not None:
            self._teacher.error = None
        constant_teacher.refresh(self)
        try:
            with tensorflow_step.readable():
                yield
        except tensorflow_step.OpError:
            cause = getattr(self._teacher, "error", None)
            if cause is None:
                raise
            raise cause from None


def _build_student(student: keras.Model, teacher: Any) -> None:
    """Build an unbuilt student with the teacher's input shape."""
    if not student.built and isinstance(teacher, keras.Model):
        spec = input_spec(teacher, subject="Distiller", role="teacher")
        student.build(keras.tree.map_structure(lambda t: t.shape, spec))
