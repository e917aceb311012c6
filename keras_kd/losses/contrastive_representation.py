"""Contrastive representation: an example is told from all the others."""

import math
from typing import Any
from typing import cast

import keras
from keras import ops

from keras_kd.core.bound import Bound
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.core.graph_checks import checked
from keras_kd.losses.base import DistillationLoss
from keras_kd.losses.functional import unit
from keras_kd.losses.maps import each_shape
from keras_kd.losses.memory_bank import MemoryBank
from keras_kd.losses.negatives import alone
from keras_kd.losses.negatives import class_numbers
from keras_kd.losses.negatives import contrast_index
from keras_kd.losses.relation import flat


@keras.saving.register_keras_serializable("keras_kd")
class ContrastiveRepresentation(DistillationLoss):
    """Contrastive representation: an example is told from all the others.

    The embedding of an example in one model is told from the embeddings of
    other examples that the other model had, which two memory banks hold.
    Choose it for pooled features, where accuracy counts more than time. It
    costs the products of the batch with both banks, and `2 * num_examples *
    dimensions` numbers. Embedding layers and banks are saved with the
    Distiller and are no part of the student.

    The data has to have example ids: train on `cache.join(dataset)`, or on
    `keras_kd.data.number_examples(dataset)`. The negatives of an example are
    drawn in each step, evenly and none twice, from the examples that are
    not known to have its class; from all others if there are no labels.
    The loss learns the labels in training, so in the first epoch a
    negative may have the same class. Where fewer examples remain than
    `num_negatives`, each of them is drawn several times.

    Formula:
        `-log(p_0 / (p_0 + m + 1e-7)) - sum_k log(m / (p_k + m + 1e-7))` for
        each model, summed, with `m = negatives / num_examples` and
        `p = exp(u . v / T) / Z`. u is the model's embedding, v the other
        model's row in its bank, of the example itself (0) and of its
        negatives; Z is `num_examples` times the mean of the exponentials of
        the first batch. After a training step `v = momentum v + (1 -
        momentum) u`, of length 1.

    Reference:
        Tian et al. 2020, arXiv:1910.10699, with the estimate of Z and the
        banks of the authors' code.

    Args:
        num_examples: Number of examples in the data set, 2 or more. Defaults
            to `None`: as many as the `TeacherCache` holds.
        num_negatives: Negatives of each example, 1 or more; at most
            `num_examples - 1` are used. Defaults to 16384.
        dimensions: Size of the embeddings, 1 or more. Defaults to 128.
        temperature: T, greater than 0. Defaults to 0.07.
        momentum: Share of the old row that stays in a bank, between 0 and 1.
            Defaults to 0.5.
        other_classes: Whether negatives come from other classes. Defaults to
            True; say False if the labels are no classes.
        gather: Must be True: the banks are the same on all replicas.
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs: features `(batch, ...)` of a fixed size.
        student_outputs: features `(batch, ...)` of a fixed size.
        example_ids: `(batch,)`, below `num_examples`. In a direct call they
            default to 0, 1, 2, ...

    Returns:
        `(batch,)`, float32 (float64 for float64 inputs).

    Raises:
        ValueError: If an argument is not allowed, `num_examples` is unknown,
            an id is not below it, or all examples have one class.

    Example:
    >>> import keras_kd
    >>> import numpy as np
    >>> loss = keras_kd.losses.ContrastiveRepresentation(num_examples=50)
    >>> values = loss(np.ones((2, 6)), np.ones((2, 3)), example_ids=[7, 31])
    >>> print(values.shape, loss.negatives)
    (2,) 49
    """

    kind = "relation"
    reads = "layers"
    uses_batch = True
    needs_example_ids = True

    def __init__(
        self,
        num_examples: int | None = None,
        num_negatives: int = 16384,
        dimensions: int = 128,
        temperature: float = 0.07,
        momentum: float = 0.5,
        other_classes: bool = True,
        gather: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(gather=gather, **kwargs)
        subject = type(self).__name__
        if not gather:
            raise ValueError(
                requirement(
                    subject,
                    "gather",
                    "True, because all replicas share the memory banks",
                    gather,
                )
            )
        if len(self.layer_names("teacher")) > 1:
            raise ValueError(
                requirement(
                    subject,
                    "teacher_layer",
                    "one layer",
                    self.teacher_layer,
                    "Give each pair of layers a loss of its own, with a name.",
                )
            )
        if num_examples is not None:
            check_integer(subject, "num_examples", num_examples, low=2)
        self.num_examples = num_examples
        self.num_negatives = check_integer(
            subject, "num_negatives", num_negatives, low=1
        )
        self.dimensions = check_integer(
            subject, "dimensions", dimensions, low=1
        )
        self.temperature = check_number(
            subject, "temperature", temperature, above=0
        )
        self.momentum = check_number(
            subject, "momentum", momentum, low=0, high=1
        )
        self.other_classes = bool(other_classes)

    @property
    def negatives(self) -> int:
        """Number of negatives of each example."""
        return min(self.num_negatives, (self.num_examples or 2) - 1)

    def bind(self, teacher: Bound, student: Bound) -> None:
        """Take the number of examples from a cache."""
        held = teacher.num_examples
        if self.num_examples is None:
            self.num_examples = held
        elif held is not None and held > self.num_examples:
            raise ValueError(
                requirement(
                    self.name,
                    "num_examples",
                    f"at least {held}, the number of examples in the cache",
                    self.num_examples,
                )
            )

    def build(
        self, teacher_outputs_shape: Any, student_outputs_shape: Any
    ) -> None:
        """Make the embedding layers, the banks and the normalizers."""
        if (self.num_examples or 0) < 2:
            raise ValueError(
                requirement(
                    type(self).__name__,
                    "num_examples",
                    "the number of examples in the training data, 2 or more",
                    self.num_examples,
                    "Only a `TeacherCache` knows it by itself.",
                )
            )
        shapes = {
            "student": each_shape(student_outputs_shape)[0],
            "teacher": each_shape(teacher_outputs_shape)[0],
        }
        self._layers_of = {
            role: self._embedding(role, shape) for role, shape in shapes.items()
        }
        self._banks = {role: self._bank(role) for role in shapes}
        self._classes = self._remembered(
            "classes", (self.num_examples,), alone, "int64"
        )
        self._seeds = keras.random.SeedGenerator()

    def _embedding(self, role: str, shape: Any) -> tuple[Any, Any]:
        if None in shape[1:]:
            raise ValueError(
                requirement(
                    type(self).__name__,
                    f"{role}_layer",
                    "a layer of a fixed size, such as a pooling layer",
                    shape,
                )
            )
        kernel = self.add_weight(
            shape=(math.prod(shape[1:]), self.dimensions), name=f"{role}_kernel"
        )
        bias = self.add_weight(
            shape=(self.dimensions,), initializer="zeros", name=f"{role}_bias"
        )
        return kernel, bias

    def _bank(self, role: str) -> MemoryBank:
        bound = 1 / math.sqrt(self.dimensions / 3)
        return MemoryBank(
            self._remembered(
                f"{role}_bank",
                (self.num_examples, self.dimensions),
                keras.initializers.RandomUniform(-bound, bound),
            ),
            self._remembered(f"{role}_normalizer", (), "zeros"),
            self.temperature,
            self.momentum,
            self.across_replicas,
        )

    def _remembered(
        self, name: str, shape: Any, initializer: Any, dtype: str = "float32"
    ) -> Any:
        return self.add_weight(
            shape=shape,
            initializer=initializer,
            dtype=dtype,
            trainable=False,
            # What is assigned is the same on all replicas.
            aggregation="only_first_replica",
            name=name,
        )

    def call(
        self,
        teacher_outputs: Any,
        student_outputs: Any,
        labels: Any = None,
        training: bool | None = None,
        example_ids: Any = None,
    ) -> Any:
        """Return the value of each example; in training, remember it."""
        teacher = self.embed(teacher_outputs, "teacher")
        student = self.embed(student_outputs, "student")
        ids, inside = self._checked_ids(example_ids, student)
        classes = ops.convert_to_tensor(self._classes)
        if self.other_classes:
            own = class_numbers(labels, ops.take(classes, ids))
            places = self.across_replicas(ids)[:, None]
            own = self.across_replicas(own)
            classes = ops.scatter_update(classes, places, own)
        index = contrast_index(
            ids, classes, self.negatives, self._seeds, self.name
        )
        values = self.contrast(teacher, student, index, training)
        if training:
            self._classes.assign(classes)
        # XLA drops the check.
        return ops.where(inside, values, float("nan"))

    def embed(self, features: Any, role: str) -> Any:
        """Return the embeddings `(batch, dimensions)`, of length 1.

        Args:
            features: `(batch, ...)`.
            role: `"teacher"` or `"student"`, whose features they are.
        """
        features = flat(keras.tree.flatten(features)[0])
        kernel, bias = (
            ops.cast(weight, features.dtype) for weight in self._layers_of[role]
        )
        return unit(ops.matmul(features, kernel) + bias)

    def contrast(
        self,
        teacher: Any,
        student: Any,
        index: Any,
        training: bool | None = None,
    ) -> Any:
        """Return the value of each example for given negatives.

        Args:
            teacher: The teacher's embeddings `(batch, dimensions)`.
            student: The student's.
            index: `(batch, 1 + negatives)`, int64: each example's id, then
                those of its negatives.
            training: Whether to update the banks, and the normalizers if
                this is the first batch.

        Returns:
            `(batch,)`.
        """
        banks = self._banks
        value = banks["teacher"].told(student, index, training)
        value += banks["student"].told(teacher, index, training)
        if training:
            banks["teacher"].remember(teacher, index[:, 0])
            banks["student"].remember(student, index[:, 0])
        return value

    def _checked_ids(self, ids: Any, student: Any) -> tuple[Any, Any]:
        """Return the ids, and which of them are inside."""
        count = cast(int, self.num_examples)
        if ids is None:
            ids = ops.arange(ops.shape(student)[0])
        ids = ops.cast(ids, "int64")
        inside = ops.logical_and(ids >= 0, ids < count)
        ids = checked(
            ids,
            ops.all(inside),
            f"`{self.name}` needs example ids from 0 to num_examples - 1 = "
            f"{count - 1}. Received: an id outside. Give it the number of "
            "examples in the training data.",
        )
        return ids, inside

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "num_examples": self.num_examples,
            "num_negatives": self.num_negatives,
            "dimensions": self.dimensions,
            "temperature": self.temperature,
            "momentum": self.momentum,
            "other_classes": self.other_classes,
        }
