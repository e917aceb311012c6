"""Nested and shared models, operators and augmentation, made quantize-aware."""

import keras
import numpy as np
import pytest
from aware_files import fed
from aware_files import file_apart
from exhaustive import when_asked
from keras import layers
from keras import ops

from keras_kd import export
from keras_kd.core.taps import Tap
from keras_kd.quantization import quantize_aware
from keras_kd.quantization.layers.neighbours import known_grids
from keras_kd.quantization.layers.weighted import QuantizedKernel
from keras_kd.quantization.layers.weightless import RoundsAsFile

RNG = np.random.default_rng(0)
BYTES = RNG.uniform(0, 255, (40, 12, 12, 3)).astype("float32")
IMAGES = BYTES / 127.5 - 1


def backbone(size=12, channels=3):
    """A block whose last normalization and activation the file fuses."""
    inputs = keras.Input((size, size, channels))
    x = layers.Conv2D(6, 3, name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="relu")(x)
    return keras.Model(inputs, layers.Conv2D(6, 3, name="end")(x), name="body")


def transfer(training=None, operators=False):
    """The backbone behind augmentation and scaling, a head behind it."""
    inputs = keras.Input((12, 12, 3), name="image")
    x = layers.RandomFlip(name="flip")(inputs)
    if operators:
        x = x / 127.5 - 1
    else:
        x = layers.Rescaling(1 / 127.5, -1.0, name="scaled")(x)
    x = backbone()(x, training=training)
    x = layers.ReLU(name="after")(layers.BatchNormalization(name="bn")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(3, name="logits")(x))


def siamese():
    tower = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            layers.Conv2D(4, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.Dense(8, name="embedding"),
        ],
        name="tower",
    )
    pair = [keras.Input((12, 12, 3), name=name) for name in ("left", "right")]
    first, second = (tower(one) for one in pair)
    joined = layers.Concatenate()([ops.abs(first - second), first * second])
    return keras.Model(pair, layers.Dense(2, name="logits")(joined))


def test_what_is_rounded_does_not_end_at_an_inner_model():
    model = quantize_aware(transfer())
    for name in ("scaled", "conv", "end", "pool", "logits"):
        assert known_grids(model.get_layer(name)) is not None
    # The normalizations inside and behind the inner model are folded.
    assert model.get_layer("conv").norm.name == "norm"
    assert model.get_layer("end").norm.name == "bn"
    data = [q.name for q in model.layers if getattr(q, "data", False)]
    assert data == ["image_quantized"]


def test_layers_are_found_by_the_paths_of_the_float_student():
    student = transfer()
    model = quantize_aware(student)
    paths = ["body", "body/relu", "relu", "pool"]
    expected = Tap(student, paths)(BYTES).features
    found = Tap(model, paths)(BYTES).features
    for path in set(paths) - {"body"}:
        gap = np.abs(found[path] - expected[path]).max()
        assert gap < 0.03 * np.ptp(expected[path])
    # As of every convolution, the normalization behind it is included.
    assert found["body"].shape == expected["body"].shape


def test_names_that_occur_twice_become_paths():
    inputs = keras.Input((4,))
    x = inputs
    for name in ("one", "two"):
        inner = keras.Sequential(
            [keras.Input((4,)), layers.Dense(4, name="dense")], name=name
        )
        x = inner(x)
    model = quantize_aware(keras.Model(inputs, x))
    names = {layer.name for layer in model.layers}
    assert {"one_dense", "one", "two_dense", "two"} <= names
    tap = Tap(model, ["two/dense"])
    assert tap(np.ones((2, 4), "float32")).features["two/dense"].shape == (2, 4)


def test_an_inner_model_called_for_inference_keeps_its_statistics():
    student = transfer(training=False)
    model = fed(student, BYTES)
    old = student.get_layer("body").get_layer("norm").moving_mean
    np.testing.assert_array_equal(model.get_layer("conv").norm.moving_mean, old)
    ranges = [layer for layer in model.layers if "quantized" in layer.name]
    assert all(int(layer.steps) == 3 for layer in ranges)


@pytest.mark.slow
def test_augmented_images_are_rounded_and_others_left():
    student = transfer()
    model = fed(student, BYTES)
    found = Tap(model, ["flip"])(BYTES).features["flip"]
    np.testing.assert_array_equal(found, BYTES)


@pytest.mark.parametrize("name", [n for n in dir(layers) if "Random" in n])
def test_which_layers_only_augment(name):
    """Those that are passed over in inference change nothing there."""
    from keras_kd.quantization.rewriting.operation_kinds import _AUGMENTING

    arguments = {
        "RandomBrightness": {"factor": 0.2},
        "RandomContrast": {"factor": 0.2},
        "RandomRotation": {"factor": 0.2},
        "RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2},
        "RandomZoom": {"height_factor": 0.2},
        "RandomHue": {"factor": 0.2},
        "RandomSaturation": {"factor": 0.2},
        "RandomSharpness": {"factor": 0.2},
        "RandomPosterization": {"factor": 4},
        "RandomColorDegeneration": {"factor": 0.2},
    }
    if name not in _AUGMENTING:
        return
    layer = getattr(layers, name)(**arguments.get(name, {}))
    np.testing.assert_array_equal(layer(BYTES[:2], training=False), BYTES[:2])


OPERATORS = {
    "add": lambda a, b: a + b,
    "ops.add": lambda a, b: ops.add(a, b),
    "subtract": lambda a, b: a - b,
    "absolute": lambda a, b: a + ops.abs(b),
    "multiply": lambda a, b: a * ops.sigmoid(b),
    "scaled": lambda a, b: 0.5 * a + b / 3,
    "per channel": lambda a, b: (a - np.arange(6.0)) * np.ones((1, 1, 6)) + b,
}


def joined(operator):
    inputs = keras.Input((12, 12, 3))
    a = layers.Conv2D(6, 3, activation="relu")(inputs)
    b = layers.Conv2D(6, 3, padding="same")(a)
    x = layers.GlobalAveragePooling2D()(operator(a, b))
    return keras.Model(inputs, layers.Dense(3)(x))


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_are_their_layers(name, recwarn):
    student = joined(OPERATORS[name])
    model = quantize_aware(student)
    assert not [w for w in recwarn if "float32" in str(w.message)]
    expected = student(IMAGES)
    gap = np.abs(model(IMAGES) - expected).max()
    assert gap < 0.02 * np.ptp(expected)
    numbered = [
        layer
        for layer in model.layers
        if isinstance(layer, (RoundsAsFile, QuantizedKernel))
    ]
    assert all(known_grids(layer) for layer in numbered)


def test_tensors_of_different_rank_are_aligned_like_the_operator():
    inputs = keras.Input((12, 12, 3))
    x = layers.Conv2D(12, 3, padding="same")(inputs)
    row = layers.Conv2D(12, (12, 1))(inputs)[:, 0]
    student = keras.Model(inputs, x[:, 0] * row[:, 0][:, None] + row)
    np.testing.assert_allclose(
        quantize_aware(student)(IMAGES), student(IMAGES), atol=0.1
    )


@pytest.mark.parametrize(
    "operator",
    [lambda x: x * np.ones((4, 6)), lambda x: 1 / x, lambda x: x * (x > 0)],
    ids=["constants", "reciprocal", "booleans"],
)
def test_what_int8_cannot_do_is_said(operator):
    inputs = keras.Input((4, 3))
    x = operator(layers.Dense(6, name="dense")(inputs))
    with pytest.warns(UserWarning, match=r"in float32 in"):
        quantize_aware(keras.Model(inputs, layers.Dense(2)(x)))


def test_a_shared_layer_has_grids_in_each_call(tmp_path):
    model = quantize_aware(siamese())
    assert len(model.get_layer("conv").weights) == 1 + 4
    model.save(tmp_path / "x.keras")
    for one in (
        model,
        keras.models.load_model(tmp_path / "x.keras"),
        keras.models.clone_model(model),
    ):
        for name in ("conv", "embedding"):
            layer = one.get_layer(name)
            grids = [known_grids(layer, number) for number in (0, 1)]
            assert all(grids)
            assert grids[0][1] is not grids[1][1]
        left, right = (known_grids(one.get_layer("conv"), n) for n in (0, 1))
        assert left[0][0].name == "left_quantized"
        assert right[0][0].name == "right_quantized"


@pytest.mark.slow
@pytest.mark.export
@pytest.mark.parametrize(
    "student",
    [
        transfer(),
        transfer(training=False, operators=True),
        *(
            pytest.param(
                joined(operator),
                marks=when_asked if name in ("ops.add", "subtract") else (),
            )
            for name, operator in OPERATORS.items()
        ),
    ],
    ids=["nested", "frozen", *OPERATORS],
)
def test_the_file_is_the_simulation(student, tmp_path):
    x = BYTES if student.inputs[0].name == "image" else IMAGES
    gap, file = file_apart(fed(student, x), x, tmp_path)
    # Measured: equal to the last bit.
    assert (gap > 0.5).mean() < 0.01
    assert gap.max() <= 1.001
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(file.operators)


@pytest.mark.slow
@pytest.mark.export
def test_the_file_of_shared_layers_is_the_simulation(tmp_path):
    model = quantize_aware(siamese())
    pair = [IMAGES, IMAGES[::-1] * 2]
    for _ in range(3):
        model(pair, training=True)
    path = tmp_path / "x.tflite"
    result = export.tflite(model, path, "int8", verify=pair, tolerance=1e-3)
    # Measured: 0.
    assert result.max_abs_difference < result.output_range / 255
    assert result.weight_dtypes.keys() == {"int8", "int32"}


@pytest.mark.slow
@pytest.mark.export
def test_a_front_end_that_int8_does_not_have_stays_in_float(tmp_path):
    inputs = keras.Input((300, 1), name="sound")
    x = layers.STFTSpectrogram(
        mode="log", frame_length=32, frame_step=16, name="spectrogram"
    )(inputs)
    x = layers.Conv1D(6, 3, activation="relu")(layers.BatchNormalization()(x))
    x = layers.Dense(3)(layers.GlobalAveragePooling1D()(x))
    sounds = RNG.normal(size=(40, 300, 1)).astype("float32")
    text = r"1 layer stays .*: spectrogram\. .* input sound is .* not rounded"
    with pytest.warns(UserWarning, match=text):
        model = fed(keras.Model(inputs, x), sounds)
    model.save(tmp_path / "x.keras")
    loaded = keras.models.load_model(tmp_path / "x.keras")
    path = tmp_path / "x.tflite"
    result = export.tflite(loaded, path, "int8", verify=sounds)
    assert result.kind == "mixed_int8"
    assert (result.input_dtype, result.output_dtype) == ("float32", "int8")
    # The real and the imaginary part of each frequency.
    assert result.weight_dtypes["float32"] >= 2 * 32 * 17
    assert result.max_abs_difference < 1.01 * result.output_range / 255
