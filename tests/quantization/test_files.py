"""int8 files of quantize-aware students against their simulation."""

import keras
import numpy as np
import pytest
from aware_files import fed
from aware_files import file_apart
from aware_files import steps_apart
from exhaustive import rest_when_asked
from keras import layers
from small_families import examples
from small_families import small

from keras_kd import export
from keras_kd import students
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.quantization import quantize_aware

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def made(tmp_path_factory, aware, digits):
    """The file of a trained student, and what its export said."""
    path = tmp_path_factory.mktemp("files") / "aware.tflite"
    return path, export.tflite(aware, path, "int8", verify=digits[1])


@pytest.mark.slow
def test_the_file_is_the_simulation(made, aware, digits):
    path, result = made
    for predict in (aware.predict, None):
        gap, _ = steps_apart(aware, path, digits[1][0], predict)
        # Measured: equal to the last bit.
        assert gap.max() <= 1.001
        assert (gap > 0.5).mean() < 0.01
    assert result.passed
    assert (result.kind, result.agreement) == ("int8", 1.0)


def test_everything_in_it_is_int8(small, small_aware, digits, tmp_path):
    path = tmp_path / "aware.tflite"
    result = export.tflite(small_aware, path, "int8", verify=digits[1])
    file = LiteRTModel(path)
    assert set(file.weight_dtypes) == {"int8", "int32"}
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(file.operators)
    assert (result.input_dtype, result.output_dtype) == ("int8", "int8")
    larger = export.tflite(small, tmp_path / "float.tflite")
    assert result.size_bytes < 0.4 * larger.size_bytes


@pytest.mark.slow
def test_a_file_that_is_a_little_off_does_not_pass(made, aware, digits):
    """What calibrated files may differ by is too much for these."""
    other = keras.models.clone_model(aware)
    other.set_weights(aware.get_weights())
    spread = np.ptp(np.asarray(aware(digits[1][0])))
    bias = other.get_layer("logits").bias
    bias.assign(bias + 0.08 * spread)
    for tolerance, data in ((None, digits[1]), (0.06, digits[1][0])):
        with pytest.raises(export.ExportMismatchError, match="student gives"):
            export.verify(made[0], other, data, tolerance=tolerance)
    assert export.verify(made[0], other, digits[1], tolerance=0.1).passed
    assert export.verify(made[0], aware, digits[1]).tolerance == 0.05


@pytest.mark.slow
def test_exported_twice_or_after_loading_it_is_the_same(made, aware, tmp_path):
    aware.save(tmp_path / "aware.keras")
    loaded = keras.models.load_model(tmp_path / "aware.keras")
    export.tflite(loaded, tmp_path / "again.tflite", "int8", verify=False)
    assert (tmp_path / "again.tflite").read_bytes() == made[0].read_bytes()


def test_refusals(small_aware, small, tmp_path):
    path = tmp_path / "x.tflite"
    with pytest.raises(ValueError, match="'int8' for the quantize-aware stu"):
        export.tflite(small_aware, path)
    with pytest.raises(ValueError, match="for at least one step before"):
        export.tflite(quantize_aware(small), path, "int8")
    with pytest.raises(ValueError, match="`calibration` to be a dataset"):
        export.tflite(small, path, "int8")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    rest_when_asked(
        [{}, {"weights": "per_tensor"}, {"activations": "learned_step"}], [{}]
    ),
    ids=str,
)
def test_residual_student(arguments, digits, tmp_path):
    x = digits[0][0][:100]
    student = students.resnet((8, 8, 1), 10, depth=8, width=0.5)
    model = fed(student, x, 10, **arguments)
    gap, file = file_apart(model, x, tmp_path)
    # Measured: 0 in all three.
    assert (gap > 0.5).mean() < 0.01
    assert gap.max() <= 1.001
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(file.operators)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scale", rest_when_asked([1 / 127.5, 1 / 255], [1 / 127.5])
)
def test_bytes_scaled_to_minus_1_to_1(scale, tmp_path):
    """Every pixel is half a step: who rounds otherwise is a step away."""
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (200, 8, 8, 3))
    x = ((pixels - 127.5) * scale).astype("float32")
    student = students.convnet((8, 8, 3), 10, width=0.5)
    model = fed(student, x)
    gap, file = file_apart(model, x, tmp_path)
    # Rounded up by the student and to even by the caller, a quarter of the
    # outputs differed; of a deep student all.
    assert gap.max() <= 0.001
    (given,) = file.input_details
    low = (-128 - given.zero_point) * given.scale
    low_of_student, _ = model.get_layer("input_quantized").limits()
    np.testing.assert_allclose(low_of_student, low, rtol=1e-6)


def deep(name, stage):
    """Return a family's student, or what it is up to a stage."""
    student = small(name)
    if stage is None:
        return student
    x = layers.GlobalAveragePooling2D()(student.get_layer(stage).output)
    return keras.Model(student.input, layers.Dense(3)(x))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "stage"),
    rest_when_asked(
        [
            ("mobilenet_v2", None),
            ("mobilenet_v3", None),
            ("shufflenet_v2", None),
            ("shufflenet_v2", "stage_1"),
        ],
        [("shufflenet_v2", "stage_1")],
    ),
)
def test_deep_student(name, stage, tmp_path):
    """Differences of one step would grow: there must be next to none."""
    keras.utils.set_random_seed(0)
    student = deep(name, stage)
    x = examples(student, 100)
    model = fed(student, x, 10)
    gap, _ = file_apart(model, x, tmp_path)
    # On grids of their own the inputs of a concatenation were 11 off.
    assert gap.max() <= 1.001
    assert (gap > 0.5).mean() < 0.02


def zoo():
    """One student with everything else that int8 has."""
    inputs = keras.Input((16, 16, 3), name="image")
    x = layers.Rescaling(2.0, -1.0, name="scaled")(inputs)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.Conv2D(8, 3, activation="relu6", name="stem")(x)
    x = layers.AveragePooling2D(2)(x)
    side = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    side = layers.BatchNormalization()(side)
    side = layers.Activation("hard_silu")(side)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(side)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid")(gate)
    x = layers.Concatenate()([x, layers.Multiply()([side, gate])])
    x = layers.BatchNormalization(name="alone")(x)
    x = layers.LeakyReLU()(layers.Conv2D(8, 3, groups=2)(x))
    x = layers.Conv2D(8, 1, activation="silu")(layers.MaxPooling2D(2)(x))
    x = layers.Subtract()([x, layers.Conv2D(8, 1, activation="tanh")(x)])
    x = layers.UpSampling2D(2)(x + 0.5)
    x = layers.Conv2DTranspose(6, 2, strides=2, activation="sigmoid")(x)
    x = layers.Conv2D(6, 3, strides=2, activation="gelu")(x)
    x = layers.Reshape((-1, 6))(x)
    x = layers.Conv1D(12, 3, padding="causal", activation="relu")(x)
    x = layers.GlobalMaxPooling1D()(layers.Dropout(0.5)(x))
    return keras.Model(inputs, layers.Dense(4, "softmax", name="classes")(x))


@pytest.mark.slow
def test_every_operator_of_int8(tmp_path):
    generator = np.random.default_rng(0)
    student = zoo()
    student.get_layer("alone").moving_mean.assign(np.full(16, 0.3))
    x = generator.random((100, 16, 16, 3)).astype("float32")
    model = fed(student, x)
    path = tmp_path / "zoo.tflite"
    result = export.tflite(model, path, "int8", calibration=x)
    assert result.passed
    gap, file = steps_apart(model, path, x)
    # The outputs, probabilities, are not rounded in the simulation.
    assert (gap <= 1.5).mean() > 0.99
    assert "DEQUANTIZE" not in file.operators
    assert not [kind for kind in file.weight_dtypes if "float" in kind]


@pytest.mark.slow
def test_what_stays_float_is_float_in_the_file(tmp_path):
    student = keras.Sequential(
        [
            keras.Input((16, 8), name="words"),
            layers.Dense(16, "relu"),
            layers.LayerNormalization(),
            layers.Flatten(),
            layers.Dense(40, "elu"),
            layers.Dense(3),
        ]
    )
    x = np.random.default_rng(0).normal(size=(60, 16, 8)).astype("float32")
    with pytest.warns(UserWarning, match="2 layers stay in float32"):
        model = fed(student, x)
    path = tmp_path / "mixed.tflite"
    export.tflite(model, path, "int8", verify=x)
    gap, file = steps_apart(model, path, x)
    assert gap.max() < 2.5
    assert "DEQUANTIZE" in file.operators
