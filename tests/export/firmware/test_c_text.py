"""Names, texts and numbers as C++."""

import re
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import BuiltinOperator

from keras_kd.export.firmware import c_text

HEADER = (
    Path(__file__).parents[1]
    / "tflm/tensorflow/lite/micro/micro_mutable_op_resolver.h"
)
REGISTRATIONS = re.findall(
    r"^  REGISTRATION\((\w+), (\w+)\)", HEADER.read_text(), re.M
)


def test_every_operator_is_registered_by_its_name_in_the_library():
    assert len(REGISTRATIONS) == 100
    assert {name for name, _ in REGISTRATIONS} <= set(vars(BuiltinOperator))
    for operator, expected in REGISTRATIONS:
        assert c_text.registration(operator) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("firmware", "model_firmware"),
        ("class", "model_class"),
        ("3d", "model_3d"),
        ("__my-café ", "model_my_cafe"),
        ("猫", "model"),
    ],
)
def test_a_namespace_is_an_identifier(name, expected):
    assert c_text.namespace(name) == expected


def test_labels_get_different_names():
    labels = ["up", "Up", "up!", "猫", "number 3", "traffic light", "5"]
    assert c_text.enumerators(labels) == [
        "kLabelUp",
        "kLabelUp_2",
        "kLabelUp_3",
        "kLabelNumber3",
        "kLabelNumber3_2",
        "kLabelTrafficLight",
        "kLabel5",
    ]


def test_a_float_reads_back_as_the_same_float32():
    values = np.random.default_rng(0).uniform(0, 1e-3, 100).astype("float32")
    for value in (*values, np.float32(1), np.float32(1e-30)):
        text = c_text.number(float(value))
        assert re.fullmatch(r"\d+(\.\d+(e-\d+)?|e-\d+)f", text)
        assert np.float32(text[:-1]) == value


def test_bytes_are_written_in_order():
    content = bytes(range(256))
    found = re.findall("0x([0-9a-f]{2}),", c_text.array(content))
    assert bytes(int(value, 16) for value in found) == content
