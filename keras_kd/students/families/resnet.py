"""Residual networks for small images, as the distillation papers use them."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_kd.students.families.blocks import blocks_per_stage
from keras_kd.students.families.blocks import check_family
from keras_kd.students.families.blocks import conv_norm
from keras_kd.students.scaling import scaled


def resnet(
    input_shape: Sequence[int | None],
    num_classes: int,
    width: float = 1.0,
    depth: int = 20,
) -> keras.Model:
    """A residual network for small images, ending in logits.

    The CIFAR networks of the distillation papers: `depth` 8, 14, 20, 32, 44,
    56 or 110 at `width=1`, and their "8x4" and "32x4" at `width=4`. An
    inference takes about `0.04 * width ** 2` billion multiply-adds at depth
    20 and 32x32 pixels, in proportion to the depth.

    Three stages of `(depth - 2) / 6` blocks have `16, 32, 64` times `width`
    channels; the second and third stage halve height and width. The stem has
    16 channels, but no more than the first stage, and at least half as many
    as the first stage: 16 at width 1, 32 at width 4, as published.

    Reference: He, Zhang, Ren and Sun 2016 (arXiv 1512.03385), section 4.2,
    with the projection shortcuts (1x1 convolution and normalization) and
    widths of Tian, Krishnan and Isola 2020 (arXiv 1910.10699). Departure:
    padding is Keras's "same", which pads even sizes at the end only.

    Args:
        input_shape: `(height, width, channels)`; height and width may be
            None.
        num_classes: Units of the head.
        width: Multiplier of the channels, greater than 0.
        depth: Layers with weights, `6 n + 2` for `n` blocks per stage.

    Shapes:
        input: `(batch, height, width, channels)`.
        output: `(batch, num_classes)`, logits.

    Returns:
        An untrained model named such as `resnet20` or `resnet8x4`. `stem`,
        `stage_1`, `stage_2` and `stage_3` are the outputs for feature losses
        (after the ReLU; `stage_1_add` is before it). `stage_1_block_1` and so
        on are the outputs of the blocks inside a stage, `pool` the pooled
        features, `logits` the head.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range, or `depth` is not
            `6 n + 2`.

    Example:
    >>> import keras_kd
    >>> model = keras_kd.students.resnet((32, 32, 3), 100, depth=8, width=4)
    >>> model.name, sum(w.numpy().size for w in model.trainable_weights)
    ('resnet8x4', 1233540)
    """
    shape = check_family("students.resnet", input_shape, num_classes, width)
    published = "8, 14, 20, 32, 44, 56, 110"
    blocks = blocks_per_stage("students.resnet", depth, 2, published)

    first = scaled(16, width)
    inputs = keras.Input(shape, name="input")
    x = conv_norm(inputs, min(first, max(16, first // 2)), "stem", relu="stem")
    for stage in (1, 2, 3):
        for block in range(1, blocks + 1):
            x = _block(
                x,
                scaled(16 * 2 ** (stage - 1), width),
                strides=2 if stage > 1 and block == 1 else 1,
                name=f"stage_{stage}_block_{block}",
                output=f"stage_{stage}" if block == blocks else None,
            )
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    suffix = "" if width == 1 else f"x{width:g}"
    return keras.Model(inputs, logits, name=f"resnet{depth}{suffix}")


def _block(
    x: keras.KerasTensor,
    filters: int,
    strides: int,
    name: str,
    output: str | None,
) -> keras.KerasTensor:
    """Apply two 3x3 convolutions and a shortcut, projected if shapes differ."""
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = conv_norm(
            x, filters, f"{name}_shortcut", kernel_size=1, strides=strides
        )
    x = conv_norm(x, filters, f"{name}_1", strides=strides, relu=f"{name}_relu")
    x = conv_norm(x, filters, f"{name}_2")
    output = output or name
    x = layers.Add(name=f"{output}_add")([x, shortcut])
    return layers.ReLU(name=output)(x)
