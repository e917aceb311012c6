"""Plain convolutional networks for small images."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement
from keras_kd.students.families.blocks import check_family
from keras_kd.students.families.blocks import conv_norm
from keras_kd.students.scaling import scaled


def convnet(
    input_shape: Sequence[int | None],
    num_classes: int,
    width: float = 1.0,
    filters: Sequence[int] = (32, 64, 128),
    convs_per_stage: int = 2,
) -> keras.Model:
    """A small VGG-like network: stages of conv-BN-ReLU, ending in logits.

    The first choice for images of 8x8 to 64x64 pixels, and the plainest
    student for a converter: 3x3 convolutions, pooling and one dense layer.
    Each stage after the first halves height and width; global average
    pooling allows any input size. For more than about eight layers take a
    `resnet`, whose shortcuts make it easier to train.

    Reference: Simonyan and Zisserman 2015 (arXiv 1409.1556), with batch
    normalization, and with global pooling instead of their dense layers.

    Args:
        input_shape: `(height, width, channels)`; height and width may be
            None.
        num_classes: Units of the head.
        width: Multiplier of `filters`, greater than 0.
        filters: Channels of each stage, before `width`.
        convs_per_stage: Convolutions in each stage, at least 1.

    Shapes:
        input: `(batch, height, width, channels)`.
        output: `(batch, num_classes)`, logits.

    Returns:
        An untrained model named `convnet`. `stage_1`, `stage_2`, ... are the
        outputs of the stages before pooling (after the ReLU), `pool` the
        pooled features, `logits` the head.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range.

    Example:
    >>> import keras_kd
    >>> model = keras_kd.students.convnet((8, 8, 1), 10, width=0.25)
    >>> model.count_params()
    18706
    """
    shape = check_family("students.convnet", input_shape, num_classes, width)
    if not isinstance(filters, (tuple, list)) or not filters:
        raise TypeError(
            requirement(
                "students.convnet",
                "filters",
                "a list with the channels of at least one stage",
                filters,
            )
        )
    for count in filters:
        check_integer("students.convnet", "filters", count, low=1)
    check_integer("students.convnet", "convs_per_stage", convs_per_stage, low=1)

    inputs = keras.Input(shape, name="input")
    x = inputs
    for stage, count in enumerate(filters, start=1):
        if stage > 1:
            x = layers.MaxPooling2D(
                padding="same", name=f"stage_{stage}_downsample"
            )(x)
        for number in range(1, convs_per_stage + 1):
            name = f"stage_{stage}_{number}"
            last = number == convs_per_stage
            x = conv_norm(
                x,
                scaled(count, width),
                name,
                relu=f"stage_{stage}" if last else f"{name}_relu",
            )
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="convnet")
