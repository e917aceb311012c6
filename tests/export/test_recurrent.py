"""Recurrent students: loops of float files, unrolled in integer ones."""

import importlib

import keras
import numpy as np
import pytest

from keras_kd import export
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.export.conversion.recurrent import portable
from keras_kd.export.conversion.recurrent import unrolled

pytestmark = pytest.mark.export
layers = keras.layers

CELLS = {
    "LSTM": lambda: layers.LSTM(8),
    "GRU": lambda: layers.GRU(8),
    "SimpleRNN": lambda: layers.SimpleRNN(8),
    "Bidirectional": lambda: layers.Bidirectional(layers.LSTM(4)),
}


def make(layer, shape=(6, 4)):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), layer, layers.Dense(3)])


@pytest.fixture(scope="module")
def sequences():
    values = np.random.default_rng(0).normal(size=(40, 6, 4))
    return values.astype("float32")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name != "LSTM"))
        for name in CELLS
    ],
)
def test_what_converts(name, sequences, tmp_path):
    student = make(CELLS[name]())
    kinds = ("float32", "int8", "int16x8")
    paths = {kind: tmp_path / f"{kind}.tflite" for kind in kinds}
    results = export.tflite_files(student, paths, calibration=sequences)
    expected = student.predict(sequences, verbose=0)
    shares = {"float32": 1e-5, "int8": 0.05, "int16x8": 0.02}
    for kind, path in paths.items():
        model = LiteRTModel(path)
        assert model.input_details[0].shape == (1, 6, 4)
        found = model.predict(sequences)
        most = shares[kind] * np.ptp(expected)
        np.testing.assert_allclose(found, expected, atol=most)
        assert results[kind].passed
        flex = [n for n in model.operators if n.startswith("Flex")]
        assert flex == []
    assert "WHILE" not in results["int8"].operators
    # The student is left as it was.
    inner = [x for x in student._flatten_layers() if hasattr(x, "unroll")]
    assert [x.unroll for x in inner if isinstance(x, layers.RNN)] == [False] * (
        1 + (name == "Bidirectional")
    )


def test_an_lstm_restated(sequences, tmp_path):
    student = make(CELLS["LSTM"]())
    path = tmp_path / "lstm.tflite"
    assert export.tflite(student, path).passed
    np.testing.assert_allclose(
        LiteRTModel(path).predict(sequences[:3]),
        _lstm(student.get_weights(), sequences[:3]),
        atol=1e-5,
    )


def _lstm(weights, x):
    """Restate an LSTM and a Dense layer in NumPy."""
    kernel, recurrent, bias, dense, dense_bias = map(np.float64, weights)
    units = recurrent.shape[0]
    hidden = cell = np.zeros((len(x), units))

    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    for step in range(x.shape[1]):
        gates = x[:, step] @ kernel + hidden @ recurrent + bias
        enter, forget, new, leave = np.split(gates, 4, axis=1)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(new)
        hidden = sigmoid(leave) * np.tanh(cell)
    return hidden @ dense + dense_bias


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((None, 4), "layers of an open number of steps"),
        ((129, 4), "layers of 129 steps.*loop of lstm"),
    ],
    ids=["open", "long"],
)
@pytest.mark.parametrize("kind", ["int8", "int16x8"])
def test_loops_that_cannot_be_unrolled(
    shape, match, kind, tmp_path, monkeypatch
):
    monkeypatch.setattr("subprocess.run", _never)
    student = make(layers.LSTM(2, name="lstm"), shape)
    x = np.random.default_rng(0).normal(size=(20, 130, 4))[:, : shape[0]]
    with pytest.raises(ValueError, match=match):
        export.tflite(student, tmp_path / "x.tflite", kind, calibration=x)
    assert not list(tmp_path.iterdir())


def _never(*args, **kwargs):
    raise AssertionError("The converter was started.")


def test_unrolling_is_undone_after_an_error():
    student = make(CELLS["GRU"]())

    def fail():
        with unrolled(student):
            raise KeyError(student.layers[0].unroll)

    with pytest.raises(KeyError, match="True"):
        fail()
    assert not student.layers[0].unroll


def test_one_that_is_unrolled_already_keeps_its_batch_open(sequences, tmp_path):
    student = make(layers.LSTM(3, unroll=True))
    path = tmp_path / "x.tflite"
    assert export.tflite(student, path, "int8", calibration=sequences).passed
    assert LiteRTModel(path).input_details[0].shape == (None, 6, 4)
    assert student.layers[0].unroll


def test_a_layer_that_keeps_a_state_is_named(tmp_path):
    inputs = keras.Input(batch_shape=(1, 8, 4))
    memory = keras.layers.GRU(6, stateful=True, name="memory")(inputs)
    student = keras.Model(inputs, keras.layers.Dense(2)(memory))
    with pytest.raises(ValueError, match="`memory` has `stateful=True`"):
        export.tflite(student, tmp_path / "x.tflite")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def on_a_gpu(monkeypatch):
    """Let Keras believe in a GPU, which changes what it traces."""
    recurrent = importlib.import_module("keras.src.backend.tensorflow.rnn")
    monkeypatch.setattr(recurrent, "_is_gpu_available", lambda: True)


def nested():
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((6, 4)), layers.GRU(3)])
    inputs = keras.Input((6, 4))
    both = layers.Bidirectional(layers.LSTM(3))(inputs)
    joined = layers.Concatenate()([both, inner(inputs)])
    return keras.Model(inputs, layers.Dense(2)(joined))


def chosen(student):
    inner = student._flatten_layers()
    return [x.use_cudnn for x in inner if hasattr(x, "use_cudnn")]


@pytest.mark.slow
@pytest.mark.usefixtures("on_a_gpu")
def test_files_do_not_depend_on_the_machine(sequences, tmp_path):
    student = nested()
    before = chosen(student)
    assert before == ["auto"] * 3
    # Without a GPU, such a file fails already when it is verified.
    folder = tmp_path / "saved_model"
    assert export.saved_model(student, folder, verify=sequences).passed
    assert b"CudnnRNN" not in (folder / "saved_model.pb").read_bytes()
    path = tmp_path / "x.tflite"
    assert export.tflite(student, path, verify=sequences).passed
    onnx = tmp_path / "x.onnx"
    assert export.onnx(student, onnx, verify=sequences).passed
    assert b"CudnnRNN" not in onnx.read_bytes()
    assert chosen(student) == before


def test_the_kernels_are_put_back_after_an_error():
    student = nested()
    before = chosen(student)

    def fail():
        with portable(student):
            raise KeyError(chosen(student))

    with pytest.raises(KeyError, match="False, False, False"):
        fail()
    assert chosen(student) == before
