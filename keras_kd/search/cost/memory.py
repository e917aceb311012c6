"""Activation memory that a `.tflite` file needs, read from its graph."""

import math
import re

from keras_kd.evaluation.tflite_file import FileTensor
from keras_kd.evaluation.tflite_file import TFLiteFile
from keras_kd.evaluation.tflite_file import read_file


def peak_memory(content: bytes) -> int:
    """Return the most bytes of activations alive at once, for one example.

    While an operator runs, its inputs and outputs are alive, and so is every
    result that a later operator or the file's outputs need. The inputs of
    the file are alive until their last use. Weights and the scratch memory
    of the runtime's kernels do not count. An operator that runs another
    graph (a loop) adds that graph's peak.

    Args:
        content: The bytes of a file that the converter wrote.
    """
    return _graph_peak(read_file(content), 0)


def _graph_peak(file: TFLiteFile, number: int) -> int:
    graph = file.graphs[number]
    sizes = {
        i: _size(tensor)
        for i, tensor in enumerate(graph.tensors)
        if not tensor.stored
    }
    born = dict.fromkeys(graph.inputs, -1)
    last = dict(born)
    for step, operator in enumerate(graph.operators):
        if not any(tensor in sizes for tensor in operator.inputs):
            # Computed from stored weights only, such as float16 weights that
            # are converted to float32: not an activation.
            for tensor in operator.outputs:
                sizes.pop(tensor, None)
            continue
        for tensor in operator.outputs:
            born.setdefault(tensor, step)
            last[tensor] = step
        for tensor in operator.inputs:
            last[tensor] = step
    for tensor in graph.outputs:
        last[tensor] = len(graph.operators)
    peak = 0
    for step in range(-1, len(graph.operators) + 1):
        alive = sum(
            sizes.get(tensor, 0)
            for tensor, start in born.items()
            if start <= step <= last[tensor]
        )
        if 0 <= step < len(graph.operators):
            called = graph.operators[step].graphs
            inner = [_graph_peak(file, number) for number in called]
            alive += max(inner, default=0)
        peak = max(peak, alive)
    return peak


def _size(tensor: FileTensor) -> int:
    """Return the bytes of a tensor."""
    digits = re.search(r"\d+", tensor.dtype)
    bits = int(digits[0]) if digits else 8  # "bool"
    return math.ceil(tensor.elements * bits / 8)
