"""ONNX files, compared through ONNX Runtime."""

import keras
import numpy as np
import pytest

from keras_kd import export

pytestmark = pytest.mark.export
layers = keras.layers


@pytest.fixture(scope="module", autouse=True)
def runtime():
    """ONNX Runtime, where the extra is installed."""
    for package in ("onnx", "tf2onnx", "onnxruntime"):
        found = pytest.importorskip(
            package, reason=f"needs {package}: pip install 'keras-kd[onnx]'"
        )
    return found


def _run(runtime, path, inputs):
    session = runtime.InferenceSession(path)
    names = [node.name for node in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))


@pytest.fixture(scope="module")
def made(tmp_path_factory, student, data):
    path = tmp_path_factory.mktemp("onnx") / "student.onnx"
    return path, export.onnx(student, path, verify=data)


def test_the_file_does_what_the_student_does(runtime, made, student, data):
    path, result = made
    found = _run(runtime, path, {"image": data[0]})
    expected = student.predict(data[0], verbose=0)
    np.testing.assert_allclose(found["output_0"], expected, atol=1e-5)
    assert (result.kind, result.passed, result.agreement) == ("onnx", True, 1)
    assert result.accuracy == result.student_accuracy > 0.9
    assert result.size_bytes == path.stat().st_size
    assert result.weight_dtypes.keys() == {"float32"}
    assert result.operators["Conv"] == 2
    assert [p.name for p in path.parent.iterdir()] == ["student.onnx"]


def test_the_same_student_gives_the_same_bytes(made, student, tmp_path):
    path = tmp_path / "again.onnx"
    export.onnx(student, path)
    assert path.read_bytes() == made[0].read_bytes()


def test_several_inputs_and_outputs(runtime, tmp_path):
    keras.utils.set_random_seed(0)
    numbers = keras.Input((4,), name="numbers")
    words = keras.Input((3,), dtype="int32", name="a words")
    x = layers.Flatten()(layers.Embedding(7, 4)(words))
    x = layers.Concatenate()([layers.Dense(5)(numbers), x])
    outputs = {"z": layers.Dense(2)(x), "a": layers.Dense(3)(x)}
    student = keras.Model([numbers, words], outputs)
    path = tmp_path / "x.onnx"
    assert export.onnx(student, path).passed
    generator = np.random.default_rng(0)
    inputs = {
        "numbers": generator.random((5, 4), "float32"),
        "a_words": generator.integers(0, 7, (5, 3)).astype("int32"),
    }
    found = _run(runtime, path, inputs)
    expected = student.predict(list(inputs.values()), verbose=0)
    assert list(found) == ["z", "a"]
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)


def test_a_list_of_outputs_keeps_its_order(runtime, tmp_path):
    x = keras.Input((4,), name="x")
    outputs = [layers.Dense(2)(x) for _ in range(12)]
    student = keras.Model(x, outputs)
    export.onnx(student, tmp_path / "x.onnx")
    values = np.random.default_rng(0).random((5, 4), "float32")
    found = _run(runtime, tmp_path / "x.onnx", {"x": values})
    assert list(found) == [f"output_{number}" for number in range(12)]
    expected = student.predict(values, verbose=0)
    for one, other in zip(found.values(), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
def test_mixed_precision_preprocessing_and_loops(runtime, tmp_path):
    keras.utils.set_random_seed(0)
    dtype = "mixed_float16"
    student = keras.Sequential(
        [
            keras.Input((6, 4)),
            layers.GRU(5, dtype=dtype),
            layers.Dense(3, dtype=dtype),
        ]
    )
    path = tmp_path / "x.onnx"
    result = export.onnx(student, path, preprocess=layers.Rescaling(0.1))
    assert result.passed
    assert result.tolerance == 0.05
    assert student.layers[0].compute_dtype == "float16"


def test_a_damaged_file_is_noticed(made, student, data, tmp_path):
    path = tmp_path / "cut.onnx"
    path.write_bytes(made[0].read_bytes()[:-50])
    with pytest.raises(ValueError, match="a whole ONNX file"):
        export.verify(path, student, data)


def test_another_students_file_is_caught(made, data):
    other = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)]
    )
    with pytest.raises(export.ExportMismatchError, match="the onnx file does"):
        export.verify(made[0], other, data)


class Chance(layers.Layer):
    """Draws a number in Python: once for the file, each time for itself."""

    def call(self, inputs):
        return inputs + np.random.default_rng().normal()


def test_a_file_that_fails_leaves_the_older_one(tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(b"the older file")
    student = keras.Sequential([keras.Input((3,)), Chance()])
    with pytest.raises(export.ExportMismatchError, match="or on chance"):
        export.onnx(student, path)
    assert path.read_bytes() == b"the older file"
    assert [p.name for p in tmp_path.iterdir()] == ["x.onnx"]


class InverseError(layers.Layer):
    """Uses an operator that ONNX does not have."""

    def call(self, inputs):
        return keras.ops.erfinv(inputs * 0.1)


def test_an_operator_without_counterpart_is_an_error(tmp_path):
    layer = InverseError(name="inverse")
    student = keras.Sequential([keras.Input((4,)), layer])
    with pytest.raises(RuntimeError, match=r"Erfinv \(in `inverse`\)"):
        export.onnx(student, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_bad_arguments(tiny, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"ends in `.onnx`"):
        export.onnx(tiny, tmp_path / "x.tflite")
    with pytest.raises(ValueError, match="greater than 0"):
        export.onnx(tiny, tmp_path / "x.onnx", tolerance=-1)
    monkeypatch.setitem(__import__("sys").modules, "tf2onnx", None)
    with pytest.raises(ImportError, match=r"'keras-kd\[onnx\]'"):
        export.onnx(tiny, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
