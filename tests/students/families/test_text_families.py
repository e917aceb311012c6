"""The text families: sizes, arithmetic, padding, arguments."""

import keras
import numpy as np
import pytest

from keras_kd import export
from keras_kd.students import text_cnn
from keras_kd.students import text_transformer

IDS = np.array([[5, 3, 8, 1, 0, 0, 0], [2, 9, 9, 4, 7, 3, 6]], "int32")


# Parameters of google-research/bert's small models, as KerasHub lists them
# for bert_tiny, bert_small and bert_medium_en_uncased.
@pytest.mark.parametrize(
    ("depth", "width", "heads", "published"),
    [
        (2, 1, 2, 4_385_920),
        pytest.param(4, 4, 8, 28_763_648, marks=pytest.mark.slow),
        pytest.param(8, 4, 8, 41_373_184, marks=pytest.mark.slow),
    ],
)
def test_transformers_have_the_published_sizes(depth, width, heads, published):
    model = text_transformer(
        (512,), 3, width=width, vocabulary_size=30_522, depth=depth, heads=heads
    )
    segments, head = 2 * 128 * width, (128 * width + 1) * 3
    assert model.count_params() == published - segments + head


def test_text_cnn_parameters_equal_the_closed_form():
    # Kim 2014: 300-dimensional vectors, windows of 3, 4, 5 with 100 filters;
    # table 1: the movie reviews have 18,765 words.
    model = text_cnn((56,), 2, vocabulary_size=18_765)
    convolutions = (3 + 4 + 5) * 300 * 100 + 3 * 100
    assert model.count_params() == 18_765 * 300 + convolutions + 301 * 2


def test_text_cnn_equals_its_restatement():
    model = text_cnn((7,), 3, width=0.05, vocabulary_size=10)
    weights = randomized(model)
    real = (IDS > 0)[..., None]
    tokens = weights["embedding/embeddings"][IDS] * real
    pooled = []
    for size in (3, 4, 5):
        kernel = weights[f"conv_{size}_relu/kernel"]
        before = (size - 1) // 2
        padded = np.pad(tokens, ((0, 0), (before, size - 1 - before), (0, 0)))
        windows = np.stack([padded[:, i : i + size] for i in range(7)], axis=1)
        values = np.einsum("ntkc,kcf->ntf", windows, kernel)
        values = np.maximum(values + weights[f"conv_{size}_relu/bias"], 0)
        pooled.append(np.where(real, values, -np.inf).max(axis=1))
    x = np.concatenate(pooled, axis=1)
    logits = x @ weights["logits/kernel"] + weights["logits/bias"]
    np.testing.assert_allclose(model(IDS, training=False), logits, rtol=1e-4)


def test_text_transformer_equals_its_restatement():
    model = text_transformer((7,), 3, width=0.25, vocabulary_size=10, depth=2)
    weights = randomized(model)
    real = IDS > 0

    def dense(x, name):
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    def normalized(x, name):
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-6)
        return x * weights[f"{name}/gamma"] + weights[f"{name}/beta"]

    def attention(x, name):
        heads = []
        for part in (slice(0, 16), slice(16, 32)):
            query, key, value = (
                dense(x, f"{name}_{what}")[..., part]
                for what in ("query", "key", "value")
            )
            scores = query @ key.swapaxes(1, 2) / 4
            scores = np.where(real[:, None], scores, -np.inf)
            shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
            shares /= shares.sum(axis=-1, keepdims=True)
            heads.append(shares @ value)
        return dense(np.concatenate(heads, axis=-1), f"{name}_projection")

    x = weights["embedding/embeddings"][IDS]
    x = x + weights["position/embeddings"][np.arange(7)]
    x = normalized(x, "tokens_norm")
    for name in ("stage_1", "stage_2"):
        x = normalized(x + attention(x, name), f"{name}_attention_norm")
        hidden = np.maximum(dense(x, f"{name}_hidden"), 0)
        x = normalized(x + dense(hidden, f"{name}_output"), f"{name}_norm")
    x = np.maximum(dense(x, "pool_relu"), 0)
    x = np.where(real[..., None], x, -np.inf).max(axis=1)
    np.testing.assert_allclose(
        model(IDS, training=False), dense(x, "logits"), rtol=1e-4, atol=1e-5
    )


def randomized(model):
    """Give all weights random values; return them by path, in float64."""
    generator = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(generator.normal(0, 0.3, weight.shape))
    return {w.path: w.numpy().astype("float64") for w in model.weights}


@pytest.mark.parametrize("family", [text_cnn, text_transformer])
def test_padding_anywhere_has_no_effect(family):
    model = family((7,), 3, width=0.25, vocabulary_size=10)
    randomized(model)
    text = [5, 3, 8]
    alike = np.array(
        [[*text, 0, 0, 0, 0], [0, 0, 0, 0, *text], [0, 0, *text, 0, 0]]
    )
    first, *others = model(alike, training=False).numpy()
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-5, atol=1e-5)
    swapped = model(alike[:1, [1, 0, 2, 3, 4, 5, 6]], training=False).numpy()
    assert np.abs(swapped - first).max() > 1e-3


@pytest.mark.parametrize("family", [text_cnn, text_transformer])
def test_a_text_of_padding_alone_gives_numbers(family):
    model = family((7,), 3, width=0.25, vocabulary_size=10)
    assert np.isfinite(model(np.zeros((2, 7), "int32"))).all()


def test_the_layers_of_a_text_transformer_can_be_tapped():
    model = text_transformer((7,), 3, width=0.25, vocabulary_size=10)
    names = ("tokens", "stage_1", "stage_2", "stage_2_scores", "pool")
    taps = [model.get_layer(name).output for name in names]
    outputs = keras.Model(model.input, taps)(IDS, training=False)
    shapes = [tuple(output.shape[1:]) for output in outputs]
    assert shapes == [(7, 32), (7, 32), (7, 32), (2, 7, 7), (32,)]
    for output in outputs[:3]:
        assert not output.numpy()[0, 4:].any()
    # No attention goes to padding.
    assert outputs[3].numpy()[0, :, :, 4:].max() < 1e-8
    assert outputs[3].numpy().sum(axis=-1) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("family", [text_cnn, text_transformer])
def test_they_compute_in_mixed_precision(family):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = family((7,), 3, width=0.25, vocabulary_size=10)
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(model(IDS).numpy().astype("float32")).all()


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: text_cnn((7, 2), 3), ValueError, r"\(length,\).*\(7, 2\)"),
        (lambda: text_cnn((None,), 3), ValueError, r"such as \(64,\)"),
        (lambda: text_cnn(7, 3), TypeError, "input_shape=7"),
        (
            lambda: text_cnn((7,), 3, vocabulary_size=1),
            ValueError,
            "vocabulary_size=1",
        ),
        (
            lambda: text_cnn((7,), 3, embedding_size=0),
            ValueError,
            "embedding_size=0",
        ),
        (lambda: text_cnn((7,), 3, kernel_sizes=3), TypeError, "a list"),
        (lambda: text_cnn((7,), 3, kernel_sizes=()), ValueError, "a list"),
        (
            lambda: text_cnn((7,), 3, kernel_sizes=(3, 3)),
            ValueError,
            "different",
        ),
        (lambda: text_cnn((7,), 3, dropout=1), ValueError, "less than 1"),
        (lambda: text_transformer((7,), 3, depth=0), ValueError, "depth=0"),
        (lambda: text_transformer((7,), 3, heads=0), ValueError, "heads=0"),
        (
            lambda: text_transformer((7,), 3, heads=2.5),
            TypeError,
            "heads=2.5",
        ),
        (
            lambda: text_transformer((7,), 3, dropout=-1),
            ValueError,
            "dropout=-1",
        ),
    ],
)
def test_bad_arguments(build, error, message):
    with pytest.raises(error, match=message):
        build()


@pytest.mark.slow
@pytest.mark.export
def test_int8_calibrated_without_padding(tmp_path):
    """LiteRT aborts where a score of padding is a sum that is always 0."""
    keras.utils.set_random_seed(0)
    model = text_transformer((7,), 3, width=0.25, vocabulary_size=10, depth=1)
    tokens = np.random.default_rng(0).integers(1, 10, (60, 7)).astype("int32")
    path = tmp_path / "x.tflite"
    assert export.tflite(model, path, "int8", tokens, verify=tokens).passed
