"""The C++ of a bundle compiles, and holds what it should."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from compiled_firmware import compiled
from compiled_firmware import run_firmware

from keras_kd.evaluation.tflite_file import pack
from keras_kd.export.firmware import FILES
from keras_kd.export.firmware import Vectors
from keras_kd.export.firmware import write_firmware

LABELS = ["caffè latte", 'a "quote"\\??=', "caffe LATTE", "class"]


def tensor(name, shape, kind, scale, zero_point):
    made = schema.TensorT()
    made.name, made.shape, made.type = name, shape, kind
    made.buffer = 0
    made.quantization = schema.QuantizationParametersT()
    made.quantization.scale = [scale]
    made.quantization.zeroPoint = [zero_point]
    return made


def operation(place, inputs, outputs):
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = place, inputs, outputs
    return made


def two_inputs():
    """A file that adds its two inputs twice and takes the softmax."""
    kinds = schema.TensorType
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("first", [1, 4], kinds.INT8, 0.1, -128),
        tensor("second", [1, 4], kinds.INT8, 1 / 3, 5),
        tensor("sum", [1, 4], kinds.INT8, 0.5, 0),
        tensor("sums", [1, 4], kinds.INT8, 0.5, 0),
        tensor("scores", [1, 4], kinds.UINT8, 1 / 256, 0),
    ]
    graph.inputs, graph.outputs = [1, 0], [4]
    graph.operators = [
        operation(0, [0, 1], [2]),
        operation(0, [2, 0], [3]),
        operation(1, [3], [4]),
    ]
    model = schema.ModelT()
    model.version = 3
    model.subgraphs = [graph]
    model.buffers = [schema.BufferT()]
    for number in (
        schema.BuiltinOperator.ADD,
        schema.BuiltinOperator.SOFTMAX,
    ):
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = number
        model.operatorCodes = [*(model.operatorCodes or []), code]
    return pack(model)


@pytest.fixture(scope="module")
def content():
    return two_inputs()


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    return Vectors(
        rng.integers(-128, 128, (2, 3, 1, 4)).astype("int8"),
        [rng.integers(0, 256, (3, 1, 4)).astype("uint8")],
    )


@pytest.fixture(scope="module")
def rows(vectors):
    """The bytes of each example: both inputs; the output."""
    first, second = vectors.given
    given = [
        a.tobytes() + b.tobytes() for a, b in zip(first, second, strict=True)
    ]
    return given, [value.tobytes() for value in vectors.expected[0]]


@pytest.fixture(scope="module")
def folder(content, vectors, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle") / "class"  # a keyword
    folder.mkdir()
    write_firmware(folder, content, vectors, arena_bytes=4321, labels=LABELS)
    return folder


@pytest.fixture(scope="module")
def program(folder, tmp_path_factory):
    scratch = tmp_path_factory.mktemp("program")
    return compiled(folder, scratch, second_label="kLabelAQuote")


def test_the_program_holds_the_file_and_passes_its_own_check(
    program, content, rows
):
    found, model = run_firmware(program, *rows)
    assert model == content
    assert found == {
        "aligned": ["1"],
        "arena": ["4321"],
        "operators": ["ADD SOFTMAX"],
        "label": LABELS,
        "second": ["1"],
        "differing": ["0"],
    }


def test_a_chip_that_computes_otherwise_is_noticed(program, rows):
    given, expected = rows
    wrong = bytes([expected[2][0] ^ 1]) + expected[2][1:]
    found, _ = run_firmware(program, given, [*expected[:2], wrong])
    assert found["differing"] == ["1"]
    told = f"{wrong[0]} instead of {expected[2][0]}."
    assert f"Example 2, output 0, byte 0: {told}" in found


def test_a_run_that_fails_is_said(program):
    found, _ = run_firmware(program, [], [])
    assert found["differing"] == ["-1"]
    assert "Example 0 does not run." in found


def test_ends_are_in_the_order_of_the_interpreter(folder):
    text = (folder / "model_info.h").read_text()
    second = '{"second", "int8", 2, {1, 4}, 0.33333334f, 5},'
    first = '{"first", "int8", 2, {1, 4}, 0.1f, -128},'
    assert text.index(second) < text.index(first)
    assert '{"scores", "uint8", 2, {1, 4}, 0.00390625f, 0},' in text


def test_nothing_is_left_to_fill_in(folder):
    for name in FILES:
        assert "$" not in (folder / name).read_text("utf-8")
