"""Similarity preserving: examples alike for the teacher stay alike."""

from typing import Any

import keras
from keras import ops

from keras_kd.losses.functional import unit
from keras_kd.losses.relation import Own
from keras_kd.losses.relation import RelationLoss


@keras.saving.register_keras_serializable("keras_kd")
class SimilarityPreserving(RelationLoss):
    """Similarity preserving: examples alike for the teacher stay alike.

    It compares the products of every two examples' features, so the models'
    widths and sizes may differ and no adapter is needed. Choose it for the
    last feature maps, which `layers="auto"` pairs. It costs
    `examples^2 * dimensions` products a step and adds no weights. Its values
    are small: the authors use `weight=3000`.

    Formula:
        `sum_ij (S_ij - T_ij)^2 / examples^2` with S and T the products
        `f_i . f_j` of the flattened features, each row divided by its
        length.

    Reference:
        Tung and Mori 2019, arXiv:1907.09682, equations 2 to 4.

    Args:
        gather: Whether the examples are those of the global batch of all
            replicas. Defaults to True.
        **kwargs: Those of `DistillationLoss`.

    Shapes:
        teacher_outputs: features `(batch, ...)`, of one layer or several.
        student_outputs: features `(batch, ...)`, of as many layers.

    Returns:
        `(batch,)`, each example's share, float32 (float64 for float64
        inputs). The mean is the formula. An example alone has the value 0.

    Example:
    >>> import keras_kd
    >>> import numpy as np
    >>> loss = keras_kd.losses.SimilarityPreserving()
    >>> values = loss(np.eye(2), np.array([[1.0, 1.0], [0.0, 1.0]]))
    >>> print([round(float(value), 4) for value in values])
    [0.1056, 0.2929]
    """

    auto_layers = "last_map"

    def compare(self, teacher: Any, student: Any, own: Own) -> Any:
        """Return the squared differences of each own example's row."""
        gap = _similarities(student, own) - _similarities(teacher, own)
        return ops.mean(ops.square(gap), axis=-1)


def _similarities(features: Any, own: Own) -> Any:
    return unit(ops.matmul(own(features), ops.transpose(features)))
