"""Token inputs and padding masks that the text families share."""

from typing import Any
from typing import cast

import keras
from keras import layers

from keras_kd.core.checks import check_integer
from keras_kd.students.families.blocks import check_family
from keras_kd.students.families.blocks import check_rate


def check_text(
    subject: str,
    input_shape: Any,
    num_classes: Any,
    width: Any,
    vocabulary_size: Any,
    dropout: Any,
) -> int:
    """Check the arguments of every text family; return the text length.

    Args:
        subject: Name of the family.
        input_shape: `(length,)`.
        num_classes: Units of the head.
        width: Multiplier of the widths.
        vocabulary_size: Number of token ids, padding included.
        dropout: Share of the units dropped in training.

    Raises:
        TypeError: If a value has the wrong type.
        ValueError: If a value is outside its range.
    """
    (length,) = check_family(subject, input_shape, num_classes, width, rank=1)
    check_integer(subject, "vocabulary_size", vocabulary_size, low=2)
    check_rate(subject, "dropout", dropout)
    return cast(int, length)


def token_input(length: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Make the input of token ids, and a mask: 1 at tokens, 0 at padding.

    The mask is an explicit tensor. Keras's implicit mask would add -1e9
    before the softmax, a range in which int8 rounds all other scores to zero.
    """
    inputs = keras.Input((length,), dtype="int32", name="input")
    real = keras.ops.not_equal(inputs, 0)
    return inputs, keras.ops.cast(real, "float32")


def without_padding(
    x: keras.KerasTensor, real: keras.KerasTensor, name: str
) -> keras.KerasTensor:
    """Set the vectors of padding to 0: `(batch, length, channels)`."""
    column = layers.Reshape((-1, 1), name=f"{name}_mask")(real)
    return layers.Multiply(name=name)([x, column])
