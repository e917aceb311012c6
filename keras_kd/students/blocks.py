"""What the families share: argument checks and the conv-BN-ReLU unit."""

from typing import Any

import keras
from keras import layers

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement


def check_family(
    subject: str,
    input_shape: Any,
    num_classes: Any,
    width: Any,
    rank: int | None = 3,
) -> tuple[int | None, ...]:
    """Check what every family takes; return the shape as a tuple.

    Args:
        subject: Name of the family.
        input_shape: Shape of one example, without the batch.
        num_classes: Units of the head.
        width: Multiplier of the widths.
        rank: Axes that `input_shape` has: 3 for images, of which height and
            width may be None; None for any number of known sizes.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is outside its range.
    """
    what = (
        "a shape (height, width, channels) of positive integers"
        if rank == 3
        else "a shape of positive integers"
    )
    message = requirement(
        subject,
        "input_shape",
        f"{what}, without the batch axis",
        input_shape,
        "Give one example's shape, such as (32, 32, 3).",
    )
    if not isinstance(input_shape, (tuple, list)):
        raise TypeError(message)
    shape = tuple(input_shape)
    free = shape[:-1] if rank == 3 else ()
    known = [size for size in free if size is not None] + [*shape[len(free) :]]
    if len(shape) != rank if rank else not shape:
        raise ValueError(message)
    if not all(type(size) is int and size > 0 for size in known):
        raise ValueError(message)
    check_integer(subject, "num_classes", num_classes, low=1)
    check_number(subject, "width", width, above=0)
    return shape


def scaled(count: int, width: float, multiple: int = 1) -> int:
    """Scale a width: the nearest multiple, and never less than one of it.

    >>> scaled(64, 0.3), scaled(64, 0.3, multiple=8), scaled(3, 0.1)
    (19, 16, 1)
    """
    return multiple * max(1, round(width * count / multiple))


def conv_norm(
    x: keras.KerasTensor,
    filters: int,
    name: str,
    kernel_size: int = 3,
    strides: int = 1,
    relu: str | None = None,
) -> keras.KerasTensor:
    """Convolution without bias, batch normalization, ReLU when named.

    Weights start as He et al. 2015 (arXiv 1502.01852) draw them, scaled by
    the fan-out. Statistics follow with momentum 0.9, not Keras's 0.99, which
    lags behind in trainings of a few hundred steps.
    """
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(
            2.0, mode="fan_out", distribution="untruncated_normal"
        ),
        name=f"{name}_conv",
    )(x)
    x = layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, name=f"{name}_norm"
    )(x)
    return x if relu is None else layers.ReLU(name=relu)(x)
