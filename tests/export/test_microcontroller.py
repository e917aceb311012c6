"""A folder of C++ whose program computes what LiteRT's reference does."""

import re
import shutil

import keras
import numpy as np
import pytest
from compiled_firmware import compiled
from compiled_firmware import run_firmware

from keras_kd import export
from keras_kd.export.firmware import FILES

pytestmark = pytest.mark.export
pytest.importorskip("tflite_micro")
layers = keras.layers


def reference(path, examples):
    """Run examples in LiteRT's reference kernels, which TFLM equals.

    Args:
        path: The file.
        examples: Arrays in the file's types, one per input in its order.

    Returns:
        The bytes of each example's inputs, and of its outputs.
    """
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_litert.interpreter import OpResolverType

    runtime = Interpreter(
        str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    runtime.allocate_tensors()
    given, expected = [], []
    for values in zip(*examples, strict=True):
        for detail, value in zip(
            runtime.get_input_details(), values, strict=True
        ):
            runtime.set_tensor(detail["index"], value[None])
        runtime.invoke()
        given.append(b"".join(value.tobytes() for value in values))
        expected.append(
            b"".join(
                runtime.get_tensor(detail["index"]).tobytes()
                for detail in runtime.get_output_details()
            )
        )
    return given, expected


def grids(folder, kind="kInputs"):
    """Return name, scale and zero point of the inputs in `model_info.h`."""
    text = (folder / "model_info.h").read_text()
    [body] = re.findall(rf"{kind}\[\] = {{\n(.*?)\n}};", text, re.S)
    return [
        (name, float(scale), int(zero_point))
        for name, scale, zero_point in re.findall(
            r'{"(\w+)", "\w+", \d, {.*?}, (.*?)f, (.*?)}', body
        )
    ]


def encoded(values, scale, zero_point):
    return np.clip(np.rint(values / scale) + zero_point, -128, 127).astype(
        "int8"
    )


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
    [(name, *grid)] = grids(folder)
    assert name == "image"
    path = folder / "model.tflite"
    examples = reference(path, [encoded(data[0][:3], *grid)])
    program = compiled(folder, tmp_path, second_label="kLabelInt")
    found, model = run_firmware(program, *examples)
    assert model == path.read_bytes()
    assert found["differing"] == ["0"]
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
    assert grids(mine, "kOutputs") != grids(folder, "kOutputs")


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
    by_name = {"b": inputs[0], "a": inputs[1]}
    examples = [
        encoded(by_name[name][:3], *grid) for name, *grid in grids(folder)
    ]
    program = compiled(folder, tmp_path)
    answers = reference(folder / "model.tflite", examples)
    assert run_firmware(program, *answers)[0]["differing"] == ["0"]


def test_what_fails_leaves_nothing(tmp_path):
    inputs = keras.Input((4,))
    outputs = layers.Dense(2)(layers.Dense(4, activation="gelu")(inputs))
    student = keras.Model(inputs, outputs)
    calibration = np.random.default_rng(0).normal(size=(20, 4))
    with pytest.raises(export.ExportMismatchError, match="GELU"):
        export.microcontroller(
            student, tmp_path / "new", calibration.astype("float32")
        )
    assert not list(tmp_path.iterdir())


def test_an_open_size_is_refused(tmp_path):
    inputs = keras.Input((None, 3), name="sound")
    outputs = layers.Dense(2)(layers.GlobalAveragePooling1D()(inputs))
    student = keras.Model(inputs, outputs)
    with pytest.raises(ValueError, match="of a fixed size in `sound`"):
        export.microcontroller(student, tmp_path / "new", np.ones((20, 9, 3)))
    assert not list(tmp_path.iterdir())
