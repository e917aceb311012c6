"""Files that were broken on purpose, and files from elsewhere."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_kd import export

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def path(tmp_path_factory, student):
    """A file that another converter call made."""
    path = tmp_path_factory.mktemp("verify") / "student.tflite"
    converter = tf.lite.TFLiteConverter.from_keras_model(student)
    path.write_bytes(converter.convert())
    return path


def test_a_good_file_from_elsewhere_passes(path, student, data):
    result = export.verify(path, student, data, num_examples=100)
    assert result.passed
    assert result.num_examples == 100
    assert result.kind == "float32"
    expected = student.predict(data[0][:100], verbose=0)
    np.testing.assert_allclose(result.output_range, np.ptp(expected), rtol=1e-5)


def test_changed_weights_are_caught(path, student, data, tmp_path):
    content = bytearray(path.read_bytes())
    kernel = student.layers[-2].get_weights()[0]
    stored = np.ascontiguousarray(kernel.T).tobytes()
    at = bytes(content).index(stored)
    # The sign bit of one weight in ten: the file stays a valid one.
    content[at + 3 : at + len(stored) : 40] = bytes(
        byte ^ 0x80 for byte in content[at + 3 : at + len(stored) : 40]
    )
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(content)
    match = r"on example \d+, output `output_0`, the student gives"
    with pytest.raises(export.ExportMismatchError, match=match) as caught:
        export.verify(broken, student, data)
    result = caught.value.verification
    assert not result.passed
    assert result.max_abs_difference > 1e-4 * result.output_range
    loose = export.verify(broken, student, data, tolerance=1000.0)
    assert loose.max_abs_difference == result.max_abs_difference


def test_a_weight_that_became_nan_is_caught(path, student, data, tmp_path):
    content = bytearray(path.read_bytes())
    bias = student.layers[-1].get_weights()[1].tobytes()
    at = bytes(content).index(bias)
    content[at : at + 4] = np.float32(np.nan).tobytes()
    broken = tmp_path / "nan.tflite"
    broken.write_bytes(content)
    with pytest.raises(export.ExportMismatchError, match="the file nan"):
        export.verify(broken, student, data, tolerance=1e9)


def test_a_truncated_file_is_caught(path, student, data, tmp_path):
    broken = tmp_path / "cut.tflite"
    broken.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged, cut short"):
        export.verify(broken, student, data)


def test_a_damaged_saved_model_is_caught(tiny, tmp_path):
    folder = tmp_path / "model"
    export.saved_model(tiny, folder)
    (folder / "saved_model.pb").write_bytes(b"\x00\x01")
    with pytest.raises(ValueError, match="whole SavedModel folder"):
        export.verify(folder, tiny, np.ones((4, 3)))


def test_another_students_file_is_caught(path, tiny, data):
    with pytest.raises(ValueError, match=r"shape \(None, 3\)"):
        export.verify(path, tiny, data)
    other = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(5)]
    )
    with pytest.raises(export.ExportMismatchError, match="has shape"):
        export.verify(path, other, data)


def test_eight_bit_files_must_pick_the_same_classes():
    from keras_kd.export.verification import Verification
    from keras_kd.export.verify import _too_many_changed

    numbers = (100, 0.1, 0.1, 1.0, 0.2)
    for kind, agreement, word in (
        ("int8", 0.79, "79.0% of 100 examples"),
        ("int8", 0.81, ""),
        ("float32", 0.5, ""),
    ):
        result = Verification(
            "x", kind, *numbers, agreement, 1, "int8", "int8", False
        )
        assert word in _too_many_changed(result)
        assert bool(word) == bool(_too_many_changed(result))


def test_accuracies_and_what_may_be_lost(path, student, data, tmp_path):
    x, y = data
    # The file, against a student that confuses two classes.
    other = keras.models.clone_model(student)
    weights = student.get_weights()
    weights[-2], weights[-1] = weights[-2][:, [1, 0, 2]], weights[-1][[1, 0, 2]]
    other.set_weights(weights)
    result = export.verify(path, other, data, tolerance=1e3, num_examples=None)
    right = {
        model: float((model.predict(x, verbose=0).argmax(1) == y).mean())
        for model in (student, other)
    }
    assert result.num_examples == 300
    np.testing.assert_allclose(result.accuracy, right[student])
    np.testing.assert_allclose(result.student_accuracy, right[other])
    difference = right[student] - right[other]
    np.testing.assert_allclose(result.accuracy_difference, difference)
    options = {"tolerance": 1e3, "max_accuracy_loss": 0.0}
    # It loses nothing here, and is better than what it is compared with.
    assert export.verify(path, other, data, **options).passed
    one_hot = (x, np.eye(3)[y])
    assert export.verify(path, student, one_hot, **options).accuracy > 0.9
    swapped = (x, np.array([1, 0, 2])[y])
    match = r"its accuracy on 256 examples is .*0.00% is the most"
    with pytest.raises(export.ExportMismatchError, match=match):
        export.verify(path, other, swapped, **options)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (None, "no labels that fit"),
        (np.random.default_rng(0).random((300, 3)), "no labels that fit"),
    ],
    ids=["none", "regression"],
)
def test_an_accuracy_needs_labels(path, student, data, labels, match):
    dataset = data[0] if labels is None else (data[0], labels)
    with pytest.raises(ValueError, match=match):
        export.verify(path, student, dataset, max_accuracy_loss=0.5)
    assert export.verify(path, student, dataset).accuracy is None


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_loss_of_accuracy_is_a_share(path, student, data, value):
    with pytest.raises(ValueError, match="between 0 and 1"):
        export.verify(path, student, data, max_accuracy_loss=value)


def test_coarse_steps_do_not_excuse_themselves():
    from keras_kd.export.comparison import Comparison
    from keras_kd.export.opened import OpenedFile
    from keras_kd.export.verify import _too_different

    def excess(worst, step):
        comparison = Comparison(low=0.0, high=1.0, worst=worst)
        names = {"y": "int8"}
        file = OpenedFile("int8", dict, names, names, {"y": step}, {}, {})
        return _too_different(file, {"y": comparison}, 0.2)

    assert excess(0.21, 0.02) == ""
    assert "tolerance 0.2" in excess(0.23, 0.02)
    # Before the bound, a step of the whole range let everything pass.
    assert "tolerance 0.2" in excess(0.33, 1.0)


def test_the_comparison_restates_numpy():
    from keras_kd.export.comparison import Comparison

    generator = np.random.default_rng(0)
    student = generator.normal(size=(10, 4))
    file = student + generator.normal(scale=0.3, size=(10, 4))
    comparison = Comparison()
    comparison.add(student[:6], file[:6], 0)
    comparison.add(student[6:], file[6:], 6)
    difference = np.abs(student - file)
    assert comparison.worst == difference.max()
    assert comparison.worst_example[0] == difference.max(1).argmax()
    np.testing.assert_allclose(
        comparison.total / comparison.count, difference.mean()
    )
    assert comparison.span == np.ptp(student)
    same = (student.argmax(1) == file.argmax(1)).sum()
    assert (comparison.same, comparison.picks) == (same, 10)
    comparison.add(np.full((1, 4), -np.inf), np.full((1, 4), -np.inf), 10)
    assert comparison.worst == difference.max()


def test_pixels_are_no_fractions(student, data, tmp_path):
    path = tmp_path / "student.tflite"
    x, y = data
    with pytest.raises(ValueError, match=r"`image`, 0 to .* to 25\d"):
        export.tflite(student, path, "int8", x, (x * 255, y))
    assert not path.exists()
    export.tflite(student, path, "int8", x)
    with pytest.raises(ValueError, match="`dataset` to be of the range"):
        export.verify(path, student, (x * 255, y))
    # An integer file that was calibrated on pixels refuses fractions.
    other = tmp_path / "other.tflite"
    export.tflite(student, other, "int8", x * 255)
    with pytest.raises(ValueError, match="`dataset` to be of the range"):
        export.verify(other, student, x)


def test_an_accuracy_at_chance_warns(student, data, tmp_path):
    path = tmp_path / "student.tflite"
    x, y = data
    with pytest.warns(UserWarning, match=r"no more than by chance among 3"):
        export.tflite(student, path, verify=(x, (y + 1) % 3))
