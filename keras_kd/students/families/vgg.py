"""VGG networks, as the distillation papers use them."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_kd.core.checks import check_choice
from keras_kd.students.families.blocks import check_family
from keras_kd.students.families.blocks import conv_norm
from keras_kd.students.families.blocks import halvings
from keras_kd.students.scaling import scaled

_SUBJECT = "students.vgg"
# Convolutions in each stage, by depth.
_CONVS = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


def vgg(
    input_shape: Sequence[int | None],
    num_classes: int,
    width: float = 1.0,
    depth: int = 8,
    stride: int | None = None,
) -> keras.Model:
    """A plain stack of 3x3 convolutions in five stages, ending in logits.

    The "vgg8" and "vgg13" of the distillation papers. The simplest of the
    large students, and fast for its size on every accelerator. For fewer
    stages, or other widths per stage, take a `convnet`.

    The stages have 64, 128, 256, 512 and 512 channels times `width`. Pooling
    between the stages halves height and width; on small images the last
    poolings are left out.

    Reference: Simonyan and Zisserman 2015 (arXiv 1409.1556), table 1 (A, B,
    D and E are `depth` 11, 13, 16 and 19), as changed by Tian, Krishnan and
    Isola 2020 (arXiv 1910.10699): batch normalization, global pooling and
    one dense layer instead of three. Departure: convolutions have no bias,
    because the normalization would cancel it.

    Args:
        input_shape: `(height, width, channels)`; height and width may be
            None.
        num_classes: Units of the head.
        width: Multiplier of the channels, greater than 0.
        depth: Convolutions and the head: 8, 11, 13, 16 or 19.
        stride: Pixels of the input in one pixel of the last feature map: 1,
            2, 4, 8 or 16. Defaults to the largest that leaves 3 pixels, 8
            for 32x32 as published; 16 where the size is None.

    Shapes:
        input: `(batch, height, width, channels)`.
        output: `(batch, num_classes)`, logits.

    Returns:
        An untrained model named such as `vgg8`. `stage_1` to `stage_5` are
        the outputs of the stages before pooling (after the ReLU),
        `stage_1_1_relu` and so on the other activations in a stage, `pool`
        the pooled features, `logits` the head.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range.

    Example:
    >>> import keras_kd
    >>> model = keras_kd.students.vgg((32, 32, 3), 100, width=0.25)
    >>> sum(w.numpy().size for w in model.trainable_weights)
    258292
    """
    shape = check_family(_SUBJECT, input_shape, num_classes, width)
    convs = _CONVS[check_choice(_SUBJECT, "depth", depth, _CONVS)]
    poolings = halvings(_SUBJECT, shape, stride, most=4)

    inputs = keras.Input(shape, name="input")
    x = inputs
    for stage, count in enumerate(convs, start=1):
        if 1 < stage <= poolings + 1:
            x = layers.MaxPooling2D(
                padding="same", name=f"stage_{stage}_downsample"
            )(x)
        for number in range(1, count + 1):
            name = f"stage_{stage}_{number}"
            x = conv_norm(
                x,
                scaled(min(32 * 2**stage, 512), width),
                name,
                relu=f"stage_{stage}" if number == count else f"{name}_relu",
            )
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name=f"vgg{depth}")
