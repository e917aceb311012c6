"""The runtimes in which a file can be run: on this CPU, on a chip, in ONNX.

A runtime opens a file, runs it in the file's own types, names the operators
that it lacks, and says how much memory it needs (`keras_kd.evaluation.litert`
converts a user's values to the file's types and back).
"""

import functools

from keras_kd.core.checks import check_choice
from keras_kd.evaluation.runtimes.refusals import Lacking
from keras_kd.evaluation.runtimes.refusals import UnusableFileError
from keras_kd.evaluation.runtimes.runtime import Arena
from keras_kd.evaluation.runtimes.runtime import Runtime
from keras_kd.evaluation.runtimes.runtime import Session

__all__ = [
    "NAMES",
    "ON_TFLITE",
    "Arena",
    "Lacking",
    "Runtime",
    "Session",
    "UnusableFileError",
    "get",
]

# Those that run `.tflite` files.
ON_TFLITE = ("litert", "litert-reference", "tflm")
NAMES = (*ON_TFLITE, "onnxruntime")


@functools.cache
def get(name: str) -> Runtime:
    """Return a runtime by its name.

    Args:
        name: `"litert"`: LiteRT with its fast kernels, as on phones.
            `"litert-reference"`: LiteRT with the kernels that define each
            operator. `"tflm"`: TFLite Micro, as on microcontrollers; needs
            the extra `micro`. `"onnxruntime"`: for `.onnx` files; needs the
            extra `onnx`.

    Raises:
        ValueError: If there is no such runtime.

    Example:
    >>> from keras_kd.evaluation import runtimes
    >>> runtimes.get("litert").name
    'litert'
    """
    check_choice("runtimes.get", "runtime", name, NAMES)
    if name == "tflm":
        from keras_kd.evaluation.runtimes.tflm import TFLM

        return TFLM()
    if name == "onnxruntime":
        from keras_kd.evaluation.runtimes.onnx_runtime import OnnxRuntime

        return OnnxRuntime()
    from keras_kd.evaluation.runtimes.litert import LiteRT

    return LiteRT(name)
