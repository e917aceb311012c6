"""Wide residual networks for small images."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_kd.students.families.blocks import blocks_per_stage
from keras_kd.students.families.blocks import check_family
from keras_kd.students.families.blocks import convolution
from keras_kd.students.families.blocks import normalized
from keras_kd.students.scaling import scaled

_SUBJECT = "students.wide_resnet"


def wide_resnet(
    input_shape: Sequence[int | None],
    num_classes: int,
    width: float = 1.0,
    depth: int = 16,
) -> keras.Model:
    """A wide residual network for small images, ending in logits.

    WRN-`depth`-`width`: the paper's WRN-40-2 is `depth=40, width=2`. At equal
    size it is shallower and wider than a `resnet`, and faster to train. Its
    activations come before the convolutions, those of a `resnet` after the
    additions. That costs a little on devices: not every batch normalization
    can be folded into a convolution.

    A stem of 16 channels is followed by three stages of `(depth - 4) / 6`
    blocks, with `16, 32, 64` times `width` channels. The second and third
    stage halve height and width.

    Reference: Zagoruyko and Komodakis 2016 (arXiv 1605.07146), table 1, with
    B(3, 3) blocks and no dropout. Departure: padding is Keras's "same",
    which pads even sizes at the end only.

    Args:
        input_shape: `(height, width, channels)`; height and width may be
            None.
        num_classes: Units of the head.
        width: Multiplier of the channels, greater than 0: the paper's k.
        depth: Layers with weights, `6 n + 4` for `n` blocks per stage.

    Shapes:
        input: `(batch, height, width, channels)`.
        output: `(batch, num_classes)`, logits.

    Returns:
        An untrained model named such as `wide_resnet40x2`. `stage_1`,
        `stage_2` and `stage_3` are the outputs for feature losses: the sums,
        before the next ReLU, as Zagoruyko and Komodakis use them for
        attention transfer. `stage_1_block_1` and so on are the sums inside a
        stage, `relu` the last activation, `pool` the pooled features,
        `logits` the head.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range, or `depth` is not
            `6 n + 4`.

    Example:
    >>> import keras_kd
    >>> model = keras_kd.students.wide_resnet((32, 32, 3), 100, width=2)
    >>> model.name, sum(w.numpy().size for w in model.trainable_weights)
    ('wide_resnet16x2', 703284)
    """
    shape = check_family(_SUBJECT, input_shape, num_classes, width)
    published = "10, 16, 22, 28, 34, 40"
    blocks = blocks_per_stage(_SUBJECT, depth, 4, published)

    inputs = keras.Input(shape, name="input")
    x = convolution(inputs, 16, "stem")
    for stage in (1, 2, 3):
        for block in range(1, blocks + 1):
            x = _block(
                x,
                scaled(16 * 2 ** (stage - 1), width),
                strides=2 if stage > 1 and block == 1 else 1,
                name=f"stage_{stage}_block_{block}",
                output=f"stage_{stage}" if block == blocks else None,
            )
    x = normalized(x, "head", relu="relu")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name=f"wide_resnet{depth}x{width:g}")


def _block(
    x: keras.KerasTensor,
    filters: int,
    strides: int,
    name: str,
    output: str | None,
) -> keras.KerasTensor:
    """Apply two convolutions, each after its activation, and a shortcut.

    If the shapes differ, the shortcut is a 1x1 convolution of the activated
    input, which the first convolution reads too; otherwise it is the input.
    """
    activated = normalized(x, f"{name}_1", relu=f"{name}_1_relu")
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = convolution(
            activated, filters, f"{name}_shortcut", 1, strides
        )
    x = convolution(activated, filters, f"{name}_1", strides=strides)
    x = normalized(x, f"{name}_2", relu=f"{name}_2_relu")
    x = convolution(x, filters, f"{name}_2")
    return layers.Add(name=output or name)([x, shortcut])
