"""Convolutional networks for texts."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement
from keras_kd.students.families.tokens import check_text
from keras_kd.students.families.tokens import token_input
from keras_kd.students.families.tokens import without_padding
from keras_kd.students.scaling import scaled

_SUBJECT = "students.text_cnn"


def text_cnn(
    input_shape: Sequence[int],
    num_classes: int,
    width: float = 1.0,
    vocabulary_size: int = 20_000,
    embedding_size: int = 300,
    kernel_sizes: Sequence[int] = (3, 4, 5),
    dropout: float = 0.5,
) -> keras.Model:
    """A convolutional text classifier, ending in logits.

    The first student to try for texts: it finds phrases of a few words that
    reveal the class, in a fraction of the time of a `text_transformer`.
    Nearly all of its parameters are in the embedding, `vocabulary_size` times
    `embedding_size`.

    Takes token ids; id 0 is padding, anywhere, and has no effect on the
    logits. There are `100 * width` filters of each kernel size; the features
    are their largest values over the text.

    Reference: Kim 2014 (arXiv 1408.5882), the CNN-rand model. Departures:
    texts are padded by half a kernel on both sides, so that every token is
    the middle of a window; the norm of the head's weights is not constrained.

    Args:
        input_shape: `(length,)`: token ids in a text, padding included.
        num_classes: Units of the head.
        width: Multiplier of the embedding and of the filters, greater than 0.
        vocabulary_size: Number of token ids, padding included.
        embedding_size: Size of a token's vector, before `width`.
        kernel_sizes: Tokens in a window of each filter, all different.
        dropout: Share of the pooled features dropped in training, at least 0
            and less than 1. Defaults to the paper's.

    Shapes:
        input: `(batch, length)`, integer token ids.
        output: `(batch, num_classes)`, logits.

    Returns:
        An untrained model named `text_cnn`. `tokens` is the embedding,
        `conv_3`, `conv_4`, ... the outputs of the filters of each kernel size
        (after the ReLU, 0 at padding), `pool` their largest values, `logits`
        the head.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range.

    Example:
    >>> import keras_kd
    >>> model = keras_kd.students.text_cnn((40,), 2, vocabulary_size=1000)
    >>> model.count_params()
    660902
    """
    length = check_text(
        _SUBJECT, input_shape, num_classes, width, vocabulary_size, dropout
    )
    check_integer(_SUBJECT, "embedding_size", embedding_size, low=1)
    _check_kernels(kernel_sizes)

    inputs, real = token_input(length)
    tokens = layers.Embedding(
        vocabulary_size,
        scaled(embedding_size, width),
        embeddings_initializer=keras.initializers.RandomUniform(-0.25, 0.25),
        name="embedding",
    )(inputs)
    tokens = without_padding(tokens, real, "tokens")
    pooled = []
    for size in kernel_sizes:
        x = layers.Conv1D(
            scaled(100, width),
            size,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"conv_{size}_relu",
        )(tokens)
        # After the ReLU, zeros at padding do not change the maximum.
        x = without_padding(x, real, f"conv_{size}")
        pooled.append(layers.GlobalMaxPooling1D(name=f"pool_{size}")(x))
    x = pooled[0]
    if len(pooled) > 1:
        x = layers.Concatenate(name="pool")(pooled)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    logits = layers.Dense(num_classes, name="logits")(x)
    return keras.Model(inputs, logits, name="text_cnn")


def _check_kernels(kernel_sizes: Sequence[int]) -> None:
    """Refuse an empty list of kernel sizes, invalid sizes and duplicates."""
    message = requirement(
        _SUBJECT,
        "kernel_sizes",
        "a list of different window sizes",
        kernel_sizes,
    )
    if not isinstance(kernel_sizes, (tuple, list)):
        raise TypeError(message)
    for size in kernel_sizes:
        check_integer(_SUBJECT, "kernel_sizes", size, low=1)
    if not kernel_sizes or len(set(kernel_sizes)) < len(kernel_sizes):
        raise ValueError(message)
