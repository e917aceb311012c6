"""Files of each quantization, and what is refused."""

import json
import os
import types

import keras
import numpy as np
import pytest
from processes import run_program

from keras_kd import export
from keras_kd.evaluation.litert import LiteRTModel

pytestmark = pytest.mark.export

KINDS = ("float32", "float16", "dynamic_range", "int8")


@pytest.fixture(scope="module")
def made(tmp_path_factory, student, data):
    """All four files of one student, made by one child process."""
    folder = tmp_path_factory.mktemp("files")
    paths = {kind: folder / f"{kind}.tflite" for kind in KINDS}
    before = [value.copy() for value in student.get_weights()]
    results = export.tflite_files(
        student, paths, calibration=data[0], verify=data
    )
    for old, new in zip(before, student.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    return paths, results


# Measured: 3e-7, 3e-4, 4e-3 and 7e-3 of the range.
@pytest.mark.parametrize(
    ("kind", "share"),
    [
        ("float32", 5e-6),
        ("float16", 3e-3),
        ("dynamic_range", 0.03),
        ("int8", 0.05),
    ],
)
def test_each_file_does_what_the_student_does(made, student, data, kind, share):
    paths, results = made
    expected = student.predict(data[0], verbose=0)
    found = LiteRTModel(paths[kind]).predict(data[0])
    difference = np.abs(found - expected).max()
    assert difference <= share * np.ptp(expected)
    result = results[kind]
    assert result.passed
    assert result.kind == kind
    assert result.num_examples == 256
    assert result.agreement >= 0.95
    assert result.path == str(paths[kind])
    np.testing.assert_allclose(
        result.max_abs_difference,
        np.abs(found - expected)[:256].max(),
        rtol=0.05,
        atol=1e-6,
    )


def test_types_and_sizes(made, student):
    paths, results = made
    sizes = {kind: os.path.getsize(paths[kind]) for kind in KINDS}
    assert {k: r.size_bytes for k, r in results.items()} == sizes
    assert sizes["float16"] < 0.65 * sizes["float32"]
    assert sizes["dynamic_range"] < 0.45 * sizes["float32"]
    assert sizes["int8"] < 0.45 * sizes["float32"]
    assert results["int8"].input_dtype == "int8"
    assert results["int8"].output_dtype == "int8"
    assert results["dynamic_range"].input_dtype == "float32"
    weights = {k: LiteRTModel(p).weight_dtypes for k, p in paths.items()}
    assert set(weights["float32"]) == {"float32"}
    assert set(weights["float16"]) == {"float16"}
    # The two layers of 1,024 weights and more.
    assert weights["dynamic_range"]["int8"] == 8 * 9 * 16 + 144 * 40
    assert "float32" not in weights["int8"]


def test_the_input_keeps_its_name_and_the_batch_is_open(made):
    details = LiteRTModel(made[0]["int8"]).input_details[0]
    assert details.name == "image"
    assert details.shape == (None, 8, 8, 1)


def test_to_json(made):
    fields = json.loads(made[1]["int8"].to_json())
    assert fields["kind"] == "int8"
    assert fields["tolerance"] == 0.2


def test_nothing_else_is_left(made):
    folder = made[0]["int8"].parent
    assert sorted(p.name for p in folder.iterdir()) == sorted(
        f"{kind}.tflite{ending}" for kind in KINDS for ending in ("", ".json")
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_student_gives_the_same_bytes(made, student, data, kind):
    path = made[0][kind].with_name("again.tflite")
    export.tflite(student, path, kind, calibration=data[0], verify=False)
    again = path.read_bytes(), path.with_name("again.tflite.json").read_bytes()
    path.unlink()
    path.with_name("again.tflite.json").unlink()
    assert again[0] == made[0][kind].read_bytes()
    assert (
        again[1] == (made[0][kind].parent / f"{kind}.tflite.json").read_bytes()
    )


@pytest.mark.slow
def test_a_loaded_student_gives_the_same_bytes_in_another_process(
    made, student, tmp_path
):
    student.save(tmp_path / "student.keras")
    code = (
        "import sys, keras, keras_kd\n"
        "keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])\n"
        "student = keras.models.load_model(sys.argv[1] + '/student.keras')\n"
        "path = sys.argv[1] + '/student.tflite'\n"
        "keras_kd.export.tflite(student, path, 'float16', verify=False)\n"
    )
    run_program(code, tmp_path)
    content = (tmp_path / "student.tflite").read_bytes()
    assert content == made[0]["float16"].read_bytes()


def test_dynamic_range_of_tiny_layers_is_an_error(tiny, tmp_path):
    path = tmp_path / "tiny.tflite"
    path.write_bytes(b"the older file")
    with pytest.raises(export.ExportMismatchError, match="fewer than 1,024"):
        export.tflite(tiny, path, "dynamic_range")
    assert path.read_bytes() == b"the older file"
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.tflite"]


def test_int8_of_tiny_layers_is_int8(tiny, tmp_path):
    x = np.random.default_rng(0).random((20, 3))
    result = export.tflite(tiny, tmp_path / "x.tflite", "int8", x)
    assert result.weight_dtypes["int8"] == 9
    assert result.input_dtype == result.output_dtype == "int8"


def test_an_activation_with_a_gradient_of_its_own(tmp_path):
    student = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, activation="swish")]
    )
    result = export.tflite(student, tmp_path / "x.tflite")
    assert result.passed
    assert result.operators["LOGISTIC"] == 1


def test_float64_students_are_exported_in_float32(tmp_path):
    keras.utils.set_random_seed(0)
    dtype = "float64"
    student = keras.Sequential(
        [
            keras.Input((4,), dtype=dtype),
            keras.layers.Dense(5, activation="relu", dtype=dtype),
            keras.layers.Dense(3, dtype=dtype),
        ]
    )
    x = np.random.default_rng(0).random((40, 4))
    paths = {kind: tmp_path / f"{kind}.tflite" for kind in ("float32", "int8")}
    results = export.tflite_files(student, paths, calibration=x)
    assert results["float32"].input_dtype == "float32"
    assert results["float32"].weight_dtypes.keys() == {"float32"}
    assert results["int8"].input_dtype == "int8"
    a, b, c, d = student.get_weights()
    expected = np.maximum(x @ a + b, 0) @ c + d
    found = LiteRTModel(paths["float32"]).predict(x)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert student.layers[0].compute_dtype == "float64"


def test_a_distiller_is_exported_as_its_student_without_comparison(
    tiny, tmp_path
):
    distiller = types.SimpleNamespace(teacher=None, student=tiny)
    path = tmp_path / "student.tflite"
    result = export.tflite(distiller, path, verify=False)
    assert path.exists()
    assert (result.passed, result.num_examples) == (False, 0)
    assert result.max_abs_difference is None


def test_mixed_precision_student_with_nested_model(tmp_path):
    keras.utils.set_random_seed(0)
    dtype = "mixed_float16"
    inputs = keras.Input((8, 8, 3))
    nested = keras.Sequential(
        [keras.layers.Conv2D(4, 3, dtype=dtype)], name="nested"
    )
    x = keras.layers.GlobalAveragePooling2D(dtype=dtype)(nested(inputs))
    student = keras.Model(inputs, keras.layers.Dense(2, dtype=dtype)(x))
    paths = {kind: tmp_path / f"{kind}.tflite" for kind in ("float32", "int8")}
    data = np.random.default_rng(0).random((40, 8, 8, 3))
    results = export.tflite_files(student, paths, calibration=data)
    assert results["float32"].tolerance == 0.05
    assert results["int8"].passed
    assert student.layers[-1].compute_dtype == "float16"
    assert nested.layers[0].compute_dtype == "float16"
    assert LiteRTModel(paths["float32"]).output_details[0].dtype == "float32"


def test_several_inputs_and_outputs(tmp_path):
    keras.utils.set_random_seed(0)
    layers = keras.layers
    numbers = keras.Input((4,), name="numbers")
    words = keras.Input((3,), dtype="int32", name="a words")
    x = layers.Flatten()(layers.Embedding(7, 4)(words))
    x = layers.Concatenate()([layers.Dense(5)(numbers), x])
    outputs = {"z": layers.Dense(2)(x), "a": layers.Dense(3)(x)}
    student = keras.Model([numbers, words], outputs)
    generator = np.random.default_rng(0)
    data = [generator.random((20, 4)), generator.integers(0, 7, (20, 3))]
    paths = {kind: tmp_path / f"{kind}.tflite" for kind in ("float32", "int8")}
    results = export.tflite_files(student, paths, calibration=data)
    assert results["float32"].max_abs_difference < 1e-5
    assert results["int8"].input_dtype in ("int32, int8", "int8, int32")
    assert results["int8"].output_dtype == "int8, int8"
    found = LiteRTModel(paths["float32"]).predict(
        {"numbers": data[0], "a_words": data[1]}
    )
    expected = student.predict([data[0], data[1]], verbose=0)
    np.testing.assert_allclose(found["z"], expected["z"], atol=1e-5)
    np.testing.assert_allclose(found["a"], expected["a"], atol=1e-5)


class Subclassed(keras.Model):
    """A student that only its call describes."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(3)

    def call(self, inputs, training=None):
        return {"logits": self.dense(inputs["b"] - inputs["a"])}


def test_subclassed_student_with_custom_code(tmp_path):
    student = Subclassed()
    with pytest.raises(ValueError, match="to be a built model"):
        export.tflite(student, tmp_path / "x.tflite")
    student({"a": np.ones((1, 4)), "b": np.ones((1, 4))})
    path = tmp_path / "x.tflite"
    assert export.tflite(student, path).agreement == 1.0
    a, b = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    kernel, bias = student.get_weights()
    np.testing.assert_allclose(
        LiteRTModel(path).predict({"a": a, "b": b}),
        (b - a) @ kernel + bias,
        atol=1e-5,
    )


class InverseError(keras.layers.Layer):
    """Uses an operator that LiteRT does not have."""

    def call(self, inputs):
        return keras.ops.erfinv(inputs * 0.1)


def test_an_operator_without_counterpart_is_named(tmp_path):
    student = keras.Sequential([keras.Input((4,)), InverseError()])
    with pytest.raises(RuntimeError, match=r"TensorFlow's Erfinv"):
        export.tflite(student, tmp_path / "x.tflite")
    assert not list(tmp_path.iterdir())
