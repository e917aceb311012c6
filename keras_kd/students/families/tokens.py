"""What the text families share: token ids in, padding left out."""

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
    """Check what every text family takes; return the length of the texts.

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
    """Make the input, and what is 1 where a token is and 0 where padding is.

    The mask is a tensor of its own: Keras's implicit one would reach the
    softmax as -1e9, next to which all int8 scores are zero.
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
