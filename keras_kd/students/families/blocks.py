"""Argument checks, strides and convolution units that the families share."""

from typing import Any

import keras
from keras import layers

from keras_kd.core.checks import check_choice
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
    """Check the arguments of every family; return the shape as a tuple.

    Args:
        subject: Name of the family.
        input_shape: Shape of one example, without the batch.
        num_classes: Units of the head.
        width: Multiplier of the widths.
        rank: Number of axes of `input_shape`: 3 for images, whose height and
            width may be None; 1 for texts; None for any number of axes of
            known size.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is outside its range.
    """
    what, example = {
        3: ("a shape (height, width, channels) of", "(32, 32, 3)"),
        1: ("a shape (length,) of", "(64,)"),
        None: ("a shape of", "(28, 28, 1)"),
    }[rank]
    message = requirement(
        subject,
        "input_shape",
        f"{what} positive integers, without the batch axis",
        input_shape,
        f"Give one example's shape, such as {example}.",
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


def blocks_per_stage(
    subject: str, depth: Any, others: int, published: str
) -> int:
    """Return how many two-convolution blocks each of three stages has.

    Args:
        subject: Name of the family.
        depth: Layers with weights, as the family counts them.
        others: Layers with weights outside the blocks.
        published: Depths of the papers, for the error message.

    Raises:
        TypeError: If `depth` is not an integer.
        ValueError: If `depth` is not `6 n + others` with `n` at least 1.

    >>> blocks_per_stage("resnet", 20, 2, "8, 14, 20")
    3
    """
    check_integer(subject, "depth", depth, low=6 + others)
    blocks, rest = divmod(depth - others, 6)
    if rest:
        below = depth - rest
        raise ValueError(
            requirement(
                subject,
                "depth",
                f"6 n + {others}: {published}, ...",
                depth,
                f"The nearest are {below} and {below + 6}.",
            )
        )
    return blocks


def check_rate(subject: str, argument: str, rate: Any) -> None:
    """Refuse a dropout rate outside [0, 1)."""
    if check_number(subject, argument, rate, low=0, high=1) == 1:
        raise ValueError(requirement(subject, argument, "less than 1", rate))


def halvings(
    subject: str, shape: tuple[int | None, ...], stride: Any, most: int
) -> int:
    """Return how often a network halves its images.

    Args:
        subject: Name of the family.
        shape: Its checked `input_shape`.
        stride: The caller's `stride`: pixels of the input in one pixel of
            the last feature map. None takes the largest stride that leaves
            at least 3 pixels, such as 32 for 224 pixels and 8 for 32 pixels.
            For an unknown size it takes `2 ** most`.
        most: Halvings of the published network.

    Raises:
        ValueError: If `stride` is not one of 1, 2, 4, ..., `2 ** most`.

    >>> [halvings("vgg", (s, s, 3), None, 5) for s in (28, 32, 64, 96, 224)]
    [3, 3, 4, 5, 5]
    """
    if stride is not None:
        choices = [2**count for count in range(most + 1)]
        return choices.index(check_choice(subject, "stride", stride, choices))
    pixels = min((size for size in shape[:2] if size), default=2**most * 3)
    return next(
        (count for count in range(most, 0, -1) if pixels >= 3 * 2**count), 0
    )


def conv_norm(
    x: keras.KerasTensor,
    filters: int,
    name: str,
    kernel_size: int | tuple[int, int] = 3,
    strides: int | tuple[int, int] = 1,
    relu: str | None = None,
    activation: str = "relu",
) -> keras.KerasTensor:
    """Apply a convolution without bias, batch normalization and a ReLU.

    Weights are initialized as in He et al. 2015 (arXiv 1502.01852), scaled by
    the fan-out. The moving statistics have momentum 0.9: Keras's default of
    0.99 lags behind in trainings of a few hundred steps.

    Args:
        x: Images.
        filters: Channels of the result.
        name: Prefix of the layer names.
        kernel_size: Pixels of the kernel.
        strides: Pixels of a step.
        relu: Name of the layer with the activation, None for no activation.
        activation: `"relu"`, `"relu6"` or `"hard_swish"`.
    """
    x = convolution(x, filters, name, kernel_size, strides)
    return normalized(x, name, relu, activation)


def convolution(
    x: keras.KerasTensor,
    filters: int,
    name: str,
    kernel_size: int | tuple[int, int] = 3,
    strides: int | tuple[int, int] = 1,
) -> keras.KerasTensor:
    """Apply the convolution of `conv_norm`, named `<name>_conv`."""
    return layers.Conv2D(
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


def depthwise_norm(
    x: keras.KerasTensor,
    name: str,
    kernel_size: int = 3,
    strides: int | tuple[int, int] = 1,
    relu: str | None = None,
    activation: str = "relu",
) -> keras.KerasTensor:
    """Do the same with a depthwise convolution: one kernel per channel."""
    x = layers.DepthwiseConv2D(
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        # Keras counts all channels into the fan-out of a depthwise kernel,
        # but each input channel reaches only one output channel.
        depthwise_initializer=keras.initializers.RandomNormal(
            stddev=(2 / kernel_size**2) ** 0.5
        ),
        name=f"{name}_depthwise",
    )(x)
    return normalized(x, name, relu, activation)


def normalized(
    x: keras.KerasTensor,
    name: str,
    relu: str | None = None,
    activation: str = "relu",
) -> keras.KerasTensor:
    """Apply the batch normalization and the activation of `conv_norm`."""
    x = layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, name=f"{name}_norm"
    )(x)
    if relu is None:
        return x
    if activation == "hard_swish":
        return layers.Activation("hard_swish", name=relu)(x)
    top = 6.0 if activation == "relu6" else None
    return layers.ReLU(max_value=top, name=relu)(x)
