"""Finds the layers of a file with the largest rounding errors.

The tensors of the file are compared with those of a float32 file.
"""

import contextlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_kd.evaluation.litert import OpenTensors
from keras_kd.evaluation.tflite_file import read_file
from keras_kd.export.context import Context
from keras_kd.export.conversion.parent import convert_all
from keras_kd.export.conversion.precision import float32_arithmetic
from keras_kd.export.conversion.process import converter
from keras_kd.export.conversion.recurrent import unrolled
from keras_kd.export.conversion.trace import write_saved_model
from keras_kd.export.examples import Examples
from keras_kd.export.layer_names import LayerNames
from keras_kd.quantization import fixed_ranges

# Enough for a mean error, few enough that all tensors fit in memory.
_NUM_EXAMPLES = 32
_NUM_LAYERS = 3
_TIMEOUT = 600.0
# Stands in for the operator of a file's inputs.
INPUT = "input"
_LOGARITHM = "LOG"
# An input rounded to a byte over its own range is off by up to 1/510 of the
# range, about 1 % of the spread, and a few percent if outliers widen the range.
# A larger error means that the calibration data had another range.
_OTHER_RANGE = 0.1


@dataclass(frozen=True)
class LayerError:
    """Rounding error of one operator of a file.

    Args:
        layer: Path of the Keras layer in the student, or the tensor's name if
            no layer is known.
        operator: Name of the operator; `INPUT` for the file's inputs.
        error: Root mean square difference from the float file, as a share of
            the spread (standard deviation) of the float file's values.
        added: `error` minus the largest error of the operator's inputs,
            weights not included.
    """

    layer: str
    operator: str
    error: float
    added: float


def worst_layers(
    context: Context, path: Path, examples: Examples
) -> list[LayerError]:
    """Return the layers of a `.tflite` file that lose most, worst first.

    The student is converted once more, to float32, and both files are run
    with all their tensors kept. The converter gives a tensor the same name in
    both files.

    Args:
        context: The student, and the layers in front of it in the file.
        path: The file.
        examples: Examples to run both files on; the first 32 are used.

    Raises:
        RuntimeError: If the converter fails.
    """
    part = {k: v[:_NUM_EXAMPLES] for k, v in examples.inputs.items()}
    file = OpenTensors(path)
    with tempfile.TemporaryDirectory(prefix="keras_kd_layers_") as name:
        twin = OpenTensors(_float_twin(context, Path(name), file))
        expected = twin.tensors(part)
    found = file.tensors(part)
    file.close()
    twin.close()
    errors = {
        key: _error(found[key], expected[key])
        for key in expected.keys() & found.keys()
    }
    return _ranked(path, errors, LayerNames(context))


def worded(layers: list[LayerError]) -> str:
    """Describe the layers that lose most; empty if there are none."""
    if not layers:
        return ""
    listed = ", ".join(
        f"`{layer.layer}` ({layer.operator}: {layer.error:.1%}, "
        f"{layer.added:.1%} of it new)"
        for layer in layers
    )
    text = (
        "The layers that lose most, by their error as a share of the spread "
        f"of their values: {listed}."
    )
    if layers[0].operator == INPUT and layers[0].error > _OTHER_RANGE:
        text += (
            " The input itself is lost: the calibration data had another "
            "range than these."
        )
    elif layers[0].operator == _LOGARITHM:
        text += (
            " A logarithm, as in a spectrogram, needs the small values that "
            "int8 rounds to zero: let `quantize_aware` leave it in float32, "
            "or compute it before the student."
        )
    return text


def _float_twin(context: Context, folder: Path, file: OpenTensors) -> Path:
    """Convert the student like the file, but to float32."""
    twin = folder / "float32.tflite"
    loops = "WHILE" in file.operators
    converter().start()
    with (
        float32_arithmetic(context.model),
        fixed_ranges(context.model),
        contextlib.nullcontext() if loops else unrolled(context.model),
    ):
        write_saved_model(
            context,
            folder / "saved_model",
            context.signature.in_float32(),
            file.input_details[0].shape[0],
        )
    convert_all(context, folder, {"float32": twin}, None, _TIMEOUT)
    return twin


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the root mean square difference as a share of the spread."""
    if found.shape != expected.shape or not found.size:
        return 0.0
    difference = found.astype("float64") - expected.astype("float64")
    spread = float(np.std(expected.astype("float64")))
    return float(np.sqrt(np.mean(difference**2))) / spread if spread else 0.0


def _ranked(
    path: Path, errors: Mapping[str, float], names: LayerNames
) -> list[LayerError]:
    """Return the operators that add most to the error, worst first."""
    file = read_file(path.read_bytes())
    graph = file.graphs[0]
    tensors = [tensor.name for tensor in graph.tensors]
    called = {
        index: name
        for ends in (file.inputs, file.outputs)
        for name, index in ends.items()
    }
    # Bytes are exact, whatever scale they stand for.
    exact = [i for i in graph.inputs if graph.tensors[i].dtype == "uint8"]
    errors = {**errors, **dict.fromkeys([tensors[i] for i in exact], 0.0)}
    layers = []
    for index in graph.inputs:
        error = errors.get(tensors[index], 0.0)
        name = called.get(index, tensors[index])
        layers.append(LayerError(name, INPUT, error, error))
    # The error of a weight is one that its layer adds.
    results = {i for operator in graph.operators for i in operator.outputs}
    results.update(graph.inputs)
    for operator in graph.operators:
        inputs = results.intersection(operator.inputs)
        before = [errors.get(tensors[i], 0.0) for i in inputs]
        for index in operator.outputs:
            error = errors.get(tensors[index], 0.0)
            added = error - max(before, default=0.0)
            default = called.get(index, tensors[index])
            layer = names.layer(tensors[index]) or default
            layers.append(LayerError(layer, operator.name, error, added))
    # QUANTIZE and the like only store a value again, and add nothing.
    worst = [layer for layer in layers if layer.added > 0]
    return sorted(worst, key=lambda layer: -layer.added)[:_NUM_LAYERS]
