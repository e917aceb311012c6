"""ShuffleNetV2 networks."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_kd.students.families.blocks import check_family
from keras_kd.students.families.blocks import conv_norm
from keras_kd.students.families.blocks import depthwise_norm
from keras_kd.students.families.blocks import halvings
from keras_kd.students.scaling import scaled

_SUBJECT = "students.shufflenet_v2"
# Channels of stage 1 in table 5 of the paper; stages 2 and 3 have twice and
# four times as many.
_PUBLISHED = {0.5: 48, 1.0: 116, 1.5: 176, 2.0: 244}


def shufflenet_v2(
    input_shape: Sequence[int | None],
    num_classes: int,
    width: float = 1.0,
    stride: int | None = None,
) -> keras.Model:
    """A ShuffleNetV2, ending in logits.

    Between `mobilenet_v2` and `mobilenet_v3` in size and accuracy. It has no
    additions: half of the channels pass each block unchanged, which suits
    memory-bound CPUs. The stem has 24 channels at every width. The
    convolution before the pooling has 1,024 channels below width 2 and `1024
    * width` from width 2 on, as published.

    Reference: Ma et al. 2018 (arXiv 1807.11164), table 5; widths that are not
    in the table scale the 116 channels of the 1x column. Departures: the
    shuffle and the split after it are one step here, into the even and the
    odd channels, which mixes the two halves just as well and is a single
    operator on devices; padding is Keras's "same"; on small images the
    stem's stride and then the max pooling are left out, as in the CIFAR
    network of the distillation papers (whose stem has a 1x1 kernel).

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
        An untrained model named `shufflenet_v2`. `stem`, `stage_1`,
        `stage_2`, `stage_3` and `head` are the outputs for feature losses
        (after the ReLU). `stage_1_block_1` and so on are the outputs of the
        blocks inside a stage, `pool` the pooled features, `logits` the head.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range.

    Example:
    >>> import keras_kd
    >>> model = keras_kd.students.shufflenet_v2((32, 32, 3), 10, width=0.5)
    >>> sum(w.numpy().size for w in model.trainable_weights)
    352042
    """
    shape = check_family(_SUBJECT, input_shape, num_classes, width)
    keep = halvings(_SUBJECT, shape, stride, most=5)
    first = _PUBLISHED.get(float(width)) or scaled(116, width, multiple=2)

    inputs = keras.Input(shape, name="input")
    x = conv_norm(inputs, 24, "stem", strides=_kept(keep, 5), relu="stem")
    if keep >= 4:
        x = layers.MaxPooling2D(3, 2, padding="same", name="stem_downsample")(x)
    for stage, blocks in enumerate((4, 8, 4), start=1):
        for block in range(1, blocks + 1):
            name = f"stage_{stage}_block_{block}"
            x = _block(
                x,
                first * 2 ** (stage - 1) // 2,
                strides=_kept(keep, 4 - stage),
                name=name,
                output=f"stage_{stage}" if block == blocks else name,
            )
    last = 1024 if width < 2 else round(1024 * width)
    x = conv_norm(x, last, "head", kernel_size=1, relu="head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="shufflenet_v2")


def _kept(keep: int, number: int) -> int:
    """Return the stride of the `number`-th strided step from the end."""
    return 2 if keep >= number else 1


def _block(
    x: keras.KerasTensor,
    filters: int,
    strides: int,
    name: str,
    output: str,
) -> keras.KerasTensor:
    """Filter half of the channels and pass on the other half unchanged.

    The first block of a stage computes both halves, `filters` channels each,
    from all channels of its input.
    """
    if name.endswith("_block_1"):
        kept = depthwise_norm(x, f"{name}_left_1", strides=strides)
        kept = conv_norm(
            kept, filters, f"{name}_left_2", 1, relu=f"{name}_left_2_relu"
        )
    else:
        kept, x = x[..., ::2], x[..., 1::2]
        strides = 1
    x = conv_norm(x, filters, f"{name}_1", 1, relu=f"{name}_1_relu")
    x = depthwise_norm(x, f"{name}_2", strides=strides)
    x = conv_norm(x, filters, f"{name}_3", 1, relu=f"{name}_3_relu")
    return layers.Concatenate(name=output)([kept, x])
