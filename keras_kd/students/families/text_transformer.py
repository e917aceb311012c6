"""Transformer encoders for texts."""

from collections.abc import Sequence

import keras
from keras import layers

from keras_kd.core.checks import check_integer
from keras_kd.students.families.tokens import check_text
from keras_kd.students.families.tokens import token_input
from keras_kd.students.families.tokens import without_padding
from keras_kd.students.scaling import scaled

_SUBJECT = "students.text_transformer"
# Padding gets a score of -20. exp(-20) is negligible in the softmax, and the
# range of the scores stays small enough for int8 to resolve the others.
_PADDING_SCORE = 20.0


def text_transformer(
    input_shape: Sequence[int],
    num_classes: int,
    width: float = 1.0,
    vocabulary_size: int = 20_000,
    depth: int = 2,
    heads: int = 2,
    dropout: float = 0.1,
) -> keras.Model:
    """A transformer encoder with learned positions, ending in logits.

    For texts whose class depends on more than the phrases a `text_cnn` sees.
    Time and memory grow with the square of the length. Without pre-training
    it needs more texts, or a teacher's targets on unlabelled ones.

    Takes token ids; id 0 is padding, anywhere, and has no effect on the
    logits. The network has `128 * width` units and `depth` blocks. A block is
    self-attention followed by two dense layers, the first with four times as
    many units; the result of each part is added to its input and normalized.

    Reference: Devlin et al. 2019 (arXiv 1810.04805), section 3, at the sizes
    of Turc et al. 2019 (arXiv 1908.08962): BERT-Tiny is `depth=2, width=1,
    heads=2`, BERT-Mini `4, 2, 4`, BERT-Small `4, 4, 8`, BERT-Base `12, 6,
    12`. Departures, for int8: ReLU instead of GELU; BERT's pooling layer is
    applied to every token, with ReLU, and the features are the largest values
    over the tokens, where BERT takes the first token. All tokens belong to
    one segment.

    Args:
        input_shape: `(length,)`: token ids in a text, padding included.
        num_classes: Units of the head.
        width: Multiplier of 128 units, greater than 0; rounded to multiples
            of 8 times `heads`.
        vocabulary_size: Number of token ids, padding included.
        depth: Blocks, at least 1.
        heads: Attention heads, at least 1.
        dropout: Share of units dropped in training, at least 0 and less than
            1. Defaults to the paper's.

    Shapes:
        input: `(batch, length)`, integer token ids.
        output: `(batch, num_classes)`, logits.

    Returns:
        An untrained model named `text_transformer`. `tokens` is the
        normalized embedding, and `stage_1`, `stage_2`, ... are the outputs of
        the blocks, for feature losses: `(batch, length, units)`, 0 at
        padding. `stage_1_scores` is the attention after the softmax, `(batch,
        heads, length, length)`, `pool` the features, `logits` the head.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is outside its range.

    Example:
    >>> import keras_kd
    >>> model = keras_kd.students.text_transformer(
    ...     (64,), 2, width=0.25, vocabulary_size=1000
    ... )
    >>> model.count_params()
    60642
    """
    length = check_text(
        _SUBJECT, input_shape, num_classes, width, vocabulary_size, dropout
    )
    check_integer(_SUBJECT, "depth", depth, low=1)
    check_integer(_SUBJECT, "heads", heads, low=1)
    units = scaled(128, width, multiple=8 * heads)

    inputs, real = token_input(length)
    x = _embedded(inputs, real, vocabulary_size, units)
    x = layers.LayerNormalization(epsilon=1e-6, name="tokens_norm")(x)
    x = _dropped(x, dropout, "tokens")
    tokens = without_padding(x, real, "tokens")
    mask = layers.Reshape((1, 1, length), name="scores_mask")(real)
    # Not computed as `mask - 1`: if the calibration data has no padding, that
    # sum is always 0, and LiteRT aborts.
    padding = keras.ops.cast(keras.ops.equal(inputs, 0), "float32")
    padding = layers.Reshape((1, 1, length), name="padding_mask")(padding)
    lowered = layers.Rescaling(-_PADDING_SCORE, name="padding_score")(padding)
    for number in range(1, depth + 1):
        name = f"stage_{number}"
        attended = _attention(tokens, mask, lowered, heads, dropout, name)
        # Takes `x`, in which padding vectors are not 0. Normalizing a vector
        # near 0 would multiply it by up to 1000, and the range would grow so
        # much that int8 could no longer resolve the tokens.
        x = _added(x, attended, f"{name}_attention")
        hidden = _dense(4 * units, f"{name}_hidden", "relu")(x)
        hidden = _dense(units, f"{name}_output")(hidden)
        x = _added(x, _dropped(hidden, dropout, f"{name}_output"), name)
        tokens = without_padding(x, real, name)
    x = _dense(units, "pool_relu", "relu")(tokens)
    # After the ReLU, zeros at padding do not change the maximum.
    x = without_padding(x, real, "pool_real")
    x = layers.GlobalMaxPooling1D(name="pool")(x)
    x = _dropped(x, dropout, "pool")
    logits = _dense(num_classes, "logits")(x)
    return keras.Model(inputs, logits, name="text_transformer")


def _embedded(
    inputs: keras.KerasTensor,
    real: keras.KerasTensor,
    vocabulary_size: int,
    units: int,
) -> keras.KerasTensor:
    """Add up the vectors of the tokens and of their positions.

    Positions count tokens, not padding: the first token has position 0
    wherever it stands.
    """
    steps = keras.ops.cast(real, "int32")
    positions = keras.ops.subtract(keras.ops.cumsum(steps, axis=1), steps)
    return layers.Add(name="tokens_add")(
        [
            layers.Embedding(
                vocabulary_size,
                units,
                embeddings_initializer=_initializer(),
                name="embedding",
            )(inputs),
            layers.Embedding(
                inputs.shape[1],
                units,
                embeddings_initializer=_initializer(),
                name="position",
            )(positions),
        ]
    )


def _attention(
    x: keras.KerasTensor,
    mask: keras.KerasTensor,
    lowered: keras.KerasTensor,
    heads: int,
    dropout: float,
    name: str,
) -> keras.KerasTensor:
    """Apply self-attention, built from layers that int8 and `shrink` know."""
    length, units = x.shape[1:]

    def split(what: str, order: tuple[int, int, int]) -> keras.KerasTensor:
        part = _dense(units, f"{name}_{what}")(x)
        part = layers.Reshape(
            (length, heads, units // heads), name=f"{name}_{what}_heads"
        )(part)
        return layers.Permute(order, name=f"{name}_{what}_permute")(part)

    query, key = split("query", (2, 1, 3)), split("key", (2, 3, 1))
    query = layers.Rescaling((units // heads) ** -0.5, name=f"{name}_scale")(
        query
    )
    scores = keras.ops.matmul(query, key)
    scores = layers.Multiply(name=f"{name}_scores_real")([scores, mask])
    scores = layers.Add(name=f"{name}_scores_masked")([scores, lowered])
    scores = layers.Softmax(name=f"{name}_scores")(scores)
    scores = _dropped(scores, dropout, f"{name}_scores")
    x = keras.ops.matmul(scores, split("value", (2, 1, 3)))
    x = layers.Permute((2, 1, 3), name=f"{name}_permute")(x)
    x = layers.Reshape((length, units), name=f"{name}_joined")(x)
    x = _dense(units, f"{name}_projection")(x)
    return _dropped(x, dropout, f"{name}_projection")


def _added(
    x: keras.KerasTensor, branch: keras.KerasTensor, name: str
) -> keras.KerasTensor:
    """Add a branch to its shortcut and normalize the sum."""
    x = layers.Add(name=f"{name}_add")([x, branch])
    return layers.LayerNormalization(epsilon=1e-6, name=f"{name}_norm")(x)


def _dropped(
    x: keras.KerasTensor, dropout: float, name: str
) -> keras.KerasTensor:
    if not dropout:
        return x
    return layers.Dropout(dropout, name=f"{name}_dropout")(x)


def _dense(
    units: int, name: str, activation: str | None = None
) -> layers.Dense:
    return layers.Dense(
        units,
        activation=activation,
        kernel_initializer=_initializer(),
        name=name,
    )


def _initializer() -> keras.initializers.Initializer:
    """Return a new initializer: layers that share one would start alike."""
    return keras.initializers.TruncatedNormal(stddev=0.02)
