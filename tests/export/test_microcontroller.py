"""A folder of C++ whose program computes what LiteRT's reference does."""

import shutil

import keras
import numpy as np
import pytest
from compiled_firmware import compiled
from compiled_firmware import largest_difference
from compiled_firmware import reference_answers
from compiled_firmware import run_firmware

from keras_kd import export
from keras_kd.export.firmware import FILES

pytestmark = pytest.mark.export
pytest.importorskip("tflite_micro")
layers = keras.layers


@pytest.fixture(scope="module")
def folder(student, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "3d sensor"
    labels = ["far left", "int", "far right"]
    check = export.microcontroller(
        student, folder, data[0], data, labels=labels
    )
    assert check.passed
    assert check.path == str(folder / "model.tflite")
    return folder


def test_the_program_computes_what_the_reference_does(folder, data, tmp_path):
    answers = reference_answers(folder, {"image": data[0][:3]})
    program = compiled(folder, tmp_path, second_label="kLabelInt")
    found, model = run_firmware(program, *answers)
    assert model == (folder / "model.tflite").read_bytes()
    assert largest_difference(found) <= 1
    assert found["label"] == ["far left", "int", "far right"]
    assert {"CONV_2D", "FULLY_CONNECTED"} < {*found["operators"][0].split()}
    # The largest tensors, 8x8x8 and 3x3x16 bytes, live at once.
    assert 512 + 144 <= int(found["arena"][0]) < 20_000


def test_the_bundle_is_whole_and_has_a_card(folder):
    expected = {"model.tflite", "model.tflite.json", *FILES}
    assert {path.name for path in folder.iterdir()} == expected
    card = export.read_card(folder / "model.tflite")
    assert card["quantization"] == "int8"
    assert card["labels"] == ["far left", "int", "far right"]


def test_a_folder_with_anything_else_is_not_replaced(
    folder, tiny, data, tmp_path
):
    mine = tmp_path / "mine"
    shutil.copytree(folder, mine)
    (mine / "main.cc").write_text("int main() {}")
    with pytest.raises(ValueError, match="`folder` to be new, empty or an"):
        export.microcontroller(tiny, mine, np.eye(12, 3, dtype="float32"))
    assert (mine / "main.cc").exists()
    (mine / "main.cc").unlink()
    export.microcontroller(tiny, mine, np.eye(12, 3, dtype="float32"))
    assert (mine / "model.tflite").stat().st_size < 4_000


def test_a_student_of_two_inputs(tmp_path):
    """The order of the model, the card and the file are three."""
    keras.utils.set_random_seed(0)
    second = keras.Input((4,), name="b")
    first = keras.Input((2, 2, 1), name="a")
    joined = layers.Concatenate()([layers.Flatten()(first), second])
    student = keras.Model([second, first], layers.Dense(3)(joined))
    rng = np.random.default_rng(0)
    inputs = [
        rng.uniform(0, 1, (20, 4)).astype("float32"),
        rng.uniform(0, 9, (20, 2, 2, 1)).astype("float32"),
    ]
    folder = tmp_path / "two"
    export.microcontroller(student, folder, inputs)
    given = {"b": inputs[0][:3], "a": inputs[1][:3]}
    answers = reference_answers(folder, given)
    program = compiled(folder, tmp_path)
    found, _ = run_firmware(program, *answers)
    assert largest_difference(found) <= 1


def test_what_fails_leaves_nothing(tmp_path):
    inputs = keras.Input((4,))
    outputs = layers.Dense(2)(layers.Dense(4, activation="gelu")(inputs))
    student = keras.Model(inputs, outputs)
    calibration = np.random.default_rng(0).normal(size=(20, 4))
    with pytest.raises(export.ExportMismatchError, match="GELU") as error:
        export.microcontroller(
            student, tmp_path / "new", calibration.astype("float32")
        )
    assert not list(tmp_path.iterdir())
    # The user called neither this nor gave another path.
    assert str(error.value).startswith("`export.microcontroller`: ")
    assert "export.tflite" not in str(error.value)
    assert str(tmp_path) not in str(error.value)


def test_an_open_size_is_refused(tmp_path):
    inputs = keras.Input((None, 3), name="sound")
    outputs = layers.Dense(2)(layers.GlobalAveragePooling1D()(inputs))
    student = keras.Model(inputs, outputs)
    with pytest.raises(ValueError, match="of a fixed size in `sound`"):
        export.microcontroller(student, tmp_path / "new", np.ones((20, 9, 3)))
    assert not list(tmp_path.iterdir())
