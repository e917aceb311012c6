"""MobileNetV2 networks."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_kd.students.families.blocks import check_family
from keras_kd.students.families.blocks import conv_norm
from keras_kd.students.families.blocks import halvings
from keras_kd.students.families.inverted import Block
from keras_kd.students.families.inverted import inverted_residuals
from keras_kd.students.scaling import divisible

_SUBJECT = "students.mobilenet_v2"
# Table 2 of the paper: expansion t, channels c, blocks n, stride s.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(
    input_shape: Sequence[int | None],
    num_classes: int,
    width: float = 1.0,
    stride: int | None = None,
) -> keras.Model:
    """A MobileNetV2, ending in logits.

    The usual student for phones: it has many layers with few weights, and
    every accelerator runs its files. Its narrow depthwise layers lose more
    accuracy in `"int8"` than the convolutions of a `resnet`. `mobilenet_v3`
    is more accurate at the same latency on a CPU.

    Channels are multiples of 8. The convolution before the pooling keeps its
    1,280 channels at widths below 1, as published.

    Reference: Sandler et al. 2018 (arXiv 1801.04381), table 2. Departure:
    padding is Keras's "same"; on small images the first strides are 1 (the
    stem's, then the next ones). The CIFAR networks of the distillation papers
    differ: they keep the stem's stride, go down to 2x2 pixels (`stride=16`)
    and do not round channels.

    Args:
        input_shape: `(height, width, channels)`; height and width may be
            None.
        num_classes: Units of the head.
        width: Multiplier of the channels, greater than 0.
        stride: Pixels of the input in one pixel of the last feature map: 1,
            2, 4, 8, 16 or 32. Defaults to the largest that leaves 3 pixels,
            such as 32 for 224x224 and 8 for 32x32; 32 where the size is
            None. Half the stride is up to four times the computation.

    Shapes:
        input: `(batch, height, width, channels)`.
        output: `(batch, num_classes)`, logits.

    Returns:
        An untrained model named `mobilenet_v2`. `stem` (after the ReLU),
        `stage_1` to `stage_7` (the rows of table 2, without activation, as
        published) and `head` (after the ReLU) are the outputs for feature
        losses. `stage_2_block_1` and so on are the outputs of the blocks
        inside a stage, `pool` the pooled features, `logits` the head.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range.

    Example:
    >>> import keras_kd
    >>> model = keras_kd.students.mobilenet_v2((32, 32, 3), 10, width=0.35)
    >>> sum(w.numpy().size for w in model.trainable_weights)
    408938
    """
    shape = check_family(_SUBJECT, input_shape, num_classes, width)
    keep = halvings(_SUBJECT, shape, stride, most=5)
    stages = [
        [Block(c, t, s if index == 0 else 1) for index in range(n)]
        for t, c, n, s in _STAGES
    ]

    inputs = keras.Input(shape, name="input")
    x = conv_norm(
        inputs,
        divisible(32 * width),
        "stem",
        strides=2 if keep == 5 else 1,
        relu="stem",
        activation="relu6",
    )
    x = inverted_residuals(x, stages, width, keep)
    x = conv_norm(
        x,
        divisible(1280 * max(1, width)),
        "head",
        kernel_size=1,
        relu="head",
        activation="relu6",
    )
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="mobilenet_v2")
