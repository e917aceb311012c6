"""Finds fused operations and shared grids in a student's graph."""

from collections.abc import Set
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from keras_kd.core.graphs import calls
from keras_kd.core.keras_internals import maker
from keras_kd.quantization.activations import FIXED
from keras_kd.quantization.activations import NOT_NEGATIVE
from keras_kd.quantization.activations import activation_of
from keras_kd.quantization.activations import function_name
from keras_kd.quantization.rewriting.operation_kinds import is_fused
from keras_kd.quantization.rewriting.operation_kinds import kind_of
from keras_kd.quantization.rewriting.operation_kinds import takes_relu

# Kinds whose results are rounded to a range of their own.
_ROUNDED = {"activation", "affine", "arithmetic", "constant", "kernel"}


class StudentGraph:
    """The graph of one Functional model, without those of nested models.

    Args:
        model: A Functional model.
        kept: Ids of operations that stay in float32.

    Attributes:
        operations: Operations by their id.
        kinds: Kind of each operation by its id, see `kind_of`.
        folded: `BatchNormalization` layers, by the id of the layer that they
            are folded into.
        raw: Ids of operations that are fused into the operation before them,
            so that nothing is rounded in between.
    """

    def __init__(self, model: keras.Model, kept: Set[int]) -> None:
        self.nodes = calls(model)
        self.operations: dict[int, Any] = {}
        self.kinds: dict[int, str] = {}
        self._calls: dict[int, list[Any]] = {}
        self._takers: dict[int, int] = {}
        for node in self.nodes:
            key = id(node.operation)
            self.operations[key] = node.operation
            kind = kind_of(node.operation, node.arguments)
            stays = key in kept and kind != "nested"
            self.kinds[key] = "float" if stays else kind
            self._calls.setdefault(key, []).append(node)
            for tensor in node.input_tensors:
                self._count(tensor)
        for tensor in model.outputs:
            self._count(tensor)
        self.folded: dict[int, Any] = {}
        self.raw: set[int] = set()
        for node in self.nodes:
            self._fuse(node)

    def is_inference(self, operation: Any) -> bool:
        """Tell whether a layer is always called with `training=False`."""
        (node,) = self._calls[id(operation)]
        return node.arguments.kwargs.get("training") is False

    def activation(self, operation: Any) -> str | None:
        """Return the name of an operation's activation, or `None`."""
        kind = self.kinds.get(id(operation))
        if kind == "kernel":
            return function_name(operation.activation)
        return activation_of(operation) if kind == "activation" else None

    def is_concatenation(self, operation: Any) -> bool:
        """Tell whether an operation is a concatenation in int8, called once."""
        key = id(operation)
        is_one = type(operation).__name__ == "Concatenate"
        kind = self.kinds[key]
        return is_one and kind == "arithmetic" and len(self._calls[key]) == 1

    def source(self, tensor: Any) -> Any:
        """Return the operation whose grid a tensor is on.

        Returns:
            The operation, `None` if it is called several times or is not in
            this graph.
        """
        while True:
            operation = maker(tensor)
            calls = self._calls.get(id(operation), [])
            if len(calls) != 1:
                return None
            moving = self.kinds[id(operation)] in ("average", "keep")
            if not moving:
                return operation
            tensor = calls[0].input_tensors[0]

    def _count(self, tensor: Any) -> None:
        self._takers[id(tensor)] = self._takers.get(id(tensor), 0) + 1

    def _fuse(self, node: Any) -> None:
        """Decide whether an operation is fused into the one before it."""
        operation = node.operation
        key, kind = id(operation), self.kinds[id(operation)]
        tensors = node.input_tensors
        if len(self._calls[key]) > 1 or len(tensors) != 1:
            return
        before = maker(tensors[0])
        alone = (
            id(before) in self.kinds
            and len(self._calls[id(before)]) == 1
            and self._takers[id(tensors[0])] == 1
        )
        if not alone or not self._takes(before):
            return
        if is_fused(operation, kind):
            self.raw.add(key)
        elif (
            kind == "affine"
            and isinstance(operation, layers.BatchNormalization)
            and self.kinds[id(before)] == "kernel"
            and id(before) not in self.folded
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
        graph: One Functional model.

    Returns:
        One `Slot` per tensor on a shared grid. The key is the id of the
        operation that makes the tensor. If that tensor is on another grid
        (the data, a prescribed range, an embedding), its copy on the shared
        grid has the key `(id of the concatenation, index of the input)`.
    """
    groups: list[dict[Any, None]] = []
    concatenations = set()
    for node in graph.nodes:
        key = id(node.operation)
        if not graph.is_concatenation(node.operation):
            continue
        concatenations.add(key)
        joined: dict[Any, None] = {key: None}
        for place, tensor in enumerate(node.input_tensors):
            source = graph.source(tensor)
            known = source is not None and (
                id(source) in concatenations or _rounded_alone(graph, source)
            )
            joined[id(source) if known else (key, place)] = None
        apart = []
        for group in groups:
            if group.keys() & joined.keys():
                joined = group | joined
            else:
                apart.append(group)
        groups = [*apart, joined]
    slots = {}
    for grid, group in enumerate(groups):
        members = [member for member in group if member not in concatenations]
        negative = any(
            graph.activation(graph.operations.get(member)) not in NOT_NEGATIVE
            for member in members
        )
        for number, member in enumerate(members):
            slots[member] = Slot(grid, number, len(members), negative)
    return slots


def _rounded_alone(graph: StudentGraph, operation: Any) -> bool:
    """Tell whether the range of an operation's results is free to choose."""
    kind = graph.kinds[id(operation)]
    return kind in _ROUNDED and graph.activation(operation) not in FIXED
