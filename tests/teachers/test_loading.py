"""Teachers from files: whole, safe, or a clear error."""

import keras
import numpy as np
import pytest

import keras_kd


@pytest.fixture
def saved(teacher, tmp_path):
    teacher.save(tmp_path / "teacher.keras")
    return tmp_path / "teacher.keras"


def test_load_gives_the_model(saved, teacher, images):
    loaded = keras_kd.teachers.load(saved)
    np.testing.assert_array_equal(loaded(images), teacher(images))


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="No teacher at"):
        keras_kd.teachers.load(tmp_path / "teacher.keras")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated(saved, share):
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"not a whole `\.keras` file"):
        keras_kd.teachers.load(saved)


def test_an_hdf5_file_is_recognized(teacher, tmp_path):
    teacher.save(tmp_path / "teacher.h5")
    way_out = r'load_model\(".*\.h5", compile=False\)\.save\(".*\.keras"\)'
    with pytest.raises(ValueError, match=rf"an HDF5 file.*{way_out}"):
        keras_kd.teachers.load(tmp_path / "teacher.h5")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is a folder, not a `.keras` file"):
        keras_kd.teachers.load(tmp_path)


def test_flipped_byte(saved):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 0xFF
    saved.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="cannot be loaded"):
        keras_kd.teachers.load(saved)


def test_lambda_needs_safe_mode_off(tmp_path):
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Lambda(lambda x: 2 * x)]
    )
    model.save(tmp_path / "teacher.keras")
    with pytest.raises(ValueError, match=r"holds a `Lambda`.*safe_mode=False"):
        keras_kd.teachers.load(tmp_path / "teacher.keras")
