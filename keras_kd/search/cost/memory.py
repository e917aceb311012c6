"""Activation memory that a `.tflite` file needs, read from its graph."""

import math
from typing import Any

# Bits of one element where they are not in the name of the type.
_BITS = {"BOOL": 8, "INT4": 4, "UINT4": 4, "INT2": 2}


def peak_memory(content: bytes) -> int:
    """Return the most bytes of activations alive at once, for one example.

    While an operator runs, its inputs and outputs are alive, and every
    result that a later operator or the file's outputs still need. The
    inputs of the file are alive until their last use. Weights do not count,
    nor does scratch memory that the runtime's kernels take. An operator that
    runs another graph (a loop) adds that graph's own peak.

    Args:
        content: The bytes of a file that the converter wrote.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content)
    types = {
        value: name
        for name, value in vars(schema.TensorType).items()
        if not name.startswith("_")
    }
    return _graph_peak(model, 0, types, schema)


def _graph_peak(
    model: Any, number: int, types: dict[int, str], schema: Any
) -> int:
    graph = model.Subgraphs(number)
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    sizes = _sizes(model, graph, types)
    born = {tensor: -1 for tensor in _listed(graph, "Inputs")}
    last = dict(born)
    for step, operator in enumerate(operators):
        if not any(tensor in sizes for tensor in _listed(operator, "Inputs")):
            # Made of stored weights alone: float16 ones, widened.
            for tensor in _listed(operator, "Outputs"):
                sizes.pop(tensor, None)
            continue
        for tensor in _listed(operator, "Outputs"):
            born.setdefault(tensor, step)
            last[tensor] = step
        for tensor in _listed(operator, "Inputs"):
            last[tensor] = step
    for tensor in _listed(graph, "Outputs"):
        last[tensor] = len(operators)
    peak = 0
    for step in range(-1, len(operators) + 1):
        alive = sum(
            sizes.get(tensor, 0)
            for tensor, start in born.items()
            if start <= step <= last[tensor]
        )
        if 0 <= step < len(operators):
            alive += max(
                (
                    _graph_peak(model, inner, types, schema)
                    for inner in _called(operators[step], schema)
                ),
                default=0,
            )
        peak = max(peak, alive)
    return peak


def _sizes(model: Any, graph: Any, types: dict[int, str]) -> dict[int, int]:
    """Return the bytes of every tensor that is not stored in the file."""
    sizes = {}
    for i in range(graph.TensorsLength()):
        tensor = graph.Tensors(i)
        buffer = model.Buffers(tensor.Buffer())
        if buffer.DataLength() or buffer.Size() > 1:
            continue
        shape = [abs(tensor.Shape(a)) for a in range(tensor.ShapeLength())]
        name = types[tensor.Type()]
        digits = "".join(c for c in name if c.isdigit())
        bits = _BITS.get(name) or int(digits or 8)
        sizes[i] = math.ceil(math.prod(shape) * bits / 8)
    return sizes


def _listed(owner: Any, name: str) -> list[int]:
    """Return tensor numbers; optional inputs are -1 and left out."""
    item = getattr(owner, name)
    numbers = [int(item(i)) for i in range(getattr(owner, f"{name}Length")())]
    return [number for number in numbers if number >= 0]


def _called(operator: Any, schema: Any) -> list[int]:
    """Return the graphs that an operator runs."""
    kinds = schema.BuiltinOptions
    forms = {
        kinds.WhileOptions: ("CondSubgraphIndex", "BodySubgraphIndex"),
        kinds.IfOptions: ("ThenSubgraphIndex", "ElseSubgraphIndex"),
    }
    names = forms.get(operator.BuiltinOptionsType())
    if names is None:
        return []
    table = operator.BuiltinOptions()
    kind = "WhileOptions" if "Cond" in names[0] else "IfOptions"
    options = getattr(schema, kind)()
    options.Init(table.Bytes, table.Pos)
    return [getattr(options, name)() for name in names]
