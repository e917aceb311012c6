"""Models of other people: every structure, with every output, to every file.

The smallest models that tell structures, outputs, kinds of output, live and
cached teachers and kinds of file apart. By default each structure meets each
arrangement of outputs, and every kind of output one of them; with
KERAS_KD_EXHAUSTIVE=1 each meets all.
"""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from exhaustive import rest_when_asked
from keras import layers

import keras_kd
from keras_kd import export

pytestmark = [pytest.mark.export, pytest.mark.slow]

COUNT = 24
SHAPE = (8, 8, 2)
GENERATOR = np.random.default_rng(0)
IMAGES = GENERATOR.normal(size=(2, COUNT, *SHAPE)).astype("float32")
CLASSES = GENERATOR.integers(0, 3, COUNT)
LABELS = GENERATOR.integers(0, 2, (COUNT, 4)).astype("float32")
NUMBERS = GENERATOR.normal(size=(COUNT, 3)).astype("float32")
BINARY = keras.losses.BinaryCrossentropy(from_logits=True)
SPARSE = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
# The layers of a head, the loss, the labels.
KINDS = {
    "classes": (lambda: [layers.Dense(3)], SPARSE, CLASSES),
    "binary": (lambda: [layers.Dense(1)], BINARY, LABELS[:, :1]),
    "labels": (lambda: [layers.Dense(4)], BINARY, LABELS),
    "numbers": (lambda: [layers.Dense(3)], "mse", NUMBERS),
    "embedding": (
        lambda: [layers.Dense(3), layers.UnitNormalization()],
        keras.losses.CosineSimilarity(),
        NUMBERS,
    ),
    "per-pixel": (
        lambda: [layers.Conv2D(3, 1)],
        SPARSE,
        GENERATOR.integers(0, 3, (COUNT, *SHAPE[:2])),
    ),
}


def flat(width):
    image = keras.Input(SHAPE, name="image")
    return image, layers.Conv2D(width, 3, padding="same", activation="relu")(
        image
    )


def nested(width):
    inner, features = flat(width)
    features = layers.BatchNormalization()(features)
    backbone = keras.Model(inner, features, name="backbone")
    image = keras.Input(SHAPE, name="image")
    return image, backbone(layers.Rescaling(0.5)(image))


def shared(width):
    """Two images through the same layers."""
    branch = keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.Conv2D(width, 3, padding="same", activation="relu"),
        ]
    )
    images = [keras.Input(SHAPE, name=name) for name in ("left", "right")]
    return images, layers.Concatenate()([branch(image) for image in images])


STRUCTURES = {"flat": flat, "nested": nested, "shared": shared}


def arranged(values, outputs):
    """Return one value, or two of them in a list or a dict."""
    if outputs == "one":
        return values[0]
    if outputs == "list":
        return values
    return dict(zip(("first-head", "second"), values, strict=True))


def model(structure, outputs, kind, width):
    inputs, features = STRUCTURES[structure](width)
    heads = []
    for _ in range(1 if outputs == "one" else 2):
        head = features
        if kind != "per-pixel":
            head = layers.GlobalAveragePooling2D()(head)
        for layer in KINDS[kind][0]():
            head = layer(head)
        heads.append(head)
    if structure == "shared" and outputs == "dict":
        inputs = {tensor.name: tensor for tensor in inputs}
    return keras.Model(inputs, arranged(heads, outputs))


def examples(model):
    """Return the inputs as `tf.data` takes them."""
    if isinstance(model.input, dict):
        return dict(zip(("left", "right"), IMAGES, strict=True))
    return tuple(IMAGES) if isinstance(model.input, list) else IMAGES[0]


def trained(teacher, student, data, loss):
    keras.utils.set_random_seed(1)
    distiller = keras_kd.Distiller(teacher, student, alpha=0.5)
    optimizer = keras.optimizers.Adam(0.01)
    distiller.compile(optimizer, loss=loss, run_eagerly=True)
    distiller.fit(data, epochs=2, verbose=0)
    return distiller.student


EVERY = list(itertools.product(STRUCTURES, ["one", "list", "dict"], KINDS))
PAIRS = [
    (structure, outputs, [*KINDS][(4 * i + j) % 6])
    for i, structure in enumerate(STRUCTURES)
    for j, outputs in enumerate(["one", "list", "dict"])
]


@pytest.mark.parametrize(
    ("structure", "outputs", "kind"), rest_when_asked(EVERY, PAIRS)
)
def test_from_teacher_to_files(structure, outputs, kind, tmp_path):
    teacher = model(structure, outputs, kind, 8)
    live, cached = (model(structure, outputs, kind, 4) for _ in range(2))
    cached.set_weights(live.get_weights())
    x = examples(live)
    targets = (KINDS[kind][2], KINDS[kind][2][::-1].copy())
    y = arranged(targets, outputs)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    inputs = data.map(lambda x, y: (x,))

    loss = arranged([KINDS[kind][1]] * 2, outputs)
    # As somebody trained it: the loss says what the outputs are.
    teacher.compile("sgd", loss=loss)
    trained(teacher, live, data, loss)
    cache = keras_kd.TeacherCache.build(
        tmp_path / "cache", teacher, inputs, dtype="float32", verbose=0
    )
    trained(cache, cached, cache.join(data), loss)
    for one, other in zip(
        live.get_weights(), cached.get_weights(), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)

    paths = {name: tmp_path / f"{name}.tflite" for name in ("float32", "int8")}
    files = export.tflite_files(live, paths, calibration=inputs, verify=inputs)
    assert all(result.passed for result in files.values())
    assert files["int8"].weight_dtypes.get("float32", 0) == 0
    assert export.onnx(live, tmp_path / "x.onnx", verify=inputs).passed

    aware = keras_kd.quantization.quantize_aware(live)
    trained(teacher, aware, data, loss)
    result = export.tflite(aware, tmp_path / "a.tflite", "int8", verify=inputs)
    assert result.passed
    # Exact: no value is a step off.
    assert result.max_abs_difference <= 0.004 * result.output_range
