"""export and evaluate: students that take strings, or look integers up."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_kd

WORDS = ["red", "blue", "green"]
TEXTS = np.array(["red blue", "blue", "green red red", "pink"] * 3)
TABLE = {
    "age": np.linspace(0, 1, 12, dtype="float32")[:, None],
    "colour": np.array(["red", "blue", "pink"] * 4)[:, None],
}
LABELS = np.arange(12) % 3


def of_texts():
    inputs = keras.Input((), dtype="string", name="text")
    front = layers.TextVectorization(
        vocabulary=WORDS, output_mode="multi_hot", name="vocabulary"
    )
    return keras.Model(inputs, layers.Dense(3)(front(inputs)))


def of_a_table():
    age = keras.Input((1,), name="age")
    colour = keras.Input((1,), name="colour", dtype="string")
    found = layers.StringLookup(
        vocabulary=WORDS, output_mode="one_hot", name="colours"
    )(colour)
    x = layers.Concatenate()([age, found])
    return keras.Model({"age": age, "colour": colour}, layers.Dense(3)(x))


def of_integers(**options):
    inputs = keras.Input((1,), dtype="int64", name="code")
    front = layers.IntegerLookup(
        vocabulary=[5, 7], output_mode="one_hot", name="codes", **options
    )
    return keras.Model(inputs, layers.Dense(2)(front(inputs)))


def as_dataset(x):
    return tf.data.Dataset.from_tensor_slices((x, LABELS)).batch(5)


STUDENTS = {"texts": (of_texts, TEXTS), "table": (of_a_table, TABLE)}


@pytest.mark.slow
@pytest.mark.parametrize("case", STUDENTS)
@pytest.mark.parametrize("form", ["arrays", "tensors"])
def test_a_folder_is_verified_with_strings(tmp_path, case, form):
    build, x = STUDENTS[case]
    student = build()
    data = as_dataset(x) if form == "tensors" else (x, LABELS)
    path = tmp_path / "student"
    result = keras_kd.export.saved_model(student, path, verify=data)
    assert (result.passed, result.num_examples) == (True, 12)
    tensors = keras.tree.map_structure(tf.constant, x)
    right = (student(tensors).numpy().argmax(-1) == LABELS).mean()
    assert result.accuracy == pytest.approx(right)
    assert keras_kd.export.verify(path, student, data).agreement == 1.0
    found = keras_kd.evaluate(path, data, latency=False)
    assert found.accuracy == pytest.approx(right)
    assert keras_kd.evaluate(student, data, latency=False).accuracy == (
        pytest.approx(right)
    )


def test_another_vocabulary_is_noticed(tmp_path):
    student = of_texts()
    path = tmp_path / "student"
    keras_kd.export.saved_model(student, path, verify=TEXTS)
    other = of_texts()
    other.get_layer("vocabulary").set_vocabulary(WORDS[::-1])
    other.set_weights(student.get_weights())
    with pytest.raises(keras_kd.ExportMismatchError):
        keras_kd.export.verify(path, other, TEXTS)


def test_integers_that_are_looked_up(tmp_path):
    # Unknown codes have an entry, so random ones do as well.
    assert keras_kd.export.saved_model(of_integers(), tmp_path / "b").passed


def test_integers_that_are_refused(tmp_path):
    strict = of_integers(num_oov_indices=0)
    with pytest.raises(ValueError, match="`verify`.*refuses random integers"):
        keras_kd.export.saved_model(strict, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_strings_are_not_drawn_at_random(tmp_path):
    with pytest.raises(ValueError, match=r"`verify`.*strings \(`text`\)"):
        keras_kd.export.saved_model(of_texts(), tmp_path / "student")


def test_numbers_for_strings_and_strings_for_numbers(tmp_path):
    with pytest.raises(ValueError, match="strings for `text`"):
        keras_kd.export.saved_model(
            of_texts(), tmp_path / "student", verify=np.ones(12)
        )
    mixed = {"age": TABLE["colour"], "colour": TABLE["colour"]}
    with pytest.raises(ValueError, match="numbers for `age`"):
        keras_kd.export.saved_model(
            of_a_table(), tmp_path / "student", verify=mixed
        )


EXPORTS = {
    "tflite": (keras_kd.export.tflite, "student.tflite"),
    "onnx": (keras_kd.export.onnx, "student.onnx"),
}


@pytest.mark.parametrize("case", EXPORTS)
def test_other_files_refuse_lookups_by_name(tmp_path, case):
    export, name = EXPORTS[case]
    told = "string input `colour`, the layer `colours` .StringLookup.*behind"
    with pytest.raises(ValueError, match=told):
        export(of_a_table(), tmp_path / name, verify=TABLE)
    with pytest.raises(ValueError, match="layer `codes` .IntegerLookup"):
        export(of_integers(), tmp_path / name)
    with pytest.raises(ValueError, match="`text`, the layer `vocabulary` .Te"):
        export(of_texts(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_part_behind_the_lookups_is_exported(tmp_path):
    pytest.importorskip("tf2onnx", reason="needs the extra `onnx`")
    student = of_texts()
    behind = keras.Model(student.layers[1].output, student.output)
    path = tmp_path / "behind.onnx"
    assert keras_kd.export.onnx(behind, path).passed
