"""Tensors that share one grid: what is concatenated."""

from dataclasses import dataclass
from typing import Any

from keras_kd.quantization.activations import FIXED
from keras_kd.quantization.activations import NOT_NEGATIVE
from keras_kd.quantization.graph import Graph

_ROUNDED = {"activation", "affine", "arithmetic", "constant", "kernel"}


@dataclass(frozen=True)
class Slot:
    """Place of a tensor on a grid that several share.

    Args:
        grid: Number of the grid in its model.
        number: Of the tensor, from 0.
        count: Tensors on the grid.
        negative: Whether values below 0 may be on it.
    """

    grid: int
    number: int
    count: int
    negative: bool


def shared_grids(graph: Graph) -> dict[Any, Slot]:
    """Find what has to be on one grid, so that concatenating moves bytes.

    On grids of their own the inputs of a concatenation would each be rounded
    a second time, by an operator that fast kernels compute to 8 bits of the
    ratio of the two steps: one value in a hundred is a step off. Blocks that
    pass on part of their inputs, as a ShuffleNet's, share one grid a stage.

    Args:
        graph: One Functional model.

    Returns:
        A `Slot` by the id of the operation that makes a tensor, or by the id
        of a concatenation and the place of the input where it makes one of
        its own: of the data, of a prescribed range, of an embedding.
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


def _rounded_alone(graph: Graph, operation: Any) -> bool:
    """Tell whether an operation's results may have any range."""
    kind = graph.kinds[id(operation)]
    return kind in _ROUNDED and graph.activation(operation) not in FIXED
