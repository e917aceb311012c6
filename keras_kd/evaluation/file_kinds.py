"""Tells from the operators of a file whether it gives logits or probabilities.

The graph of a SavedModel or `.tflite` file is walked backwards from its output,
past operators that only move, convert or average values, to the operator that
made the values.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from typing import NamedTuple

from keras_kd.core.checks import check_choice
from keras_kd.core.heads import Head
from keras_kd.core.output_kinds import KINDS
from keras_kd.core.output_kinds import settle
from keras_kd.evaluation.tflite_file import read_file

CONSTANT = "constant"
# TensorFlow leaves this folder of a SavedModel to its user.
FOLDER_NOTE = "assets.extra/keras_kd.json"

# Names of LiteRT operators (in capitals), and of those of TensorFlow and ONNX.
_PROBABILITIES = {
    "SOFTMAX": "probabilities",
    "Softmax": "probabilities",
    "LOGISTIC": "binary_probabilities",
    "Sigmoid": "binary_probabilities",
}
_LOGITS = {
    "BATCH_MATMUL",
    "CONV_2D",
    "CONV_3D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "LOG_SOFTMAX",
    "TRANSPOSE_CONV",
    "BatchMatMulV2",
    "Conv",
    "Conv2D",
    "Conv2DBackpropInput",
    "Conv3D",
    "DepthwiseConv2dNative",
    "Einsum",
    "Gemm",
    "LogSoftmax",
    "MatMul",
}
# Operators whose output is of the same kind as their first input.
_KEEPING = {
    "AVERAGE_POOL_2D",
    "CAST",
    "DEQUANTIZE",
    "EXPAND_DIMS",
    "MEAN",
    "QUANTIZE",
    "RESHAPE",
    "SQUEEZE",
    "STRIDED_SLICE",
    "TRANSPOSE",
    "AvgPool",
    "Cast",
    "ExpandDims",
    "GlobalAveragePool",
    "Identity",
    "Mean",
    "ReduceMean",
    "Reshape",
    "Squeeze",
    "StridedSlice",
    "Transpose",
}
# Operators that shift and scale: logits stay logits, but probabilities do not
# stay probabilities.
_AFFINE = {
    "ADD",
    "MUL",
    "SUB",
    "Add",
    "AddV2",
    "BiasAdd",
    "FusedBatchNormV3",
    "Mul",
    "Sub",
}


class Producer(NamedTuple):
    """The operator that made a tensor, and the producers of its inputs."""

    op: str
    inputs: Callable[[], list["Producer"]]


def kind_of(producer: Producer) -> str | None:
    """Return the kind of an operator's output, `None` if it is unknown."""
    op = producer.op
    if op in _PROBABILITIES:
        return _PROBABILITIES[op]
    if op in _LOGITS:
        return "logits"
    if op in _KEEPING:
        return kind_of(producer.inputs()[0])
    if op not in _AFFINE:
        return None
    sources = [source for source in producer.inputs() if source.op != CONSTANT]
    return "logits" if {*map(kind_of, sources)} == {"logits"} else None


def file_head(
    given: str | None, seen: str | None, carried: str | None, role: str
) -> Head:
    """Return what a file's output is: as given, as carried, as in its graph.

    Args:
        given: The kind that the user gave.
        seen: The kind that the graph tells.
        carried: The kind that the file's card tells.
        role: `"model"` or `"teacher"`, for the error message.

    Raises:
        ValueError: If `given` is no kind.
    """
    if given is not None:
        check_choice("evaluate", f"{role}_output", given, KINDS)
        return Head(given)
    open_head = Head(seen, None, "its last operator", seen == "logits")
    return settle(open_head, None, [carried])


def folder_kind(path: Path, name: str) -> str | None:
    """Return what the note in a SavedModel folder says of an output."""
    note = path / FOLDER_NOTE
    if not note.is_file():
        return None
    kind: str | None = json.loads(note.read_text("utf-8"))["outputs"].get(name)
    return kind


def check_known(kind: str | None, name: str, role: str) -> str:
    """Return the kind of a runner's output.

    Raises:
        ValueError: If it is unknown.
    """
    if kind is not None:
        return kind
    argument = f"{role}_output"
    raise ValueError(
        f"`evaluate` cannot tell whether the output of the {role} `{name}` is "
        "logits, probabilities or numbers: its last operator does not say. "
        f"Say it with `{argument}='logits'`, `{argument}='probabilities'` or "
        f"`{argument}='numbers'`; for one unit of two classes with "
        f"`{argument}='binary_logits'`."
    )


def litert_producer(content: bytes, output: int | None = None) -> Producer:
    """Return the producer of an output of a verified `.tflite` file.

    Args:
        content: The file.
        output: Index of the output's tensor. Defaults to the first output.
    """
    graph = read_file(content).graphs[0]
    makers = {
        output: operator
        for operator in graph.operators
        for output in operator.outputs
    }

    def producer(tensor: int) -> Producer:
        operator = makers.get(tensor)
        if operator is None:
            return Producer(
                "input" if tensor in graph.inputs else CONSTANT, list
            )
        op = operator.name
        if operator.activation:
            op = "an operator with a fused activation"
        return Producer(op, lambda: [producer(i) for i in operator.inputs])

    return producer(graph.outputs[0] if output is None else output)


def onnx_producer(graph: Any, output: str) -> Producer:
    """Return the producer of an output of an ONNX graph.

    Args:
        graph: A `GraphProto`.
        output: The output's name.
    """
    makers = {name: node for node in graph.node for name in node.output}
    inputs = {end.name for end in graph.input}

    def producer(name: str) -> Producer:
        node = makers.get(name)
        if node is None:
            return Producer("input" if name in inputs else CONSTANT, list)
        op = CONSTANT if node.op_type == "Constant" else node.op_type
        return Producer(op, lambda: [producer(i) for i in node.input])

    return producer(output)


class _Frame(NamedTuple):
    """A function body, and the call that it was entered from."""

    nodes: dict[str, Any]
    arguments: list[str]
    call: Any
    caller: "_Frame | None"


def graph_producer(graph_def: Any, output: str) -> Producer:
    """Return the producer of a tensor of a TensorFlow graph.

    Args:
        graph_def: A `GraphDef` with its library of functions.
        output: The tensor's name, such as `"Identity:0"`.
    """
    library = {f.signature.name: f for f in graph_def.library.function}

    def producer(reference: str, frame: _Frame) -> Producer:
        name, _, rest = reference.partition(":")
        index = int(rest.rpartition(":")[2] or 0)
        if name in frame.arguments and frame.caller is not None:
            position = frame.arguments.index(name)
            return producer(frame.call.input[position], frame.caller)
        node = frame.nodes[name]
        if node.op in ("StatefulPartitionedCall", "PartitionedCall"):
            function = library[node.attr["f"].func.name]
            signature = function.signature
            inner = _Frame(
                {inside.name: inside for inside in function.node_def},
                [argument.name for argument in signature.input_arg],
                node,
                frame,
            )
            made = signature.output_arg[index].name
            return producer(function.ret[made], inner)
        stored = ("Const", "ReadVariableOp", "VarHandleOp")
        inputs = [name for name in node.input if not name.startswith("^")]
        return Producer(
            CONSTANT if node.op in stored else node.op,
            lambda: [producer(inside, frame) for inside in inputs],
        )

    nodes = {node.name: node for node in graph_def.node}
    return producer(output, _Frame(nodes, [], None, None))
