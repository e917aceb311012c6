"""Finds fused operations and shared grids in a student's graph."""

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from keras_kd.quantization.activations import FIXED
from keras_kd.quantization.activations import NOT_NEGATIVE
from keras_kd.quantization.activations import activation_of
from keras_kd.quantization.activations import function_name
from keras_kd.quantization.rewriting.flat import Call
from keras_kd.quantization.rewriting.flat import FlatGraph
from keras_kd.quantization.rewriting.operation_kinds import is_fused
from keras_kd.quantization.rewriting.operation_kinds import kind_of
from keras_kd.quantization.rewriting.operation_kinds import takes_relu

# Kinds whose results are rounded to a range of their own.
_ROUNDED = {"activation", "affine", "arithmetic", "constant", "kernel"}
# Kinds whose results are on the grid of their input.
_MOVING = {"augment", "average", "keep"}


class StudentGraph(FlatGraph):
    """A student's graph, with what int8 does with its operations.

    Args:
        model: A Functional or Sequential model.
        kept: Ids of operations that stay in float32.

    Attributes:
        kinds: Kind of each operation by its id, see `kind_of`.
        folded: `BatchNormalization` layers, by the id of the layer that they
            are folded into.
        raw: Ids of operations that are fused into the operation before them,
            so that nothing is rounded in between.
    """

    def __init__(
        self, model: keras.Model, kept: Set[int] = frozenset()
    ) -> None:
        super().__init__(model)
        self.kinds: dict[int, str] = {}
        self._calls: dict[int, list[Call]] = {}
        self._makers: dict[int, Call] = {}
        self._takers = Counter(map(id, self.outputs))
        for call in self.calls:
            key = id(call.operation)
            self.kinds[key] = "float" if key in kept else kind_of(call)
            self._calls.setdefault(key, []).append(call)
            self._makers |= dict.fromkeys(map(id, call.outputs), call)
            self._takers.update(map(id, call.inputs))
        self.folded: dict[int, Any] = {}
        self.raw: set[int] = set()
        for calls in self._calls.values():
            self._fuse(calls)

    def is_inference(self, operation: Any) -> bool:
        """Tell whether a layer is always called with `training=False`."""
        calls = self._calls[id(operation)]
        return all(call.kwargs.get("training") is False for call in calls)

    def activation(self, operation: Any) -> str | None:
        """Return the name of an operation's activation, or `None`."""
        kind = self.kinds.get(id(operation))
        if kind == "kernel":
            return function_name(operation.activation)
        return activation_of(operation) if kind == "activation" else None

    def is_concatenation(self, operation: Any) -> bool:
        """Tell whether an operation is a concatenation in int8."""
        is_one = type(operation).__name__ == "Concatenate"
        return is_one and self.kinds[id(operation)] == "arithmetic"

    def source(self, tensor: Any) -> Call | None:
        """Return the call whose grid a tensor is on, `None` for an input."""
        call = self._makers.get(id(tensor))
        while call and self.kinds[id(call.operation)] in _MOVING:
            call = self._makers.get(id(call.inputs[0]))
        return call

    def _fuse(self, calls: list[Call]) -> None:
        """Decide whether an operation is fused into the one before it.

        One that is called several times is, if it follows the same operation
        each time.
        """
        operation = calls[0].operation
        key, kind = id(operation), self.kinds[id(operation)]
        if any(len(call.inputs) != 1 for call in calls):
            return
        tensors = [id(call.inputs[0]) for call in calls]
        makers = [self._makers.get(tensor) for tensor in tensors]
        before = makers[0] and makers[0].operation
        if (
            before is None
            or any(m is None or m.operation is not before for m in makers)
            or len(self._calls[id(before)]) != len(calls)
            or any(self._takers[tensor] != 1 for tensor in tensors)
            or not self._takes(before)
        ):
            return
        if is_fused(operation, kind):
            self.raw.add(key)
        elif (
            kind == "affine"
            and isinstance(operation, layers.BatchNormalization)
            and self.kinds[id(before)] == "kernel"
            and id(before) not in self.folded
            and len({call.kwargs.get("training") for call in calls}) == 1
        ):
            self.folded[id(before)] = operation
            self.raw.add(key)

    def _takes(self, before: Any) -> bool:
        kind = self.kinds[id(before)]
        if id(before) in self.raw and kind == "activation":
            return False
        return takes_relu(before, kind)


@dataclass(frozen=True)
class Slot:
    """Place of a tensor on a grid that several tensors share.

    Args:
        grid: Number of the grid in its model.
        number: Number of the tensor on the grid, from 0.
        count: Number of tensors on the grid.
        negative: Whether any of the tensors may have values below 0.
    """

    grid: int
    number: int
    count: int
    negative: bool


def shared_grids(graph: StudentGraph) -> dict[Any, Slot]:
    """Find the tensors that have to share a grid.

    The inputs of a concatenation share one, so that concatenating only copies
    bytes. On separate grids, each input would be rounded a second time, by an
    operator whose fast kernels know the ratio of the two steps to 8 bits
    only: one value in a hundred would be a step off. If blocks pass on part
    of their inputs, as in a ShuffleNet, a whole stage shares one grid.

    Args:
        graph: The student's graph.

    Returns:
        One `Slot` per tensor on a shared grid. The key is the call that makes
        the tensor. If that tensor is on another grid (the data, a prescribed
        range, an embedding), its copy on the shared grid has the key `(call
        of the concatenation, index of the input)`.
    """
    groups: list[dict[Any, None]] = []
    for call in graph.calls:
        if not graph.is_concatenation(call.operation):
            continue
        joined: dict[Any, None] = {call: None}
        for place, tensor in enumerate(call.inputs):
            source = graph.source(tensor)
            known = source is not None and _may_share(graph, source)
            joined[source if known else (call, place)] = None
        apart = []
        for group in groups:
            if group.keys() & joined.keys():
                joined = group | joined
            else:
                apart.append(group)
        groups = [*apart, joined]
    slots = {}
    for grid, group in enumerate(groups):
        members = [m for m in group if not _is_concatenation(graph, m)]
        negative = any(_may_be_negative(graph, member) for member in members)
        for number, member in enumerate(members):
            slots[member] = Slot(grid, number, len(members), negative)
    return slots


def _is_concatenation(graph: StudentGraph, member: Any) -> bool:
    is_call = isinstance(member, Call)
    return is_call and graph.is_concatenation(member.operation)


def _may_be_negative(graph: StudentGraph, member: Any) -> bool:
    operation = member.operation if isinstance(member, Call) else None
    return graph.activation(operation) not in NOT_NEGATIVE


def _may_share(graph: StudentGraph, call: Call) -> bool:
    """Tell whether the range of a call's results is free to choose."""
    operation = call.operation
    if graph.is_concatenation(operation):
        return True
    kind = graph.kinds[id(operation)]
    return kind in _ROUNDED and graph.activation(operation) not in FIXED
