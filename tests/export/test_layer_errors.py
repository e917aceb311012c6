"""A file that loses too much says where."""

import keras
import numpy as np
import pytest
from aware_files import fed

from keras_kd import export
from keras_kd.evaluation.litert import OpenTensors
from keras_kd.export.context import Context
from keras_kd.export.examples import Examples
from keras_kd.export.layer_errors import INPUT
from keras_kd.export.layer_errors import LayerError
from keras_kd.export.layer_errors import _error
from keras_kd.export.layer_errors import worded
from keras_kd.export.layer_errors import worst_layers

pytestmark = pytest.mark.export
layers = keras.layers


@pytest.fixture(scope="module")
def uneven():
    """A student one of whose layers no single scale can hold.

    The channels of `spread` differ ten-thousandfold and `gather` makes them
    equal again, so that in float all count alike, and in int8 one does.
    """
    keras.utils.set_random_seed(0)
    student = keras.Sequential(
        [
            keras.Input((12,), name="x"),
            layers.Dense(12, use_bias=False, name="first"),
            layers.Dense(12, use_bias=False, name="spread"),
            layers.Dense(12, use_bias=False, name="gather"),
            layers.Dense(4, use_bias=False, name="last"),
        ],
        name="uneven",
    )
    powers = np.float32(10.0) ** np.linspace(-4, 0, 12, dtype="float32")
    student.get_layer("spread").set_weights([np.diag(powers)])
    student.get_layer("gather").set_weights([np.diag(1 / powers)])
    x = np.random.default_rng(0).normal(size=(200, 12)).astype("float32")
    return student, x


@pytest.fixture(scope="module")
def path(tmp_path_factory, uneven):
    path = tmp_path_factory.mktemp("layers") / "x.tflite"
    student, x = uneven
    export.tflite(student, path, "int8", x, False)
    return path


def test_the_error_names_the_layer_and_what_helps(uneven, path):
    student, x = uneven
    match = (
        r"The layers that lose most.*: `gather` \(FULLY_CONNECTED.*"
        r"What usually helps: calibration data.*'int16x8'.*quantize_aware"
    )
    with pytest.raises(export.ExportMismatchError, match=match):
        export.verify(path, student, x)


def test_16_bits_between_the_layers_help(uneven, tmp_path):
    student, x = uneven
    assert export.tflite(student, tmp_path / "x.tflite", "int16x8", x).passed


def test_errors_restated(uneven, path):
    student, x = uneven
    found = worst_layers(Context("test", student), path, Examples({"x": x}))
    assert found[0].layer == "gather"
    assert found[0].added <= found[0].error
    assert [e.added for e in found] == sorted(
        (e.added for e in found), reverse=True
    )
    tensors = OpenTensors(path).tensors({"x": x[:32]})
    [name] = [key for key in tensors if "/gather" in key]
    kernels = [np.float64(w) for w in student.get_weights()[:3]]
    exact = x[:32] @ kernels[0] @ kernels[1] @ kernels[2]
    difference = tensors[name].reshape(exact.shape) - exact
    expected = np.sqrt((difference**2).mean()) / exact.std()
    np.testing.assert_allclose(found[0].error, expected, rtol=1e-3)


def test_calibration_data_of_another_range_are_called_that(
    student, data, tmp_path
):
    match = r"`image` \(input: \d+.*had another range than these"
    path = tmp_path / "x.tflite"
    with pytest.raises(export.ExportMismatchError, match=match) as error:
        export.tflite(
            student,
            path,
            "int8",
            calibration=data[0] * 60,
            verify=data,
            tolerance=0.01,
        )
    assert error.value.verification.path == str(path)
    assert not list(tmp_path.iterdir())


def test_the_error_of_a_tensor():
    expected = np.array([1.0, 2.0, 3.0, 4.0])
    found = expected + np.array([0.1, -0.1, 0.1, -0.1])
    np.testing.assert_allclose(_error(found, expected), 0.1 / np.std(expected))
    assert _error(found, np.ones(4)) == 0.0
    assert _error(found[:2], expected) == 0.0


def test_wording():
    assert worded([]) == ""
    text = worded([LayerError("stft", "LOG", 1.6, 1.5)])
    assert "let `quantize_aware` leave it in float32" in text
    text = worded([LayerError("x", INPUT, 0.02, 0.02)])
    assert "`x` (input: 2.0%, 2.0% of it new)." in text
    assert "another range" not in text


@pytest.mark.slow
def test_the_layers_of_a_quantize_aware_student(tmp_path):
    """Its simulation has operators that LiteRT lacks; the file's do."""
    keras.utils.set_random_seed(0)
    student = keras.Sequential(
        [
            keras.Input((6,), name="x"),
            layers.Dense(8, "relu", bias_initializer="normal", name="first"),
            layers.Dense(8, "relu", bias_initializer="normal", name="changed"),
            layers.Dense(3, bias_initializer="normal", name="last"),
        ]
    )
    x = np.random.default_rng(0).normal(size=(50, 6)).astype("float32")
    aware = fed(student, x)
    path = tmp_path / "x.tflite"
    export.tflite(aware, path, "int8", verify=False)
    bias = aware.get_layer("changed").bias
    bias.assign(bias + 0.3)
    found = worst_layers(Context("test", aware), path, Examples({"x": x}))
    assert found[0].layer == "changed"
    assert found[0].operator == "FULLY_CONNECTED"
    assert found[0].added > 0.2


def test_rounding_names_the_layers_of_any_file_that_rounds(uneven, path):
    student, x = uneven
    worst = export.rounding(path, student, x)[0]
    assert (worst.layer, worst.operator) == ("gather", "FULLY_CONNECTED")


def test_a_file_that_does_not_round_is_refused(uneven, tmp_path):
    student, x = uneven
    path = tmp_path / "x.tflite"
    export.tflite(student, path, None, verify=False)
    with pytest.raises(ValueError, match=r"that rounds, .*kind float32"):
        export.rounding(path, student, x)
