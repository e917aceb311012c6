"""students.shrink of layers that hold others: attention, whole blocks."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_kd.students import shrink
from keras_kd.students.shrinking.channel_numbers import sliced

TOKENS, LENGTH = 40, 12


class Block(layers.Layer):
    """The block of the transformer examples on keras.io."""

    def __init__(self, embed_dim, num_heads, ff_dim, **kwargs):
        super().__init__(**kwargs)
        self.embed_dim, self.num_heads, self.ff_dim = (
            embed_dim,
            num_heads,
            ff_dim,
        )
        self.att = layers.MultiHeadAttention(num_heads, embed_dim // num_heads)
        self.ffn = keras.Sequential(
            [layers.Dense(ff_dim, "relu"), layers.Dense(embed_dim)]
        )
        self.norms = [layers.LayerNormalization() for _ in range(2)]

    def build(self, shape):
        self.att.build(shape, shape)
        self.ffn.build(shape)
        for norm in self.norms:
            norm.build(shape)

    def call(self, x):
        x = self.norms[0](x + self.att(x, x))
        return self.norms[1](x + self.ffn(x))

    def get_config(self):
        own = ("embed_dim", "num_heads", "ff_dim")
        return super().get_config() | {key: getattr(self, key) for key in own}


class Embed(layers.Layer):
    """Tokens and their places."""

    def __init__(self, vocabulary_size, embed_dim, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size, self.embed_dim = vocabulary_size, embed_dim
        self.tokens = layers.Embedding(vocabulary_size, embed_dim)
        self.places = layers.Embedding(LENGTH, embed_dim)

    def build(self, shape):
        self.tokens.build()
        self.places.build()

    def call(self, x):
        return self.tokens(x) + self.places(keras.ops.arange(LENGTH))

    def get_config(self):
        own = ("vocabulary_size", "embed_dim")
        return super().get_config() | {key: getattr(self, key) for key in own}


class RootMeanSquare(layers.Layer):
    """A normalization that no list of layers has."""

    def build(self, shape):
        self.scale = self.add_weight(name="scale", shape=(shape[-1],))

    def call(self, x):
        mean = keras.ops.mean(keras.ops.square(x), -1, keepdims=True)
        return x * keras.ops.rsqrt(mean + 1e-6) * self.scale


def texts(count=4):
    draw = np.random.default_rng(0)
    return draw.integers(0, TOKENS, (count, LENGTH))


def randomized(model):
    draw = np.random.default_rng(0)
    for weight in model.weights:
        if "seed" not in weight.name:
            weight.assign(draw.normal(size=weight.shape, scale=0.3))
    return model


def reader(blocks=2, embed_dim=32):
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = Embed(TOKENS, embed_dim, name="embed")(inputs)
    for number in range(1, blocks + 1):
        x = Block(embed_dim, 4, 64, name=f"block_{number}")(x)
    x = RootMeanSquare(name="norm")(x)
    return keras.Model(inputs, layers.Dense(5, name="head")(x[:, 0]))


@pytest.mark.slow
@pytest.mark.parametrize("initialize", [None, "teacher"])
def test_blocks_of_keras_io(initialize):
    teacher = randomized(reader())
    student = shrink(teacher, width=0.5, multiple=4, initialize=initialize)
    block = student.get_layer("block_1")
    assert (block.embed_dim, block.num_heads, block.ff_dim) == (16, 2, 32)
    assert student(texts()).shape == (4, 5)
    # Token and place: rows of 16; attention: 4 * (16 * 16 + 16); the two
    # dense layers; two normalizations.
    block_size = 4 * 272 + (16 * 32 + 32) + (32 * 16 + 16) + 2 * 32
    expected = 16 * (TOKENS + LENGTH) + 2 * block_size + 16 + (16 * 5 + 5)
    assert student.count_params() == expected


def test_weights_are_the_kept_part_of_the_teacher_s():
    teacher = randomized(reader(1))
    student = shrink(teacher, width=0.5, multiple=4, initialize="teacher")
    tokens, places = (
        weight.numpy() for weight in teacher.get_layer("embed").weights
    )
    # What makes the channels is both tables.
    norms = np.abs(tokens).sum(0) + np.abs(places).sum(0)
    kept = np.sort(np.argsort(-norms)[:16])
    np.testing.assert_array_equal(
        student.get_layer("embed").weights[0], tokens[:, kept]
    )
    np.testing.assert_array_equal(
        student.get_layer("norm").scale,
        teacher.get_layer("norm").scale.numpy()[kept],
    )
    np.testing.assert_array_equal(
        student.get_layer("head").kernel,
        teacher.get_layer("head").kernel.numpy()[kept],
    )
    first, new = (
        m.get_layer("block_1").ffn.layers[0] for m in (teacher, student)
    )
    units = np.flatnonzero(np.isin(first.bias.numpy(), new.bias.numpy()))
    assert len(units) == 32
    np.testing.assert_array_equal(
        new.kernel, first.kernel.numpy()[np.ix_(kept, units)]
    )


def test_at_full_width_it_is_the_teacher():
    teacher = randomized(reader())
    student = shrink(teacher, width=1.0, initialize="teacher")
    np.testing.assert_array_equal(student(texts()), teacher(texts()))


@pytest.mark.slow
def test_every_other_block_as_distilbert_does():
    teacher = randomized(reader(4))
    student = shrink(teacher, width=1.0, depth=0.5, initialize="teacher")
    blocks = [x.name for x in student.layers if isinstance(x, Block)]
    assert blocks == ["block_1", "block_4"]
    x = teacher.get_layer("embed")(texts())
    for name in (*blocks, "norm"):
        x = teacher.get_layer(name)(x)
    np.testing.assert_allclose(
        student(texts()), teacher.get_layer("head")(x[:, 0]), atol=1e-5
    )


@pytest.mark.parametrize(
    ("heads", "wide", "found"),
    [(4, 6, (2, 6)), (1, 6, (1, 4)), (3, 8, (2, 6))],
)
def test_heads_go_before_their_width(heads, wide, found):
    inputs = keras.Input((LENGTH, 10))
    attention = layers.MultiHeadAttention(heads, wide, name="attention")
    x = layers.GlobalAveragePooling1D()(attention(inputs, inputs))
    student = shrink(keras.Model(inputs, layers.Dense(3)(x)), width=0.5)
    made = student.get_layer("attention")
    assert (made.num_heads, made.key_dim) == found


def test_heads_that_say_nothing_go():
    inputs = keras.Input((LENGTH, 10))
    attention = layers.MultiHeadAttention(4, 8, name="attention")
    x = layers.Add()([inputs, attention(inputs, inputs)])
    x = layers.GlobalAveragePooling1D()(x)
    teacher = randomized(keras.Model(inputs, layers.Dense(3)(x)))
    for weight in attention.weights:
        values = weight.numpy()
        axis = list(weight.shape).index(4) if 4 in weight.shape else None
        if axis is not None:
            np.moveaxis(values, axis, 0)[[0, 2]] = 0
        weight.assign(values)
    student = shrink(teacher, width=0.5, initialize="teacher")
    assert student.get_layer("attention").num_heads == 2
    data = np.random.default_rng(0).normal(size=(5, LENGTH, 10))
    np.testing.assert_allclose(student(data), teacher(data), atol=1e-5)


def test_attention_to_another_text():
    shapes = ((LENGTH,), (7,))
    inputs = [keras.Input(shape, dtype="int32") for shape in shapes]
    first, second = (layers.Embedding(TOKENS, 24)(x) for x in inputs)
    x = layers.MultiHeadAttention(3, 8, name="attention")(first, second)
    x = layers.GlobalAveragePooling1D()(layers.Add()([first, x]))
    teacher = randomized(keras.Model(inputs, layers.Dense(3)(x)))
    student = shrink(teacher, width=0.5, multiple=4, initialize="teacher")
    # Queries and keys read the same places of both.
    query, _, key, *_ = student.get_layer("attention").weights
    assert (query.shape[0], key.shape[0]) == (12, 12)
    tables = [layer for layer in student.layers if "embedding" in layer.name]
    teacher_tables = [x for x in teacher.layers if "embedding" in x.name]
    places = [
        [
            np.flatnonzero((old.numpy() == row[:, None]).all(0)).tolist()
            for row in new.numpy().T
        ]
        for old, new in (
            (a.embeddings, b.embeddings)
            for a, b in zip(teacher_tables, tables, strict=True)
        )
    ]
    assert places[0] == places[1]


class Liar(Block):
    """Built at once, whatever comes later; and tells its shape untraced."""

    def __init__(self, embed_dim, num_heads, ff_dim, width=32, **kwargs):
        super().__init__(embed_dim, num_heads, ff_dim, **kwargs)
        self.width = width
        self.build((None, LENGTH, width))
        self.built = True

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return super().get_config() | {"width": self.width}


class Forgetful(Block):
    """Its config does not tell how it was made."""

    def __init__(self, *args, extra=False, **kwargs):
        super().__init__(*args, **kwargs)
        if extra:
            self.more = self.add_weight(name="more", shape=(3,))


class Unwritten(Block):
    """A config that nobody ever asked for."""

    def get_config(self):
        return {"heads": self.heads}


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (lambda: Liar(32, 4, 64), "`liar` .* cannot: "),
        (lambda: Forgetful(32, 4, 64, extra=True), "has 16 weights, not 17"),
        (lambda: Unwritten(32, 4, 64), "no attribute 'heads'"),
    ],
    ids=["liar", "forgetful", "unwritten"],
)
def test_no_broken_student(block, message):
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = block()(Embed(TOKENS, 32)(inputs))
    teacher = keras.Model(inputs, layers.Dense(5)(x[:, 0]))
    with pytest.raises(ValueError, match=message) as caught:
        shrink(teacher, width=0.5)
    assert "rules={" in str(caught.value)


def test_what_is_quantized_inside():
    teacher = reader(1)
    teacher.get_layer("block_1").ffn.layers[0].quantize("int8")
    with pytest.raises(ValueError, match="`block_1` .* is quantized"):
        shrink(teacher, width=0.5)


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ((slice(None), 0), (3,)),
        ((Ellipsis, slice(None)), (1, 3)),
        ((slice(None), slice(0, 2)), (1, 3)),
        ((slice(None), slice(None), 0), None),
        ((0,), None),
    ],
)
def test_channels_of_a_part(key, shape):
    inputs = keras.Input((4, 3))
    result = inputs[key]
    labels = np.arange(1, 4)[None]
    operation = result._keras_history.operation
    found = sliced(operation, [inputs], [labels], result)
    assert (None if found is None else found.shape) == shape
