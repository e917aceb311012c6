"""Preprocessing inside the file, and files that take bytes."""

import sys

import keras
import numpy as np
import pytest

from keras_kd import export
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.export.context import Context
from keras_kd.export.context import read_context

pytestmark = pytest.mark.export
layers = keras.layers


@pytest.fixture(scope="module")
def pictures(data):
    """The images of `data` as bytes, each pixel four times, and labels."""
    bytes_ = np.round(data[0] * 255).clip(0, 255).astype("uint8")
    return bytes_.repeat(2, axis=1).repeat(2, axis=2), data[1]


@pytest.fixture(scope="module")
def front():
    """What turns 16x16 bytes into what the student takes."""
    return [
        keras.Input((16, 16, 1)),
        layers.Resizing(8, 8),
        layers.Rescaling(1 / 255),
    ]


KINDS = ("float32", "float16", "int8")


@pytest.fixture(scope="module")
def made(tmp_path_factory, student, pictures, front):
    """Files that take pictures as they are."""
    folder = tmp_path_factory.mktemp("contents")
    paths = {kind: folder / f"{kind}.tflite" for kind in KINDS}
    results = export.tflite_files(
        student,
        paths,
        calibration=pictures[0],
        verify=pictures,
        preprocess=front,
        input_dtype="uint8",
    )
    return paths, results


@pytest.mark.parametrize("kind", KINDS)
def test_raw_bytes_give_what_the_student_gives(made, student, pictures, kind):
    paths, results = made
    details = LiteRTModel(paths[kind]).input_details
    assert [(d.name, d.dtype, d.shape) for d in details] == [
        ("image", "uint8", (None, 16, 16, 1))
    ]
    # Resizing to half takes the mean of four pixels, which are equal.
    prepared = pictures[0][:, ::2, ::2] / np.float32(255)
    expected = student.predict(prepared, verbose=0)
    found = LiteRTModel(paths[kind]).predict(pictures[0])
    share = {"float32": 1e-5, "float16": 3e-3, "int8": 0.05}[kind]
    np.testing.assert_allclose(found, expected, atol=share * np.ptp(expected))
    assert results[kind].passed
    assert results[kind].accuracy >= 0.9


def test_an_int8_file_takes_a_byte_as_a_byte(made):
    [detail] = LiteRTModel(made[0]["int8"]).input_details
    assert (detail.scale, detail.zero_point) == (1.0, 0)
    assert "CAST" not in made[1]["int8"].operators


def test_verify_puts_the_layers_in_front_again(made, student, pictures, front):
    path = made[0]["float32"]
    result = export.verify(path, student, pictures, preprocess=front)
    assert (result.passed, result.agreement) == (True, 1.0)
    other = [front[0], front[1], layers.Rescaling(1 / 200)]
    with pytest.raises(export.ExportMismatchError, match="does not behave"):
        export.verify(path, student, pictures, preprocess=other)


def test_the_card_says_what_is_in_front(made):
    card = export.read_card(made[0]["int8"])
    described = card["preprocessing"]
    assert [layer["class"] for layer in described] == ["Resizing", "Rescaling"]
    assert described[1]["config"]["scale"] == 1 / 255
    assert card["student"]["name"] == "student"


def test_normalization_travels_with_its_numbers(tmp_path):
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(5, 3, (40, 4)).astype("float32")
    layer = layers.Normalization()
    layer.adapt(x)
    student = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    path = tmp_path / "x.tflite"
    export.tflite(student, path, verify=x, preprocess=layer)
    kernel, bias = student.get_weights()
    expected = (x - x.mean(0)) / x.std(0) @ kernel + bias
    found = LiteRTModel(path).predict(x)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    [described] = export.read_card(path)["preprocessing"]
    np.testing.assert_allclose(
        np.ravel(described["values"][0]), x.mean(0), rtol=1e-5
    )


def test_a_sequential_and_a_list_are_the_same(student, pictures, front):
    subject = "export.tflite"
    listed = read_context(subject, student, preprocess=front)
    one = read_context(subject, student, preprocess=keras.Sequential(front))
    x = pictures[0][:4].astype("float32")
    np.testing.assert_array_equal(listed.model(x), one.model(x))
    assert Context(subject, student).model is student


def test_a_student_of_bytes_is_left_as_it_is():
    student = keras.Sequential(
        [keras.Input((4,), dtype="uint8"), layers.Rescaling(1 / 255)]
    )
    context = read_context("export.tflite", student, input_dtype="uint8")
    assert context.model is student


def _two_inputs():
    inputs = [keras.Input((3,)), keras.Input((3,))]
    return keras.Model(inputs, layers.Add()(inputs))


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"preprocess": lambda x: x / 255}, TypeError, "keras.layers.Lambda"),
        (
            {"preprocess": [keras.Input((5, 5, 1)), layers.Flatten()]},
            ValueError,
            "that turn raw inputs into the student's",
        ),
        ({"input_dtype": "int8"}, ValueError, r"Did you mean 'uint8'"),
        (
            {"input_dtype": "uint8", "quantization": "int16x8"},
            ValueError,
            "from bytes to 16 bits",
        ),
    ],
    ids=["function", "shape", "dtype", "int16x8"],
)
def test_what_does_not_fit(student, data, tmp_path, arguments, error, match):
    arguments.setdefault("quantization", "float32")
    with pytest.raises(error, match=match):
        export.tflite(
            student, tmp_path / "x.tflite", calibration=data[0], **arguments
        )


def test_several_inputs_have_nothing_in_front(tmp_path):
    with pytest.raises(ValueError, match=r"`preprocess` to be None for a stu"):
        export.tflite(
            _two_inputs(), tmp_path / "x.tflite", preprocess=layers.Identity()
        )


@pytest.mark.parametrize("argument", ["calibration", "verify"])
def test_fractions_are_no_bytes(student, data, pictures, tmp_path, argument):
    given = {"calibration": pictures[0][:, ::2, ::2], "verify": False}
    match = rf"`{argument}` to be bytes from 0 to 255.*float32 from .* to "
    with pytest.raises(ValueError, match=match):
        export.tflite(
            student,
            tmp_path / "x.tflite",
            "int8",
            preprocess=layers.Rescaling(1 / 255),
            input_dtype="uint8",
            **given | {argument: data[0]},
        )


@pytest.mark.parametrize("function", [export.tflite, export.microcontroller])
def test_arguments_are_checked_before_what_is_installed(
    function, student, data, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "tflite_micro", None)
    arguments = {"path": tmp_path / "student.tflite", "quantization": "int8"}
    arguments["runtime"] = "tflm"
    if function is export.microcontroller:
        arguments = {"folder": tmp_path / "firmware"}
    name = f"`export.{function.__name__}`"
    for wrong in ({}, {"calibration": data[0][:2]}):
        with pytest.raises(ValueError, match=f"{name} needs `calibration`"):
            function(student, **arguments, **wrong)
    for word in ("timeout", "tolerance"):
        with pytest.raises(ValueError, match=f"{name} needs `{word}` to be"):
            function(student, **arguments, calibration=data[0], **{word: -1})
    with pytest.raises(ImportError, match=r"keras-kd\[micro\]"):
        function(student, **arguments, calibration=data[0])
    assert not list(tmp_path.iterdir())
