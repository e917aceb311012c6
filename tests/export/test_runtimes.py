"""A file passes in every runtime that is named, or is not written."""

import json

import keras
import numpy as np
import pytest

import keras_kd
from keras_kd import export
from keras_kd.evaluation import runtimes

pytest.importorskip("tflite_micro")
pytestmark = pytest.mark.export

ALL = ("litert", "litert-reference", "tflm")


def classifier(activation):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            keras.layers.Conv2D(8, 3, activation=activation, name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, name="logits"),
        ]
    )


@pytest.fixture(scope="module")
def x():
    values = np.random.default_rng(0).uniform(-1, 1, (50, 6, 6, 1))
    return values.astype("float32")


@pytest.fixture(scope="module")
def made(tmp_path_factory, x):
    """A student, its int8 file, and how it was verified."""
    student = classifier("relu")
    path = tmp_path_factory.mktemp("runtimes") / "student.tflite"
    check = export.tflite(student, path, "int8", x, tolerance=0.2, runtime=ALL)
    return student, path, check


def test_each_runtime_has_its_difference(made, x):
    _, path, check = made
    assert check.passed
    assert tuple(check.runtimes) == ALL
    assert check.runtimes["tflm"] == check.runtimes["litert-reference"]
    first = check.runtimes["litert"]
    assert first.max_abs_difference == check.max_abs_difference
    assert first.agreement == check.agreement
    # The steps, by another way: the card's scale.
    [output] = export.read_card(path)["outputs"]
    steps = first.max_abs_difference / output["scale"]
    assert first.steps == pytest.approx(steps)
    assert json.loads(check.to_json())["runtimes"]["tflm"]["steps"] > 0


def test_the_card_and_the_result_have_the_arena(made):
    _, path, check = made
    arena = runtimes.get("tflm").arena(path.read_bytes())
    card = export.read_card(path)
    assert card["arena"]["bytes"] == arena.bytes == check.arena_bytes
    assert card["arena"]["persistent_bytes"] == arena.persistent_bytes


def test_one_runtime_may_be_verified_later(made, x):
    student, path, check = made
    found = export.verify(path, student, x, tolerance=0.2, runtime="tflm")
    assert list(found.runtimes) == ["tflm"]
    assert found.runtimes["tflm"] == check.runtimes["tflm"]
    usual = export.verify(path, student, x, tolerance=0.2)
    assert list(usual.runtimes) == ["litert"]
    assert usual.arena_bytes is None


def test_the_runtime_that_differs_is_named(made, x):
    student, path, _ = made
    with pytest.raises(
        keras_kd.ExportMismatchError, match="in the runtime 'tflm' does not"
    ):
        export.verify(path, student, x, tolerance=1e-6, runtime="tflm")


@pytest.fixture(scope="module")
def nested():
    """A student with a gelu in a block, in a layer and at its end."""

    def block(name, size):
        inputs = keras.Input((size, size, 1))
        conv = keras.layers.Conv2D(1, 3, activation="gelu", name="conv")
        return keras.Model(inputs, conv(inputs), name=name)

    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            block("block_1", 6),
            block("block_2", 4),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="gelu", name="logits"),
        ],
        name="student",
    )


LACKING = (
    r"GELU of int8 in `block_1/conv`, `block_2/conv`, `logits` \(.*\): "
    "use hard_swish"
)


def test_what_the_runtime_lacks_is_named_and_not_written(nested, x, tmp_path):
    path = tmp_path / "student.tflite"
    with pytest.raises(keras_kd.ExportMismatchError, match=LACKING) as error:
        export.tflite(nested, path, "int8", x, runtime="tflm")
    assert not list(tmp_path.iterdir())
    # Where the file was when it was refused is no business of the user's.
    assert "path" not in str(error.value)


def test_the_user_s_own_path_is_told(nested, x, tmp_path):
    path = tmp_path / "student.tflite"
    export.tflite(nested, path, "int8", x, verify=False)
    with pytest.raises(ValueError, match=LACKING) as error:
        export.verify(path, nested, x, runtime="tflm")
    assert "`export.verify` needs `path` to be a file of" in str(error.value)
    assert f"path={str(path)!r}" in str(error.value)


@pytest.mark.parametrize(
    ("runtime", "message"),
    [("tfml", "Did you mean 'tflm'"), ("onnxruntime", "one of 'litert'")],
)
def test_another_runtime_is_refused(made, x, runtime, message):
    student, path, _ = made
    with pytest.raises(ValueError, match=message):
        export.verify(path, student, x, runtime=runtime)


def test_a_saved_model_has_no_choice(x, tmp_path):
    student = classifier("relu")
    export.saved_model(student, tmp_path / "saved", verify=False)
    with pytest.raises(ValueError, match="`runtime` to be one of None"):
        export.verify(tmp_path / "saved", student, x, runtime="tflm")
