"""Quantize-aware students, their int8 files, and how far these are apart."""

import numpy as np

from keras_kd import export
from keras_kd.evaluation.litert import LiteRTModel
from keras_kd.quantization import quantize_aware


def fed(student, x, steps=3, **arguments):
    """A quantize-aware student whose ranges and statistics have seen data."""
    model = quantize_aware(student, **arguments)
    for _ in range(steps):
        model(x, training=True)
    return model


def steps_apart(model, path, x, predict=None, runtime="litert"):
    """How many steps of its outputs the file is from the simulation.

    The model is called as it is, unless `predict` is given: tracing its
    `predict` takes ten times as long.
    """
    file = LiteRTModel(path, runtime=runtime)
    (output,) = file.output_details
    assert output.dtype == "int8"
    found = predict(x) if predict else model(x, training=False)
    gap = np.abs(file.predict(x) - np.asarray(found))
    return gap / output.scale, file


def file_apart(model, x, folder):
    """`steps_apart` of a student and the int8 file that is made of it."""
    path = folder / "student.tflite"
    export.tflite(model, path, "int8", verify=False)
    return steps_apart(model, path, x)
