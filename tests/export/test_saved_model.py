"""SavedModel folders."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_kd import export

pytestmark = pytest.mark.export


def test_the_folder_does_what_the_student_does(student, data, tmp_path):
    folder = tmp_path / "student"
    result = export.saved_model(student, folder, verify=data)
    assert result.passed
    assert result.kind == "saved_model"
    assert result.path == str(folder)
    assert result.num_examples == 256
    assert result.agreement == 1.0
    files = [f for f in folder.rglob("*") if f.is_file()]
    assert result.size_bytes == sum(f.stat().st_size for f in files)
    loaded = tf.saved_model.load(str(folder))
    served = loaded.serve(data[0])
    expected = student.predict(data[0], verbose=0)
    np.testing.assert_allclose(served, expected, atol=1e-5)


def test_each_weight_is_stored_once(student, tmp_path):
    export.saved_model(student, tmp_path / "model", verify=False)
    found = tf.train.load_checkpoint(tmp_path / "model/variables/variables")
    shapes = found.get_variable_to_shape_map()
    del shapes["_CHECKPOINTABLE_OBJECT_GRAPH"]
    stored = sum(int(np.prod(shape)) for shape in shapes.values())
    assert stored == sum(weight.size for weight in student.get_weights())


def test_an_older_saved_model_is_replaced_and_other_folders_are_not(
    tiny, tmp_path
):
    folder = tmp_path / "model"
    export.saved_model(tiny, folder)
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    result = export.saved_model(other, folder)
    assert result.agreement is None
    assert result.max_abs_difference == 0.0
    loaded = tf.saved_model.load(str(folder))
    assert loaded.serve(np.ones((1, 2), "float32")).shape == (1, 1)
    (tmp_path / "notes.txt").write_text("keep me")
    with pytest.raises(ValueError, match="new folder or an older SavedModel"):
        export.saved_model(tiny, tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "keep me"


def test_augmentation_and_dropout_are_off_in_the_folder(tmp_path):
    student = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.RandomFlip(),
            keras.layers.Dropout(0.5),
            keras.layers.Flatten(),
        ]
    )
    folder = tmp_path / "model"
    export.saved_model(student, folder)
    loaded = tf.saved_model.load(str(folder))
    x = np.random.default_rng(0).random((5, 4, 4, 1)).astype("float32")
    np.testing.assert_array_equal(loaded.serve(x), x.reshape(5, 16))


class Untraceable(keras.layers.Layer):
    """Leaves TensorFlow's graph while it is called."""

    def call(self, inputs):
        return keras.ops.convert_to_tensor(np.asarray(inputs) + 1)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


def test_a_failed_export_leaves_the_older_folder(tiny, tmp_path):
    folder = tmp_path / "model"
    export.saved_model(tiny, folder)
    before = (folder / "saved_model.pb").read_bytes()
    student = keras.Sequential([keras.Input((3,)), Untraceable()])
    with pytest.raises(ValueError, match="that Keras can trace"):
        export.saved_model(student, folder)
    assert (folder / "saved_model.pb").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


class Chance(keras.layers.Layer):
    """Draws a number in Python: once for the file, each time for itself."""

    def call(self, inputs):
        return inputs + np.random.default_rng().normal()


def test_a_student_that_answers_by_chance_does_not_pass(tmp_path):
    student = keras.Sequential([keras.Input((3,)), Chance()])
    with pytest.raises(export.ExportMismatchError, match="or on chance"):
        export.saved_model(student, tmp_path / "model")
    assert not list(tmp_path.iterdir())
