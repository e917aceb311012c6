"""Depthwise separable networks for keyword spotting."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement
from keras_kd.students.families.blocks import check_family
from keras_kd.students.families.blocks import conv_norm
from keras_kd.students.families.blocks import depthwise_norm
from keras_kd.students.scaling import scaled

_SUBJECT = "students.ds_cnn"
# Channels, blocks, strides of the stem and of the first block.
_SIZES = {
    "small": (64, 4, (2, 2), (1, 1)),
    "medium": (172, 4, (2, 1), (2, 2)),
    "large": (276, 5, (2, 1), (2, 2)),
}


def ds_cnn(
    input_shape: Sequence[int | None],
    num_classes: int,
    width: float = 1.0,
    size: str = "small",
    kernel_size: Sequence[int] = (10, 4),
) -> keras.Model:
    """A keyword spotter for microcontrollers, ending in logits.

    For spectrograms, `(frames, coefficients, 1)`: the paper's input has 49
    frames of 10 MFCCs. A large-kernel convolution is followed by depthwise
    separable convolutions of equal width. An inference takes about 5
    (`"small"`) to 57 (`"large"`) million operations. On small images, with
    `kernel_size=(3, 3)`, it is the smallest of the convolutional families.

    Reference: Zhang, Suda, Lai and Chandra 2017 (arXiv 1711.07128), tables 4
    and 9. Departures: convolutions have no bias, because the normalization
    would cancel it; padding is Keras's "same".

    Args:
        input_shape: `(frames, coefficients, channels)`; the first two may be
            None.
        num_classes: Units of the head.
        width: Multiplier of the channels, greater than 0.
        size: `"small"`, `"medium"` or `"large"`: 64, 172 or 276 channels, in
            4, 4 or 5 blocks. `"small"` halves frames and coefficients once;
            the others halve the frames once more.
        kernel_size: Frames and coefficients of the first kernel. Defaults to
            the paper's.

    Shapes:
        input: `(batch, frames, coefficients, channels)`.
        output: `(batch, num_classes)`, logits.

    Returns:
        An untrained model named such as `ds_cnn_small`. `stem`, `stage_1`,
        `stage_2`, ... (one block each) are the outputs for feature losses
        (after the ReLU), `pool` the pooled features, `logits` the head.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range.

    Example:
    >>> import keras_kd
    >>> model = keras_kd.students.ds_cnn((49, 10, 1), 12)
    >>> sum(w.numpy().size for w in model.trainable_weights)
    23180
    """
    shape = check_family(_SUBJECT, input_shape, num_classes, width)
    check_choice(_SUBJECT, "size", size, _SIZES)
    if not isinstance(kernel_size, (tuple, list)) or len(kernel_size) != 2:
        raise TypeError(
            requirement(
                _SUBJECT, "kernel_size", "a pair of integers", kernel_size
            )
        )
    for pixels in kernel_size:
        check_integer(_SUBJECT, "kernel_size", pixels, low=1)
    channels, blocks, stem_strides, first_strides = _SIZES[size]

    inputs = keras.Input(shape, name="input")
    x = conv_norm(
        inputs,
        scaled(channels, width),
        "stem",
        (kernel_size[0], kernel_size[1]),
        stem_strides,
        relu="stem",
    )
    for number in range(1, blocks + 1):
        name = f"stage_{number}"
        x = depthwise_norm(
            x,
            f"{name}_1",
            strides=first_strides if number == 1 else 1,
            relu=f"{name}_1_relu",
        )
        x = conv_norm(x, scaled(channels, width), f"{name}_2", 1, relu=name)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name=f"ds_cnn_{size}")
