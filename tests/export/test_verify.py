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
    from keras_kd.export.check_file import _too_many_changed
    from keras_kd.export.verification import Verification

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


def test_the_tally_restates_numpy():
    from keras_kd.export.comparison import Tally

    generator = np.random.default_rng(0)
    student = generator.normal(size=(10, 4))
    file = student + generator.normal(scale=0.3, size=(10, 4))
    tally = Tally()
    tally.add(student[:6], file[:6], 0)
    tally.add(student[6:], file[6:], 6)
    difference = np.abs(student - file)
    assert tally.worst == difference.max()
    assert tally.worst_example[0] == difference.max(1).argmax()
    np.testing.assert_allclose(tally.total / tally.count, difference.mean())
    assert tally.span == np.ptp(student)
    same = (student.argmax(1) == file.argmax(1)).sum()
    assert (tally.same, tally.picks) == (same, 10)
    tally.add(np.full((1, 4), -np.inf), np.full((1, 4), -np.inf), 10)
    assert tally.worst == difference.max()
