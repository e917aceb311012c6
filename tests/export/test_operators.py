"""The refusal of an operator names the layer that it comes from."""

import keras

from keras_kd.export.context import read_context
from keras_kd.export.conversion.operators import lacking


def test_the_innermost_layer_is_named():
    inner = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(3, name="block_2")], name="body"
    )
    student = keras.Sequential([keras.Input((3,)), inner], name="student")
    error = lacking(
        read_context("export.tflite", student),
        "LiteRT operator",
        [
            ("Erfinv", ""),
            ("Erfinv", "student_1/body_1/block_2/Erfinv"),
            ("Erfinv", "student_1/body_1/block_2_1/Erfinv"),
            ("Betainc", "student_1/elsewhere/Betainc"),
            ("Cumsum", "nowhere/Cumsum"),
        ],
    )
    assert str(error) == (
        "`export.tflite` failed: the converter has no LiteRT operator for "
        "TensorFlow's Betainc, Cumsum, Erfinv (in `body/block_2`). Replace "
        "the layers that use them."
    )
