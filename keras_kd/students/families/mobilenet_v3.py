"""MobileNetV3 networks, large and small."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_kd.core.checks import check_choice
from keras_kd.students.families.blocks import check_family
from keras_kd.students.families.blocks import conv_norm
from keras_kd.students.families.blocks import halvings
from keras_kd.students.families.inverted import Block
from keras_kd.students.families.inverted import inverted_residuals
from keras_kd.students.scaling import divisible

_SUBJECT = "students.mobilenet_v3"


def _block(
    filters: int, expansion: float, kernel_size: int, marks: str, strides: int
) -> Block:
    """Return one row of table 1 or 2; `marks` holds its SE, RE and HS."""
    return Block(
        filters,
        expansion,
        strides,
        kernel_size,
        squeeze="SE" in marks,
        activation="relu" if "RE" in marks else "hard_swish",
    )


# Tables 1 and 2 of the paper, with rows of equal width grouped into stages.
# Expansions are multiples of the row's input, so that they scale with `width`.
_STAGES = {
    "large": (
        (_block(16, 1, 3, "RE", 1),),
        (_block(24, 4, 3, "RE", 2), _block(24, 3, 3, "RE", 1)),
        (
            _block(40, 3, 5, "SE RE", 2),
            _block(40, 3, 5, "SE RE", 1),
            _block(40, 3, 5, "SE RE", 1),
        ),
        (
            _block(80, 6, 3, "HS", 2),
            _block(80, 2.5, 3, "HS", 1),
            _block(80, 2.3, 3, "HS", 1),
            _block(80, 2.3, 3, "HS", 1),
        ),
        (_block(112, 6, 3, "SE HS", 1), _block(112, 6, 3, "SE HS", 1)),
        (
            _block(160, 6, 5, "SE HS", 2),
            _block(160, 6, 5, "SE HS", 1),
            _block(160, 6, 5, "SE HS", 1),
        ),
    ),
    "small": (
        (_block(16, 1, 3, "SE RE", 2),),
        (_block(24, 72 / 16, 3, "RE", 2), _block(24, 88 / 24, 3, "RE", 1)),
        (
            _block(40, 4, 5, "SE HS", 2),
            _block(40, 6, 5, "SE HS", 1),
            _block(40, 6, 5, "SE HS", 1),
        ),
        (_block(48, 3, 5, "SE HS", 1), _block(48, 3, 5, "SE HS", 1)),
        (
            _block(96, 6, 5, "SE HS", 2),
            _block(96, 6, 5, "SE HS", 1),
            _block(96, 6, 5, "SE HS", 1),
        ),
    ),
}
_HIDDEN = {"large": 1280, "small": 1024}


def mobilenet_v3(
    input_shape: Sequence[int | None],
    num_classes: int,
    width: float = 1.0,
    size: str = "small",
    stride: int | None = None,
) -> keras.Model:
    """A MobileNetV3, ending in logits.

    More accurate than a `mobilenet_v2` of the same latency on a phone's CPU,
    due to channel weights (squeeze and excite) and the hard swish. Both cost
    more in `"int8"` and on accelerators without such operators.

    Channels are multiples of 8. The stem always has 16 channels. The dense
    layer before the head keeps its units at widths below 1, as published.

    Reference: Howard et al. 2019 (arXiv 1905.02244), tables 1 and 2; other
    widths as in `keras.applications`. Departures: padding is Keras's "same",
    there is no dropout, and on small images the first strides are 1 (the
    stem's, then the next ones).

    Args:
        input_shape: `(height, width, channels)`; height and width may be
            None.
        num_classes: Units of the head.
        width: Multiplier of the channels, greater than 0.
        size: `"small"` (2.5 million parameters at 1,000 classes) or
            `"large"` (5.5 million).
        stride: Pixels of the input in one pixel of the last feature map: 1,
            2, 4, 8, 16 or 32. Defaults to the largest that leaves 3 pixels,
            such as 32 for 224x224 and 8 for 32x32; 32 where the size is
            None. Half the stride is up to four times the computation.

    Shapes:
        input: `(batch, height, width, channels)`.
        output: `(batch, num_classes)`, logits.

    Returns:
        An untrained model named `mobilenet_v3_small` or `mobilenet_v3_large`.
        `stem` (after the activation), `stage_1` to `stage_5` or `stage_6`
        (rows of one width, without activation, as published) and `head`
        (after the activation) are the outputs for feature losses.
        `stage_2_block_1` and so on are the outputs of the blocks inside a
        stage, `pool` the pooled features, `hidden` the dense layer after
        them, `logits` the head.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range.

    Example:
    >>> import keras_kd
    >>> model = keras_kd.students.mobilenet_v3((32, 32, 3), 10, width=0.25)
    >>> sum(w.numpy().size for w in model.trainable_weights)
    255370
    """
    shape = check_family(_SUBJECT, input_shape, num_classes, width)
    check_choice(_SUBJECT, "size", size, _STAGES)
    keep = halvings(_SUBJECT, shape, stride, most=5)

    inputs = keras.Input(shape, name="input")
    x = conv_norm(
        inputs,
        16,
        "stem",
        strides=2 if keep == 5 else 1,
        relu="stem",
        activation="hard_swish",
    )
    x = inverted_residuals(x, _STAGES[size], width, keep)
    x = conv_norm(
        x,
        divisible(6 * x.shape[-1]),
        "head",
        kernel_size=1,
        relu="head",
        activation="hard_swish",
    )
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dense(
        divisible(_HIDDEN[size] * max(1, width)),
        activation="hard_swish",
        kernel_initializer="he_normal",
        name="hidden",
    )(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name=f"mobilenet_v3_{size}")
