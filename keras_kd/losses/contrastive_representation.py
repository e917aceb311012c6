"""Contrastive representation: an example is told from all the others."""

import math
from typing import Any

import keras
from keras import ops

from keras_kd.core.bound import Bound
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.core.graph_checks import checked
from keras_kd.losses.base import DistillationLoss
from keras_kd.losses.functional import unit
from keras_kd.losses.relation import flat
from keras_kd.losses.targets import has_label

_EPSILON = 1e-7


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
        **kwargs: `weight` (the paper has 0.8), `name`, `teacher_layer` and
            `student_layer` (one layer each) and `output` of
            `DistillationLoss`.

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
            "student": _one(student_outputs_shape),
            "teacher": _one(teacher_outputs_shape),
        }
        bound = 1 / math.sqrt(self.dimensions / 3)
        self._kernels, self._banks, self._scales = {}, {}, {}
        for role, shape in shapes.items():
            if None in shape[1:]:
                raise ValueError(
                    requirement(
                        type(self).__name__,
                        f"{role}_layer",
                        "a layer of a fixed size, such as a pooling layer",
                        shape,
                    )
                )
            self._kernels[role] = (
                self.add_weight(
                    shape=(math.prod(shape[1:]), self.dimensions),
                    name=f"{role}_kernel",
                ),
                self.add_weight(
                    shape=(self.dimensions,),
                    initializer="zeros",
                    name=f"{role}_bias",
                ),
            )
            self._banks[role] = self._remembered(
                (self.num_examples, self.dimensions),
                keras.initializers.RandomUniform(-bound, bound),
                f"{role}_bank",
            )
            self._scales[role] = self._remembered((), "zeros", f"{role}_scale")
        # Until its label is known, an example is alone in its class.
        self._classes = self._remembered(
            (self.num_examples,),
            lambda shape, dtype: -1 - ops.arange(shape[0], dtype=dtype),
            "classes",
            "int64",
        )
        self._seeds = keras.random.SeedGenerator()

    def _remembered(
        self, shape: Any, initializer: Any, name: str, dtype: str = "float32"
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
        teacher, student = (
            self.embed(keras.tree.flatten(outputs)[0], role)
            for outputs, role in (
                (teacher_outputs, "teacher"),
                (student_outputs, "student"),
            )
        )
        ids = example_ids
        if ids is None:
            ids = ops.arange(ops.shape(student)[0])
        ids = ops.cast(ids, "int64")
        inside = ops.logical_and(ids >= 0, ids < self.num_examples)
        ids = checked(
            ids,
            ops.all(inside),
            f"`{self.name}` needs example ids from 0 to num_examples - 1 = "
            f"{self.num_examples - 1}. Received: an id outside. Give it the "
            "number of examples in the training data.",
        )
        classes = self._classes_with(ids, labels)
        index = self.draw(ids, classes)
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
        features = flat(features)
        kernel, bias = (
            ops.cast(weight, features.dtype) for weight in self._kernels[role]
        )
        return unit(ops.matmul(features, kernel) + bias)

    def draw(self, ids: Any, classes: Any) -> Any:
        """Draw the negatives, evenly from a random order of the examples.

        Args:
            ids: `(batch,)`.
            classes: The class of every example.

        Returns:
            `(batch, 1 + negatives)`: each id and its negatives.
        """
        shuffle = self._random((self.num_examples,))
        order = ops.argsort(classes * 2**31 + shuffle)
        # In this order an example's class is one block, which is left out.
        arranged = ops.take(classes, order)
        own = ops.take(classes, ids)
        first, last = (
            ops.cast(ops.searchsorted(arranged, own, side), "int64")[:, None]
            for side in ("left", "right")
        )
        others = self.num_examples - (last - first)
        others = checked(
            others,
            ops.all(others > 0),
            f"`{self.name}` needs examples of two classes or more for its "
            "negatives. Received: one class. Set `other_classes=False`.",
        )
        phase = self._random((ops.shape(ids)[0], 1)) % others
        steps = ops.arange(self.negatives, dtype="int64") * others
        place = (steps + phase) // self.negatives
        place += ops.where(place >= first, last - first, 0)
        return ops.concatenate([ids[:, None], ops.take(order, place)], axis=1)

    def _random(self, shape: Any) -> Any:
        """Return random integers, int64, from 0 and below 2^31."""
        numbers = keras.random.randint(shape, 0, 2**31 - 1, seed=self._seeds)
        return ops.cast(numbers, "int64")

    def contrast(
        self,
        teacher: Any,
        student: Any,
        contrast_index: Any,
        training: bool | None = None,
    ) -> Any:
        """Return the value of each example for given negatives.

        Args:
            teacher: The teacher's embeddings `(batch, dimensions)`.
            student: The student's.
            contrast_index: `(batch, 1 + negatives)`, int64: each example's
                id, then those of its negatives.
            training: Whether to update the banks, and the normalizers if
                this is the first batch.

        Returns:
            `(batch,)`.
        """
        value = self._told(
            student, "teacher", "student", contrast_index, training
        ) + self._told(teacher, "student", "teacher", contrast_index, training)
        if training:
            ids = self.across_replicas(contrast_index[:, 0])
            self._remember("teacher", ids, teacher)
            self._remember("student", ids, student)
        return value

    def _told(
        self, embeddings: Any, bank: str, scale: str, index: Any, training: Any
    ) -> Any:
        """Return the value of one model's side."""
        rows = ops.cast(self._banks[bank], embeddings.dtype)
        products = ops.matmul(embeddings, ops.transpose(rows))
        products = ops.take_along_axis(products, index, axis=1)
        scores = ops.exp(products / self.temperature)
        means = ops.mean(ops.stop_gradient(scores), axis=1)
        first = self.num_examples * ops.mean(self.across_replicas(means))
        frozen = ops.cast(self._scales[scale], scores.dtype)
        normalizer = ops.where(frozen > 0, frozen, first)
        if training:
            self._scales[scale].assign(ops.cast(normalizer, "float32"))
        shares = scores / normalizer
        noise = (index.shape[1] - 1) / self.num_examples
        logs = ops.log(shares + (noise + _EPSILON))
        return (
            ops.sum(logs, axis=1)
            - ops.log(shares[:, 0])
            - (index.shape[1] - 1) * math.log(noise)
        )

    def _remember(self, role: str, ids: Any, embeddings: Any) -> None:
        bank = self._banks[role]
        new = ops.cast(ops.stop_gradient(embeddings), "float32")
        old = ops.take(bank, ids, axis=0)
        new = unit(
            self.momentum * old
            + (1 - self.momentum) * self.across_replicas(new)
        )
        # An overflow in half precision must not stay.
        finite = ops.all(ops.isfinite(new), axis=1, keepdims=True)
        new = ops.where(finite, new, old)
        bank.assign(ops.scatter_update(bank, ids[:, None], new))

    def _classes_with(self, ids: Any, labels: Any) -> Any:
        """Return the class of every example, with the labels of a batch."""
        classes = ops.convert_to_tensor(self._classes)
        if labels is None or not self.other_classes:
            return classes
        labels = ops.convert_to_tensor(labels)
        known = has_label(labels)
        if len(known.shape) != 1:
            return classes  # several labels an example
        if len(labels.shape) == 2:
            labels = ops.argmax(labels, axis=-1)
        former = ops.take(classes, ids)
        new = ops.where(known, ops.cast(labels, "int64"), former)
        ids, new = self.across_replicas(ids), self.across_replicas(new)
        return ops.scatter_update(classes, ids[:, None], new)

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


def _one(shape: Any) -> Any:
    """Return the shape of the only layer, which may be in a list."""
    return shape[0] if isinstance(shape[0], (list, tuple)) else shape
