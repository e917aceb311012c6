"""Correlation congruence: examples correlate as they do for the teacher."""

import math
from typing import Any

import keras
from keras import ops

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.losses.functional import root
from keras_kd.losses.relation import Own
from keras_kd.losses.relation import RelationLoss
from keras_kd.losses.relation import flat

FORMS = ("consecutive", "bilinear", "gaussian")


@keras.saving.register_keras_serializable("keras_kd")
class CorrelationCongruence(RelationLoss):
    """Correlation congruence: examples correlate as for the teacher.

    Two methods have this name. The authors' code multiplies the errors of
    each two consecutive examples (`"consecutive"`, for shuffled data); the
    paper compares kernels of all pairs (`"bilinear"`, `"gaussian"`, for
    features of length 1 and models of any widths). Choose
    `SimilarityPreserving` where neither is prescribed. The kernels cost
    `examples^2 * dimensions` products a step, an `embedding` two dense
    layers. Published code uses `weight=0.02` with `"consecutive"`.

    Formula:
        consecutive: `mean_i sum_k d_ik d_(i+1)k` over the pairs of
        consecutive examples, with `d = |student - teacher|`, an absolute
        value for each dimension; the others:
        `sqrt(sum_ij (S_ij - T_ij)^2) / examples^2` with the kernels
        `f_i . f_j` (bilinear) or
        `exp(-2 gamma) sum_(n <= order) (2 gamma f_i . f_j)^n / n!`
        (gaussian, by its Taylor polynomial).

    Reference:
        Peng et al. 2019, arXiv:1904.01802; "consecutive" as in the code that
        its authors gave to RepDistiller.

    Args:
        form: `"consecutive"`, `"bilinear"` or `"gaussian"`. Defaults to
            `"consecutive"`.
        gamma: Width of the Gaussian kernel, greater than 0. Defaults to 0.4.
        order: Degree of its Taylor polynomial, at least 1. Defaults to 2.
        embedding: Units of two dense layers, one behind each model's
            features, that are trained and saved with the Distiller.
            "consecutive" needs them if the models' widths differ; the
            authors use 128. Defaults to `None`: no such layers.
        gather: Whether the examples are those of the global batch of all
            replicas. Defaults to True.
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs: features `(batch, ...)`, of one layer or several.
        student_outputs: features `(batch, ...)`, of as many layers.

    Returns:
        `(batch,)`, each example's share, float32 (float64 for float64
        inputs). The mean is the formula. For an example alone,
        "consecutive" is 0.

    Raises:
        ValueError: If an argument is out of its range, or "consecutive"
            gets features of two widths.

    Example:
    >>> import keras_kd
    >>> import numpy as np
    >>> loss = keras_kd.losses.CorrelationCongruence()
    >>> values = loss(np.zeros((3, 1)), np.array([[1.0], [2.0], [3.0]]))
    >>> print([float(value) for value in values])
    [1.5, 6.0, 4.5]
    """

    def __init__(
        self,
        form: str = "consecutive",
        gamma: float = 0.4,
        order: int = 2,
        embedding: int | None = None,
        gather: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(gather=gather, **kwargs)
        subject = "CorrelationCongruence"
        self.form = check_choice(subject, "form", form, FORMS)
        self.gamma = check_number(subject, "gamma", gamma, above=0)
        self.order = check_integer(subject, "order", order, low=1)
        self.embedding = embedding
        if embedding is not None:
            check_integer(subject, "embedding", embedding, low=1)
            self.embeddings = [
                [
                    keras.layers.Dense(embedding, name=f"{role}_{index}")
                    for role in ("teacher", "student")
                ]
                for index, _ in enumerate(self.layer_names("teacher") or [0])
            ]

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Return each example's share, of the embeddings if there are any."""
        if self.embedding is not None:
            features = zip(
                keras.tree.flatten(teacher_outputs),
                keras.tree.flatten(student_outputs),
                strict=True,
            )
            embedded = [
                [
                    ops.cast(layer(flat(x)), x.dtype)
                    for layer, x in zip(layers, pair, strict=True)
                ]
                for layers, pair in zip(self.embeddings, features, strict=True)
            ]
            teacher_outputs, student_outputs = zip(*embedded, strict=True)
        return super().call(teacher_outputs, student_outputs)

    def compare(self, teacher: Any, student: Any, own: Own) -> Any:
        """Return the share of each own example."""
        if self.form == "consecutive":
            return own(self._consecutive(teacher, student))
        gaps = self._kernel(student) - self._kernel(teacher)
        squares = ops.sum(ops.square(gaps), axis=-1)
        count = ops.cast(ops.shape(gaps)[0], gaps.dtype)
        norm = root(ops.sum(squares))
        return own(ops.divide_no_nan(squares, norm * count))

    def _consecutive(self, teacher: Any, student: Any) -> Any:
        """Give both examples of each pair half of its product."""
        if teacher.shape[-1] != student.shape[-1]:
            raise ValueError(
                requirement(
                    self.name,
                    "embedding",
                    'a number of units for form="consecutive" where the '
                    f"widths of the features differ ({teacher.shape[-1]} "
                    f"and {student.shape[-1]})",
                    self.embedding,
                    "The authors use 128; the other forms need none.",
                )
            )
        gaps = ops.abs(student - teacher)
        products = ops.sum(gaps[:-1] * gaps[1:], axis=-1)
        padded = ops.pad(products, ((1, 1),))
        count = ops.shape(gaps)[0]
        scale = ops.cast(count, gaps.dtype) / ops.cast(
            ops.maximum(count - 1, 1), gaps.dtype
        )
        return scale * (padded[:-1] + padded[1:]) / 2

    def _kernel(self, features: Any) -> Any:
        products = ops.matmul(features, ops.transpose(features))
        if self.form == "bilinear":
            return products
        term = kernel = ops.ones_like(products)
        for power in range(1, self.order + 1):
            term = term * products * (2 * self.gamma / power)
            kernel = kernel + term
        return kernel * math.exp(-2 * self.gamma)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments of this loss."""
        return super().get_config() | {
            "form": self.form,
            "gamma": self.gamma,
            "order": self.order,
            "embedding": self.embedding,
        }
