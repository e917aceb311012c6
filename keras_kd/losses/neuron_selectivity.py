"""Neuron selectivity: what the student's channels respond to."""

from typing import Any

import keras
from keras import ops

from keras_kd.losses.functional import unit
from keras_kd.losses.maps import MapLoss


@keras.saving.register_keras_serializable("keras_kd")
class NeuronSelectivity(MapLoss):
    """Neuron selectivity: the channels respond to the same positions.

    It compares how the channels' maps are distributed, by their maximum mean
    discrepancy, so the models may differ in channels and no adapter is
    needed. Choose it for the last layer of a resolution. It costs
    `channels^2 * positions` products an example and adds no weights. The
    authors use `weight=50`.

    Formula:
        `mean k(t, t') + mean k(s, s') - 2 mean k(s, t)` over all pairs of
        channels, where `k(a, b) = (a . b)^2` of two channels' maps, each
        divided by its length.

    Reference:
        Huang and Wang 2017, arXiv:1707.01219, equations 4 and 7, with the
        polynomial kernel of degree 2 and c = 0.

    Args:
        **kwargs: `data_format` (`"channels_last"`, the default, or
            `"channels_first"`), and those of `DistillationLoss`.

    Shapes:
        teacher_outputs: maps `(batch, ..., channels)`, of one layer or
            several.
        student_outputs: maps of any channels; the larger map is
            average-pooled to the size of the smaller.

    Returns:
        `(batch,)`, float32 (float64 for float64 inputs).

    Raises:
        ValueError: If `data_format` is unknown, or a layer has no positions.

    Example:
    >>> import keras_kd
    >>> import numpy as np
    >>> loss = keras_kd.losses.NeuronSelectivity()
    >>> teacher = np.array([[[[1.0]], [[0.0]]]])
    >>> student = np.array([[[[1.0]], [[1.0]]]])
    >>> print(f"{float(loss(teacher, student)[0]):.2f}")
    1.00
    """

    def compare(self, teacher: Any, student: Any, place: int = 0) -> Any:
        """Return the squared discrepancy of the two sets of channels."""
        t, s = (unit(ops.swapaxes(x, 1, 2)) for x in (teacher, student))
        return _kernel(t, t) + _kernel(s, s) - 2 * _kernel(s, t)


def _kernel(a: Any, b: Any) -> Any:
    """Return the mean over all pairs of the squared products."""
    products = ops.matmul(a, ops.transpose(b, (0, 2, 1)))
    return ops.mean(ops.square(products), axis=(1, 2))
