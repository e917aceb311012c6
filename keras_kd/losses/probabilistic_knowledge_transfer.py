"""Probabilistic knowledge transfer: the neighbours of each example."""

from typing import Any

import keras
from keras import ops

from keras_kd.losses.functional import unit
from keras_kd.losses.relation import Own
from keras_kd.losses.relation import RelationLoss

_EPSILON = 1e-7


@keras.saving.register_keras_serializable("keras_kd")
class ProbabilisticKnowledgeTransfer(RelationLoss):
    """Probabilistic knowledge transfer: an example keeps its neighbours.

    Each example has a distribution over the examples of the batch, by the
    cosine of their features; the student learns the teacher's. The models'
    widths may differ and no adapter is needed. Choose it for embeddings that
    are searched by cosine, and for pooled features. It costs
    `examples^2 * dimensions` products a step and adds no weights. Its values
    are small: published code uses `weight=30000`.

    Formula:
        `mean_ij T_ij log((T_ij + 1e-7) / (S_ij + 1e-7))` over the pairs of
        examples, with S and T the numbers `(1 + cos(f_i, f_j)) / 2`, each
        row divided by its sum, and 1e-7 added to the features' lengths.

    Reference:
        Passalis and Tefas 2018, arXiv:1803.10837, with the cosine kernel and
        the mean of the authors' code.

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
    >>> loss = keras_kd.losses.ProbabilisticKnowledgeTransfer()
    >>> values = loss(np.eye(2), np.array([[1.0, 1.0], [0.0, 1.0]]))
    >>> print([round(float(value), 4) for value in values])
    [0.0167, 0.0167]
    """

    def compare(self, teacher: Any, student: Any, own: Own) -> Any:
        """Return the divergence of each own example's neighbours."""
        t, s = _neighbours(teacher, own), _neighbours(student, own)
        return ops.mean(
            t * (ops.log(t + _EPSILON) - ops.log(s + _EPSILON)), axis=-1
        )


def _neighbours(features: Any, own: Own) -> Any:
    """Return the distribution of each own example, `(own, examples)`."""
    directions = unit(features, _EPSILON)
    cosines = ops.matmul(own(directions), ops.transpose(directions))
    likeness = (ops.maximum(cosines, -1.0) + 1) / 2  # -1.0000001 has no log
    return likeness / ops.sum(likeness, axis=-1, keepdims=True)
