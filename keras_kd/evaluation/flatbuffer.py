"""What a `.tflite` file says about itself, read without running it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Graph:
    """The operators and stored weights of a `.tflite` file.

    Args:
        operators: Operator names in the order they run.
        weight_dtypes: Number of stored weights by type name.
    """

    operators: list[str]
    weight_dtypes: dict[str, int]


def read_graph(content: bytes) -> Graph:
    """Read a file that the runtime has verified.

    A stored tensor is a weight when it is floating point, or when it is
    quantized; sizes, axes and other whole numbers are not weights. Tensors
    that share their bytes count once.

    Args:
        content: The file's bytes.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content)
    builtin = _names(schema.BuiltinOperator)
    types = _names(schema.TensorType)
    operators = []
    weights: dict[int, tuple[str, int]] = {}
    for g in range(model.SubgraphsLength()):
        graph = model.Subgraphs(g)
        for o in range(graph.OperatorsLength()):
            code = model.OperatorCodes(graph.Operators(o).OpcodeIndex())
            operators.append(_operator(code, builtin))
        for t in range(graph.TensorsLength()):
            tensor = graph.Tensors(t)
            dtype = types[tensor.Type()].lower()
            if _stored(model, tensor) and _is_weight(tensor, dtype):
                weights[tensor.Buffer()] = (dtype, _elements(tensor))
    totals: dict[str, int] = {}
    for dtype, elements in weights.values():
        totals[dtype] = totals.get(dtype, 0) + elements
    return Graph(operators, totals)


def _names(enumeration: type) -> dict[int, str]:
    """Return the names of a flatbuffer enumeration by value."""
    return {
        value: name
        for name, value in vars(enumeration).items()
        if not name.startswith("_")
    }


def _operator(code: Any, builtin: dict[int, str]) -> str:
    """Return an operator's name; a custom one has a name of its own."""
    if code.CustomCode():
        return str(code.CustomCode().decode())
    # Files from before 2020 have the number in the deprecated field alone.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    return builtin.get(number, f"OPERATOR_{number}")


def _stored(model: Any, tensor: Any) -> bool:
    """Whether the file holds the tensor's values."""
    buffer = model.Buffers(tensor.Buffer())
    # Above 2 GB the bytes lie behind the flatbuffer and only Size is set.
    return bool(buffer.DataLength() or buffer.Size() > 1)


def _is_weight(tensor: Any, dtype: str) -> bool:
    """Whether a stored tensor is a weight (see `read_graph`)."""
    if dtype.startswith(("float", "bfloat")):
        return True
    quantization = tensor.Quantization()
    return quantization is not None and quantization.ScaleLength() > 0


def _elements(tensor: Any) -> int:
    """Return a tensor's number of elements."""
    count = 1
    for axis in range(tensor.ShapeLength()):
        count *= tensor.Shape(axis)
    return count
