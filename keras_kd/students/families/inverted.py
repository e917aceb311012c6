"""The inverted residual block of both MobileNets."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
from keras import layers

from keras_kd.students.families.blocks import conv_norm
from keras_kd.students.families.blocks import depthwise_norm
from keras_kd.students.scaling import divisible


@dataclass(frozen=True)
class Block:
    """One block of a MobileNet.

    Args:
        filters: Channels of the result, before the width multiplier.
        expansion: Channels inside, as a multiple of the input's.
        strides: 1, or 2 to halve height and width.
        kernel_size: Pixels of the depthwise kernel.
        squeeze: Whether to weight the channels (squeeze and excite).
        activation: `"relu"`, `"relu6"` or `"hard_swish"`.
    """

    filters: int
    expansion: float
    strides: int = 1
    kernel_size: int = 3
    squeeze: bool = False
    activation: str = "relu6"


def inverted_residuals(
    x: keras.KerasTensor,
    stages: Sequence[Sequence[Block]],
    width: float,
    keep: int,
) -> keras.KerasTensor:
    """Apply stages of blocks.

    The blocks' outputs are named `stage_1_block_1` and so on, and the last one
    of each stage `stage_1`.

    Args:
        x: Images.
        stages: The blocks of each stage.
        width: Multiplier of their channels.
        keep: How many strides of 2 to keep, counted from the end.
    """
    strided = sum(block.strides == 2 for stage in stages for block in stage)
    for number, stage in enumerate(stages, start=1):
        for index, block in enumerate(stage, start=1):
            strides = 1
            if block.strides == 2:
                strides = 2 if strided <= keep else 1
                strided -= 1
            last = index == len(stage)
            name = f"stage_{number}_block_{index}"
            output = f"stage_{number}" if last else name
            x = _inverted_residual(x, block, width, strides, name, output)
    return x


def _inverted_residual(
    x: keras.KerasTensor,
    block: Block,
    width: float,
    strides: int,
    name: str,
    output: str,
) -> keras.KerasTensor:
    """Expand, filter each channel, project without activation, and add."""
    shortcut, filters = x, divisible(width * block.filters)
    if block.expansion != 1:
        x = conv_norm(
            x,
            divisible(x.shape[-1] * block.expansion),
            f"{name}_expand",
            kernel_size=1,
            relu=f"{name}_expand_relu",
            activation=block.activation,
        )
    x = depthwise_norm(
        x,
        name,
        block.kernel_size,
        strides,
        relu=f"{name}_relu",
        activation=block.activation,
    )
    if block.squeeze:
        x = _weighted(x, name)
    # Decided by the published stride: a block whose stride was removed gets no
    # shortcut.
    added = block.strides == 1 and shortcut.shape[-1] == filters
    x = conv_norm(x, filters, f"{name}_project", kernel_size=1)
    if added:
        return layers.Add(name=output)([shortcut, x])
    return layers.Identity(name=output)(x)


def _weighted(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Multiply each channel by a weight from 0 to 1 (squeeze and excite)."""
    channels = x.shape[-1]
    weights = layers.GlobalAveragePooling2D(
        keepdims=True, name=f"{name}_squeeze"
    )(x)
    weights = layers.Conv2D(
        divisible(channels / 4),
        1,
        activation="relu",
        kernel_initializer="he_normal",
        name=f"{name}_reduce",
    )(weights)
    weights = layers.Conv2D(
        channels, 1, activation="hard_sigmoid", name=f"{name}_excite"
    )(weights)
    return layers.Multiply(name=f"{name}_weighted")([x, weights])
