"""The objective of a Distiller: its losses, weights and schedules."""

from collections.abc import Iterable
from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

import keras
from keras import ops

from keras_kd.core.bound import Bound
from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.core.keras_internals import mask_of
from keras_kd.core.output_kinds import by_name
from keras_kd.core.output_kinds import is_classes
from keras_kd.core.schedules import Number
from keras_kd.core.schedules import Schedule
from keras_kd.core.schedules import check_schedule
from keras_kd.core.schedules import value_at
from keras_kd.core.taps import Tapped
from keras_kd.distiller import factors
from keras_kd.distiller.means import Mean
from keras_kd.distiller.means import select
from keras_kd.distiller.means import weighted_mean
from keras_kd.distiller.means import weights_of
from keras_kd.losses import DistillationLoss
from keras_kd.losses import Hint
from keras_kd.losses import LogitsMSE
from keras_kd.losses import SoftTargets
from keras_kd.losses import get
from keras_kd.losses import normal_labels
from keras_kd.losses.base import snake_case
from keras_kd.losses.weighting import is_weighted

# Of the default loss. The papers' 4 pays late, if at all: in short training it
# costs accuracy (benchmarks/defaults.py). `SoftTargets` alone keeps it.
TEMPERATURE = 1.0
_ALPHA_ADVICE = (
    "It weights the distillation part; 0.9 is usual. For weights that do not "
    "add up to 1, use `student_loss_weight` and the losses' `weight`."
)


class Batch(NamedTuple):
    """The parts of a batch besides the inputs.

    Attributes:
        y: Labels, as the data set yields them, or `None`.
        sample_weight: Weights, or `None`.
        example_ids: The examples' numbers, `(batch,)`, or `None`.
        ignored: A class number that the compiled loss ignores, or `None`.
    """

    y: Any = None
    sample_weight: Any = None
    example_ids: Any = None
    ignored: int | None = None


class Term(NamedTuple):
    """One distillation loss of one batch.

    Attributes:
        weight: Its factor among the distillation losses.
        means: Its mean for each output that it compares; the means are
            added.
    """

    weight: Any
    means: list[Mean]

    @property
    def total(self) -> Mean:
        """The sum of the means, as Keras adds the losses of outputs."""
        count = sum(mean.count for mean in self.means)
        return Mean(sum(mean.value for mean in self.means), count)


class _Pair(NamedTuple):
    """The teacher and student tensors of one call of a loss.

    Attributes:
        teacher: The teacher's logits or features, or both.
        student: The student's logits or features, or both.
        masked: The student's tensor whose Keras mask is used: the output or
            the layer; `None` if the loss compares several layers.
        key: Name or index of the output whose sample weights are used;
            `None` for a single output and for layers.
    """

    teacher: Any
    student: Any
    masked: Any
    key: Any = None


class Objective:
    """The weighted sum of the task loss and the distillation losses.

    Holds no weights of its own and runs no model; the losses' weights are
    tracked by the Distiller.

    Args:
        losses: The distillation losses, as the Distiller takes them.
        temperature: Temperature of the default loss.
        alpha: Weight of the distillation part.
        student_loss_weight: Weight of the task loss instead of `1 - alpha`.

    Raises:
        TypeError: If a loss has the wrong type.
        ValueError: If a weight is outside its range, or `temperature` is
            given together with `losses`.
    """

    def __init__(
        self,
        losses: Any,
        temperature: Number | None,
        alpha: Number,
        student_loss_weight: Number | None,
    ) -> None:
        self._temperature = temperature
        self._kinds: Mapping[Any, str | None] = {}
        self.is_default = losses is None
        self.losses = resolve_losses(losses, temperature)
        self.set_weights(alpha, student_loss_weight)

    def set_weights(
        self, alpha: Number, student_loss_weight: Number | None
    ) -> None:
        """Set the weights of the two parts; see the class.

        A training step that was already traced keeps the old weights.
        """
        self.alpha = check_schedule(
            "Distiller", "alpha", alpha, low=0, high=1, advice=_ALPHA_ADVICE
        )
        self.student_loss_weight = student_loss_weight
        if student_loss_weight is not None:
            self.student_loss_weight = check_schedule(
                "Distiller", "student_loss_weight", student_loss_weight, low=0
            )

    def choose(self, kinds: Mapping[Any, str | None]) -> bool:
        """Choose the default losses by what the outputs are.

        Args:
            kinds: The kind of each of the student's outputs.

        Returns:
            Whether other losses were chosen than before.

        Raises:
            ValueError: If the user gave a temperature and no output is about
                classes.
        """
        self._kinds = kinds
        if not self.is_default:
            return False
        chosen = default_losses(kinds, self._temperature)
        former = [(type(loss), loss.name) for loss in self.losses]
        if [(type(loss), loss.name) for loss in chosen] == former:
            return False
        self.losses = chosen
        return True

    def outputs_read(self, keys: Iterable[Any]) -> list[Any]:
        """Return the outputs that a loss reads, of those with these keys."""
        named = {
            loss.output_name for loss in self.losses if _reads_logits(loss)
        }
        return [key for key in keys if None in named or key in named]

    def check_kinds(self, kinds: Mapping[Any, str | None]) -> None:
        """Check that losses of classes get outputs that are about classes.

        Args:
            kinds: The kind of each of the student's outputs.

        Raises:
            ValueError: If a loss gets numbers or an embedding.
        """
        for loss in self.losses:
            if loss.reads == "layers" or not loss.needs_classes:
                continue
            for key, kind in kinds.items():
                read = loss.output_name in (None, key)
                if read and kind is not None and not is_classes(kind):
                    which = "output" if key is None else f"output {key!r}"
                    raise ValueError(
                        f"`{loss.name}` compares classes. Received: {which} "
                        f"of kind {kind!r}, as the loss or "
                        "`student_output` says. Use `LogitsMSE()`, which "
                        "compares numbers; or, if these are logits, say "
                        "`student_output='logits'`."
                    )

    @property
    def names(self) -> list[str]:
        """Names of the losses in the logs."""
        return [loss.name for loss in self.losses]

    @property
    def reads_logits(self) -> bool:
        """Whether a loss reads logits."""
        return any(_reads_logits(loss) for loss in self.losses)

    @property
    def needs_task(self) -> bool:
        """Whether the task loss can have a weight above 0."""
        weight = self.student_loss_weight
        if weight is None:
            return isinstance(self.alpha, Schedule) or self.alpha < 1
        return isinstance(weight, Schedule) or weight > 0

    def layer_names(self, role: str) -> list[str]:
        """Return the layers of a model that the losses read, without repeats.

        Args:
            role: `"teacher"` or `"student"`.
        """
        return layer_names(self.losses, role)

    def bind(self, teacher: Bound, student: Bound) -> None:
        """Bind the losses to both models, build their weights, check shapes.

        Raises:
            ValueError: If a loss does not fit the models.
        """
        for loss in self.losses:
            loss.bind(teacher, student)
            specs = (teacher.spec, student.spec)
            for pair in _pairs(loss, *specs):
                if is_weighted(loss):
                    factors.checked_logits(loss, pair.key, specs, self._kinds)
                values = loss.per_position(pair.teacher, pair.student)
                if len(values.shape) == 0:
                    raise ValueError(
                        f"`{loss.name}` needs to return one value per "
                        "example, `(batch,)`. Received: a scalar. Leave the "
                        "averaging to the Distiller."
                    )

    def terms(
        self, teacher: Tapped, student: Tapped, batch: Batch, iteration: Any
    ) -> list[Term]:
        """Compute each distillation loss of a batch, in training mode.

        Args:
            teacher: The teacher's outputs.
            student: The student's outputs.
            batch: Labels, weights and ids.
            iteration: The optimizer step at which schedules are read.

        Raises:
            ValueError: If a loss needs example ids and the data has none, or
                made weights that no optimizer knows.
        """
        unbuilt = [loss for loss in self.losses if not loss.built]
        terms = [
            Term(
                value_at(loss.weight, iteration),
                [
                    self._mean(loss, pair, (teacher, student), batch, iteration)
                    for pair in _pairs(loss, teacher, student)
                ],
            )
            for loss in self.losses
        ]
        for loss in unbuilt:
            if loss.weights:
                raise ValueError(
                    f"`Distiller` needs a teacher to build `{loss.name}`, "
                    "which has weights of its own. Received: teacher=None. "
                    "Give the `TeacherCache` as the teacher."
                )
        return terms

    def _mean(
        self,
        loss: DistillationLoss,
        pair: _Pair,
        models: tuple[Tapped, Tapped],
        batch: Batch,
        iteration: Any,
    ) -> Mean:
        """Return the mean of a loss over one pair of outputs."""
        labels = _labels_of(loss, pair, models[1], batch, self._kinds)
        values = loss.per_position(
            pair.teacher,
            pair.student,
            labels,
            step=iteration,
            training=True,
            example_ids=_ids_of(loss, batch),
        )
        return weighted_mean(
            factors.weighted(
                loss, values, pair.key, models, labels, self._kinds
            ),
            mask_of(pair.masked),
            weights_of(batch.sample_weight, pair.key),
        )

    def total(
        self,
        task: Mean | None,
        terms: list[Term],
        shares: list[Any],
        iteration: Any,
    ) -> Any:
        """Return the weighted sum of the parts of the loss.

        The sum is `task_weight * task + alpha * sum_i weight_i * term_i`.
        Each mean is multiplied by this replica's share of its global count,
        so that the sum over replicas is the mean over the global batch.

        Args:
            task: The student's own loss, or `None`.
            terms: The distillation losses.
            shares: Local count divided by global count, first for the task
                and then for each mean of the terms.
            iteration: The optimizer step at which schedules are read.

        Returns:
            A scalar, float32.
        """
        alpha = value_at(self.alpha, iteration)
        task_weight = (
            1.0 - alpha
            if self.student_loss_weight is None
            else value_at(self.student_loss_weight, iteration)
        )
        total = ops.zeros((), "float32")
        if task is not None and self.needs_task:
            total += task_weight * ops.cast(task.value, "float32") * shares[0]
        means = [(term.weight, mean) for term in terms for mean in term.means]
        for (weight, mean), share in zip(means, shares[1:], strict=True):
            total += alpha * weight * ops.cast(mean.value, "float32") * share
        return total


def default_losses(
    kinds: Mapping[Any, str | None], temperature: Number | None
) -> list[DistillationLoss]:
    """Return the losses that fit what the outputs are.

    Soft targets for classes and labels, the squared error for numbers, the
    cosine for embeddings; one loss for all outputs if they are alike, else
    one for each.

    Args:
        kinds: The kind of each of the student's outputs; `None` counts as
            classes.
        temperature: Temperature of the soft targets; `None` takes
            `TEMPERATURE`.

    Raises:
        ValueError: If `temperature` is given and there are no soft targets.
    """
    groups = {
        key: "classes" if kind is None or is_classes(kind) else kind
        for key, kind in kinds.items()
    }
    if temperature is not None and "classes" not in groups.values():
        raise ValueError(
            requirement(
                "Distiller",
                "temperature",
                "None for a student that returns no classes",
                temperature,
            )
        )
    soft = {"temperature": TEMPERATURE if temperature is None else temperature}
    fitting: dict[str, tuple[type[DistillationLoss], dict[str, Any]]] = {
        "classes": (SoftTargets, soft),
        "numbers": (LogitsMSE, {}),
        "embedding": (Hint, {"metric": "cosine"}),
    }
    chosen = {key: fitting[group] for key, group in groups.items()}
    if len({*groups.values()}) == 1:
        cls, arguments = next(iter(chosen.values()))
        return [cls(**arguments)]
    return [
        cls(**arguments, output=key, name=f"{snake_case(cls.__name__)}_{key}")
        for key, (cls, arguments) in chosen.items()
    ]


def resolve_losses(losses: Any, temperature: Any) -> list[DistillationLoss]:
    """Return the distillation losses that `losses` names.

    Raises:
        ValueError: If `losses` is empty, or `temperature` is given too.
    """
    if losses is None:
        return default_losses({None: None}, temperature)
    if temperature is not None:
        raise ValueError(
            requirement(
                "Distiller",
                "temperature",
                "None when `losses` is given",
                temperature,
                "Give it to the loss: `SoftTargets(temperature=...)`.",
            )
        )
    listed = list(losses) if isinstance(losses, (list, tuple)) else [losses]
    if not listed:
        raise ValueError(
            requirement("Distiller", "losses", "one loss or more", losses)
        )
    return [get(loss) for loss in listed]


def layer_names(losses: list[DistillationLoss], role: str) -> list[str]:
    """Return the layers of a model that the losses read, without repeats."""
    names = [name for loss in losses for name in loss.layer_names(role)]
    return list(dict.fromkeys(names))


def _pairs(
    loss: DistillationLoss, teacher: Tapped, student: Tapped
) -> list[_Pair]:
    """Return the pairs that a loss compares: one, or one for each output.

    Raises:
        ValueError: If the loss reads layers and names none, the models'
            outputs do not correspond, or the loss names an output that a
            model does not have.
    """
    layers: tuple[Any, Any] = (None, None)
    if loss.reads != "logits":
        if loss.teacher_layer is None:
            raise ValueError(
                f"`{loss.name}` needs `teacher_layer` and `student_layer` to "
                "name the layers that it compares. Received: neither. Give "
                "a layer's name, a path such as 'backbone/block_3', a regular "
                "expression or a list; or `layers='auto'`."
            )
        layers = (
            _layers(teacher, loss.teacher_layer),
            _layers(student, loss.student_layer),
        )
    if loss.reads == "layers":
        single = not keras.tree.is_nested(layers[1])
        return [_Pair(*layers, masked=layers[1] if single else None)]
    predictions = by_name(student.predictions)
    logits = _corresponding(loss, teacher, student)
    pairs = [
        _Pair(logits[0][key], logits[1][key], predictions[key], key)
        for key in logits[1]
    ]
    if loss.reads == "logits":
        return pairs
    return [
        pair._replace(
            teacher={"logits": pair.teacher, "layers": layers[0]},
            student={"logits": pair.student, "layers": layers[1]},
        )
        for pair in pairs
    ]


def _corresponding(
    loss: DistillationLoss, teacher: Tapped, student: Tapped
) -> list[dict[Any, Any]]:
    """Return the teacher's and student's logits that a loss compares."""
    outputs = [by_name(tapped.logits) for tapped in (teacher, student)]
    if loss.output_name is not None:
        for role, named in zip(("teacher", "student"), outputs, strict=True):
            if loss.output_name not in named:
                raise ValueError(
                    f"`{loss.name}` needs `output` to be an output of the "
                    f"{role}, one of {show(list(named))}. Received: "
                    f"output={loss.output_name!r}. "
                    f"{nearest(loss.output_name, named)}".rstrip()
                )
        outputs = [
            {loss.output_name: named[loss.output_name]} for named in outputs
        ]
    if set(outputs[0]) != set(outputs[1]):
        raise ValueError(
            f"`{loss.name}` needs teacher and student to have the same "
            f"outputs. Received: teacher outputs {show(list(outputs[0]))}, "
            f"student outputs {show(list(outputs[1]))}. Name the outputs "
            "alike, or choose one with `output=`."
        )
    return outputs


def _reads_logits(loss: DistillationLoss) -> bool:
    return loss.reads != "layers" or is_weighted(loss)


def _labels_of(
    loss: DistillationLoss,
    pair: _Pair,
    student: Tapped,
    batch: Batch,
    kinds: Mapping[Any, str | None],
) -> Any:
    """Return the labels for a loss, in their normal form.

    A loss that reads layers gets the labels of its `output`, or of the
    model's only output. The targets of numbers and embeddings stay as they
    are.
    """
    key = loss.output_name if pair.key is None else pair.key
    outputs = student.predictions if student.logits is None else student.logits
    y, output = select(batch.y, key), select(outputs, key)
    if isinstance(y, (list, tuple, dict)) and len(y) == 1:
        (y,) = keras.tree.flatten(y)
    if isinstance(output, (list, tuple, dict)) and len(output) == 1:
        (output,) = keras.tree.flatten(output)
    if keras.tree.is_nested(y) or keras.tree.is_nested(output):
        return None
    if y is not None and kinds.get(key) in ("numbers", "embedding"):
        return y
    return normal_labels(y, output, batch.ignored)


def _ids_of(loss: DistillationLoss, batch: Batch) -> Any:
    if loss.needs_example_ids and batch.example_ids is None:
        raise ValueError(
            f"`{loss.name}` needs to know which example is which. Received: "
            "data without example ids. Train on `cache.join(dataset)`, or on "
            "`keras_kd.data.number_examples(dataset)`."
        )
    return batch.example_ids if loss.needs_example_ids else None


def _layers(tapped: Tapped, layers: Any) -> Any:
    if isinstance(layers, str):
        return tapped.features[layers]
    return [tapped.features[layer] for layer in layers]
