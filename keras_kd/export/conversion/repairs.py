"""Repairs what the converter gets wrong in integer files.

- Some operators copy the bytes of their input, and the converter gives their
  output another step. A QUANTIZE operator behind them then converts the bytes.
- A mask is a comparison with one value, which a byte seldom stands for exactly.
  The file compares with the value of the nearest byte instead.
"""

import copy
from typing import Any

import numpy as np

from keras_kd.evaluation.tflite_file import pack
from keras_kd.evaluation.tflite_file import unpack

_COPYING = ("REVERSE_V2", "REVERSE_SEQUENCE")
_COMPARING = ("EQUAL", "NOT_EQUAL")


def repaired(content: bytes) -> bytes:
    """Return a file's bytes with what the converter got wrong repaired.

    Args:
        content: The bytes of a `.tflite` file. They are returned unchanged if
            there is nothing to repair.
    """
    file = _File(unpack(content))
    # Both are done, in this order, whatever the first one found.
    changes = [file.convert_copies(), file.round_compared_values()]
    return pack(file.model) if any(changes) else content


class _File:
    """The schema's `ModelT`, with the edits of this module."""

    def __init__(self, model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.model = model
        self._schema = schema
        self._codes = schema.BuiltinOperator

    def convert_copies(self) -> bool:
        """Convert the outputs of copying operators; tell if there were any."""
        added = False
        for graph in self.model.subgraphs:
            operators = []
            for operator in graph.operators:
                operators.append(operator)
                if self._name_is_in(operator, _COPYING):
                    operators += self._converted(graph, operator)
            added |= len(operators) > len(graph.operators)
            graph.operators = operators
        return added

    def round_compared_values(self) -> bool:
        """Round values that are compared with bytes; tell if there were any."""
        changed = False
        for graph in self.model.subgraphs:
            bytes_of = {
                operator.outputs[0]: graph.tensors[operator.inputs[0]]
                for operator in graph.operators
                if self._name_is_in(operator, ("DEQUANTIZE",))
            }
            for operator in graph.operators:
                if self._name_is_in(operator, _COMPARING):
                    changed |= self._round_value(graph, operator, bytes_of)
        return changed

    def _converted(self, graph: Any, operator: Any) -> list[Any]:
        """Return the QUANTIZE operator that a copying one needs behind it."""
        source = graph.tensors[operator.inputs[0]].quantization
        target = graph.tensors[operator.outputs[0]]
        if _grid(source) is None or _grid(source) == _grid(target.quantization):
            return []
        copied = copy.copy(target)
        copied.name = target.name + b"/copied"
        copied.quantization = copy.copy(source)
        graph.tensors.append(copied)
        convert = self._schema.OperatorT()
        convert.opcodeIndex = self._code("QUANTIZE")
        convert.inputs = [len(graph.tensors) - 1]
        convert.outputs = [operator.outputs[0]]
        operator.outputs = [len(graph.tensors) - 1]
        return [convert]

    def _round_value(
        self, graph: Any, operator: Any, bytes_of: dict[int, Any]
    ) -> bool:
        """Let an operator compare with what a byte stands for."""
        for place, other in ((0, 1), (1, 0)):
            compared = bytes_of.get(operator.inputs[place])
            value = graph.tensors[operator.inputs[other]]
            stored = self.model.buffers[value.buffer].data
            grid = None if compared is None else _grid(compared.quantization)
            if (
                compared is None
                or grid is None
                or stored is None
                or len(stored) == 0
            ):
                continue
            before = np.asarray(stored, np.uint8).view(np.float32)
            after = _nearest(before, grid, compared.type == self._int8)
            if np.array_equal(before, after):
                continue
            # Other operators may read the same value.
            rounded, buffer = copy.copy(value), self._schema.BufferT()
            buffer.data = after.view(np.uint8)
            self.model.buffers.append(buffer)
            rounded.name = value.name + b"/rounded"
            rounded.buffer = len(self.model.buffers) - 1
            graph.tensors.append(rounded)
            inputs = list(operator.inputs)
            inputs[other] = len(graph.tensors) - 1
            operator.inputs = inputs
            return True
        return False

    @property
    def _int8(self) -> int:
        return int(self._schema.TensorType.INT8)

    def _name_is_in(self, operator: Any, names: tuple[str, ...]) -> bool:
        code = self.model.operatorCodes[operator.opcodeIndex].builtinCode
        return any(code == getattr(self._codes, name) for name in names)

    def _code(self, name: str) -> int:
        """Return the index of an operator's code, added if it is missing."""
        number = getattr(self._codes, name)
        codes = self.model.operatorCodes
        for index, code in enumerate(codes):
            if code.builtinCode == number:
                return index
        code = self._schema.OperatorCodeT()
        code.builtinCode = number
        code.deprecatedBuiltinCode = min(number, 127)
        code.version = 2
        codes.append(code)
        return len(codes) - 1


def _grid(quantization: Any) -> tuple[float, int] | None:
    """Return step and zero point; `None` for floats and steps by channel."""
    scale = None if quantization is None else quantization.scale
    if scale is None or len(scale) != 1:
        return None
    return float(scale[0]), int(quantization.zeroPoint[0])


def _nearest(
    values: np.ndarray, grid: tuple[float, int], is_int8: bool
) -> np.ndarray:
    """Return what the nearest integers stand for, as DEQUANTIZE computes it."""
    step, zero_point = grid
    info = np.iinfo(np.int8 if is_int8 else np.int16)
    integers = np.rint(values.astype(np.float64) / step) + zero_point
    integers = np.clip(integers, info.min, info.max) - zero_point
    return (integers * step).astype(np.float32)
