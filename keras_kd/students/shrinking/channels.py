"""Follows a teacher's channels through its graph, and ties them together.

`channel_numbers` explains the numbering, and how an addition ties channels.
"""

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_kd.core.graphs import is_graph
from keras_kd.core.graphs import view
from keras_kd.students.shrinking.channel_numbers import WHOLE
from keras_kd.students.shrinking.channel_numbers import ChannelSets
from keras_kd.students.shrinking.channel_numbers import Numbering
from keras_kd.students.shrinking.channel_numbers import along
from keras_kd.students.shrinking.channel_numbers import known_sizes
from keras_kd.students.shrinking.channel_numbers import permuted
from keras_kd.students.shrinking.channel_numbers import reduced
from keras_kd.students.shrinking.channel_numbers import sliced
from keras_kd.students.shrinking.channel_numbers import whole
from keras_kd.students.shrinking.composite import is_composite
from keras_kd.students.shrinking.composite import keeps_width
from keras_kd.students.shrinking.layer_kinds import ELEMENTWISE
from keras_kd.students.shrinking.layer_kinds import FOLLOWERS
from keras_kd.students.shrinking.layer_kinds import SAME_CHANNELS
from keras_kd.students.shrinking.layer_kinds import SPATIAL
from keras_kd.students.shrinking.layer_kinds import channel_axis
from keras_kd.students.shrinking.layer_kinds import follows_input
from keras_kd.students.shrinking.layer_kinds import halves
from keras_kd.students.shrinking.layer_kinds import inner
from keras_kd.students.shrinking.layer_kinds import is_depthwise
from keras_kd.students.shrinking.layer_kinds import is_kind
from keras_kd.students.shrinking.layer_kinds import made_width
from keras_kd.students.shrinking.walk import live_calls


class Channels:
    """Numbers the channels that layers make, and follows them to the end.

    See `channel_numbers` for the purpose and an example. The channels of an
    unknown operation's result are unknown too.

    Args:
        model: The teacher.
        heads: Ids of the layers that make the logits.
        passed_over: See `live_calls`.
        ruled: Tells whether the caller has a rule for a layer.

    Attributes:
        made: Channels that a layer makes, by the layer's id.
        read: Channels that a layer reads, along the input axis that its
            weights run over, by the layer's id; None if they are not known.
        sets: The channels, and which of them stay or go together.
        rows: Two-dimensional arrays of channels, every row of which has to
            keep the same number: the groups of a convolution, the heads of
            an attention, the directions of a Bidirectional layer.
        lost: Names of operations whose results have unknown channels.
    """

    def __init__(
        self,
        model: keras.Model,
        heads: set[int],
        passed_over: dict[int, int],
        ruled: Callable[[Any], bool],
    ) -> None:
        self.made: dict[int, np.ndarray] = {}
        self.read: dict[int, Numbering] = {}
        self.rows: list[np.ndarray] = []
        self.lost: list[str] = []
        self._heads = heads
        self._passed_over = passed_over
        self._ruled = ruled
        self.sets = ChannelSets()
        ends = self._follow(model, [whole(tensor) for tensor in model.inputs])
        for end in ends:
            if end is not None:  # An output keeps its size.
                self.sets.join(end, np.array(WHOLE))

    def _follow(
        self, model: keras.Model, inputs: list[Numbering]
    ) -> list[Numbering]:
        """Number a model's tensors, given its inputs; return its outputs."""
        graph = view(model)
        found = {
            id(tensor): numbering
            for tensor, numbering in zip(graph.inputs, inputs, strict=True)
        }
        for operation, given, results in live_calls(graph, self._passed_over):
            known = [found[id(tensor)] for tensor in given]
            if id(operation) in self._passed_over:
                after = known
            elif is_graph(operation):
                after = self._follow(operation, known)
            else:
                after = self._through(operation, given, known, results)
            found |= {
                id(tensor): numbering
                for tensor, numbering in zip(results, after, strict=True)
            }
        return [found[id(tensor)] for tensor in graph.outputs]

    def _through(
        self, operation: Any, given: list, known: list[Numbering], results: list
    ) -> list[Numbering]:
        """Number the results of one call."""
        if self._ruled(operation):
            found = self._by_rule(operation, given, known, results)
            return [found] * len(results)
        composite = is_composite(operation)
        if composite or made_width(operation) is not None:
            rule = self._composite if composite else self._wide
            return [rule(operation, given, known, x) for x in results]
        if all(x is not None and (x == WHOLE).all() for x in known):
            self._reads(operation, np.array([WHOLE]))
            return [whole(tensor) for tensor in results]
        found = self._followed(operation, given, known, results)
        if found is None and all(x is not None for x in known):
            self.lost.append(f"`{operation.name}` ({type(operation).__name__})")
        return [found] * len(results)

    def _followed(
        self, operation: Any, given: list, known: list[Numbering], results: list
    ) -> Numbering:
        """Number the result of an operation that makes no new channels."""
        if len(results) != 1:
            return None
        if is_kind(operation, ELEMENTWISE) and len(given) > 1:
            return self._summed(given, known)
        for kinds, rule in self._rules():
            follower = kinds is FOLLOWERS and follows_input(operation)
            if follower or is_kind(operation, kinds):
                if any(entry is None for entry in known):
                    self._reads(operation, None)
                    return None
                return rule(operation, given, known, results[0])
        return None

    def _rules(self) -> Iterator[tuple[set[str], Callable[..., Numbering]]]:
        yield FOLLOWERS, self._follower
        yield SAME_CHANNELS, lambda operation, given, known, result: known[0]
        yield SPATIAL, self._spatial
        yield {"ExpandDims", "Flatten", "Reshape", "Squeeze"}, self._reshaped
        yield {"Permute", "Transpose"}, permuted
        yield {"Concatenate"}, self._concatenated
        yield {"GetItem"}, sliced
        yield {"Matmul"}, self._multiplied
        yield {"Max", "Mean", "Sum"}, reduced

    def _by_rule(
        self, operation: Any, given: list, known: list[Numbering], results: list
    ) -> Numbering:
        """Number the result of a layer that the caller has a rule for."""
        kind = type(operation).__name__
        self.lost.append(f"`{operation.name}` ({kind}), which has a rule")
        if len(results) == 1 and given[0].shape == results[0].shape:
            return known[0]
        size = results[0].shape[-1] if len(results) == 1 else None
        if size is None:
            return None
        made = self._makes(operation, size)
        return along(made, -1, len(results[0].shape) - 1)

    def _composite(
        self, operation: Any, given: list, known: list[Numbering], result: Any
    ) -> Numbering:
        """Number the result of a layer that holds other layers.

        Such a layer either keeps the channels of its input, as a transformer's
        block does, or makes new ones.
        """
        if "int" in given[0].dtype:
            read: Numbering = np.array([WHOLE])
        else:
            read = self._channels(known[0], given[0], -1)
        self._reads(operation, read)
        if keeps_width(given[0], result):
            for tensor, other in zip(given[1:], known[1:], strict=True):
                # `composite.parts` finds channels by the size of an axis,
                # so these inputs have to keep the same positions.
                if keeps_width(given[0], tensor) and "float" in tensor.dtype:
                    self._reads(operation, self._channels(other, tensor, -1))
            rank = len(result.shape) - 1
            return None if read is None else along(read, -1, rank)
        size = result.shape[-1]
        if size is None:
            return None
        made = self._makes(operation, size)
        return along(made, -1, len(result.shape) - 1)

    def _wide(
        self, operation: Any, given: list, known: list[Numbering], result: Any
    ) -> Numbering:
        """Number the result of a layer that sets its own width."""
        axis = channel_axis(operation)
        rank = len(result.shape) - 1
        if isinstance(inner(operation), keras.layers.Embedding):
            read: Numbering = np.array([WHOLE])
        else:
            read = self._channels(known[0], given[0], axis)
        self._reads(operation, read)
        if is_depthwise(operation):
            if read is None:
                return None
            read = np.repeat(read, operation.filters // operation.groups)
            return along(read, axis, rank)
        if id(operation) in self._heads:
            return np.full((1,) * rank, WHOLE)
        units = made_width(operation) or 0
        made = self._makes(operation, units)
        if read is None and known[0] is not None:
            return None  # Channels on two axes, as in an MLP-Mixer.
        self._in_rows(operation, read, made)
        if rank < 1 or result.shape[1:][axis] != units:
            return None
        return along(made, axis, rank)

    def _in_rows(
        self, operation: Any, read: Numbering, made: np.ndarray
    ) -> None:
        """Add the rows of a layer's channels: its groups or two directions."""
        groups = getattr(operation, "groups", 1)
        if groups > 1:
            self.rows.append(made.reshape(groups, -1))
            if read is not None:
                self.rows.append(read.reshape(groups, -1))
        if halves(operation) > 1:
            self.rows.append(made.reshape(2, -1))

    def _follower(
        self, operation: Any, given: list, known: list, result: Any
    ) -> Numbering:
        """Number the result of a layer with weights that follows its input."""
        axis = channel_axis(operation)
        read = self._channels(known[0], given[0], axis)
        self._reads(operation, read)
        if read is None:
            return None
        times = getattr(inner(operation), "depth_multiplier", 1)
        return along(np.repeat(read, times), axis, len(result.shape) - 1)

    def _spatial(
        self, operation: Any, given: list, known: list, result: Any
    ) -> Numbering:
        """Number the result of pooling, padding or resizing."""
        axis = channel_axis(operation)
        read = self._channels(known[0], given[0], axis)
        rank = len(result.shape) - 1
        return None if read is None else along(read, axis % rank, rank)

    def _reshaped(
        self, operation: Any, given: list, known: list, result: Any
    ) -> Numbering:
        """Number the result of a Reshape, a Flatten or such."""
        old, new = known_sizes(given[0].shape[1:], result.shape[1:])
        first = getattr(operation, "data_format", None) == "channels_first"
        if new is None or (first and len(old) > 1):
            return None
        numbering = np.broadcast_to(known[0], old).reshape(new)
        for axis in range(numbering.ndim):
            start = np.take(numbering, [0], axis)
            if (numbering == start).all():
                numbering = start
        wide = [size for size in numbering.shape if size > 1]
        if len(wide) > 1:
            self.rows.append(numbering.reshape(-1, wide[-1]))
        return numbering

    def _concatenated(
        self, operation: Any, given: list, known: list, result: Any
    ) -> Numbering:
        """Number the result of a concatenation."""
        axis = operation.axis
        axis = axis - 1 if axis > 0 else axis % (len(result.shape) - 1)
        sizes = [tensor.shape[1 + axis] for tensor in given]
        if all(numbering.shape[axis] == 1 for numbering in known) and (
            None in sizes or any(size > 1 for size in sizes)
        ):
            return self._summed([result] * len(known), known)
        shape = np.broadcast_shapes(
            *((*x.shape[:axis], 1, *x.shape[axis + 1 :]) for x in known)
        )
        return np.concatenate(
            [
                np.broadcast_to(
                    numbering, (*shape[:axis], size, *shape[axis + 1 :])
                )
                for numbering, size in zip(known, sizes, strict=True)
            ],
            axis,
        )

    def _multiplied(
        self, operation: Any, given: list, known: list, result: Any
    ) -> Numbering:
        """Number a matrix product; join the channels that it sums over."""
        left, right = known
        if left.ndim != right.ndim or left.ndim < 2:
            return None
        if left.shape[-1] > 1 or right.shape[-2] > 1:
            if left.shape[-2] > 1 or right.shape[-1] > 1:
                return None
            self.sets.join(left[..., 0, :], right[..., 0])
            return np.full((1,) * left.ndim, WHOLE)
        if (left != WHOLE).any() and (right != WHOLE).any():
            return None
        return right if (right != WHOLE).any() else left

    def _summed(self, given: list, known: list[Numbering]) -> Numbering:
        """Number an elementwise result; join the channels that are combined."""
        rank = max(len(tensor.shape) for tensor in given) - 1
        full = [1] * rank
        wide = set()
        for tensor, numbering in zip(given, known, strict=True):
            if numbering is None or numbering.ndim != rank:
                return None
            wide |= {axis for axis in range(rank) if numbering.shape[axis] > 1}
            for axis, size in enumerate(tensor.shape[1:]):
                full[axis] = size if size != 1 else full[axis]
        # A mask with one channel is broadcast over all of them: not joined.
        parts = [
            numbering
            for tensor, numbering in zip(given, known, strict=True)
            if numbering is not None
            and all(tensor.shape[1 + axis] == full[axis] for axis in wide)
        ]
        for other in parts[1:]:
            self.sets.join(parts[0], other)
        shape = np.broadcast_shapes(*(part.shape for part in parts))
        return np.broadcast_to(parts[0], shape)

    def _channels(
        self, numbering: Numbering, tensor: Any, axis: int
    ) -> Numbering:
        """Return the channels along an axis, the same at every other position.

        Where they differ between positions, as after a reshape, they are
        joined.
        """
        size = tensor.shape[1:][axis] if len(tensor.shape) > 1 else None
        if numbering is None or size is None:
            return None
        if numbering.shape[axis] == 1:
            return (
                None
                if numbering.size > 1
                else np.repeat(numbering.ravel(), size)
            )
        rows = np.moveaxis(numbering, axis, -1).reshape(-1, size)
        for row in rows[1:]:
            self.sets.join(rows[0], row)
        return rows[0]

    def _makes(self, operation: Any, count: int) -> np.ndarray:
        """Number the channels that a layer makes, the same at every call."""
        if id(operation) not in self.made:
            self.made[id(operation)] = self.sets.new(count)
        return self.made[id(operation)]

    def _reads(self, operation: Any, read: Numbering) -> None:
        """Record what a layer reads; join the calls of a shared layer."""
        before = self.read.setdefault(id(operation), read)
        if before is None or read is None:
            self.read[id(operation)] = None
        else:
            self.sets.join(before, read)
