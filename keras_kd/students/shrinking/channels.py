"""Which channels of a teacher belong together, followed through its graph."""

from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_kd.core.graphs import is_graph
from keras_kd.core.graphs import view
from keras_kd.students.shrinking.composite import is_composite
from keras_kd.students.shrinking.composite import keeps_width
from keras_kd.students.shrinking.graph import calls
from keras_kd.students.shrinking.joins import Joins
from keras_kd.students.shrinking.labels import WHOLE
from keras_kd.students.shrinking.labels import Labels
from keras_kd.students.shrinking.labels import Numbers
from keras_kd.students.shrinking.labels import along
from keras_kd.students.shrinking.labels import permuted
from keras_kd.students.shrinking.labels import reduced
from keras_kd.students.shrinking.labels import sliced
from keras_kd.students.shrinking.labels import whole
from keras_kd.students.shrinking.layer_kinds import ELEMENTWISE
from keras_kd.students.shrinking.layer_kinds import FOLLOWERS
from keras_kd.students.shrinking.layer_kinds import SAME_CHANNELS
from keras_kd.students.shrinking.layer_kinds import SPATIAL
from keras_kd.students.shrinking.layer_kinds import channel_axis
from keras_kd.students.shrinking.layer_kinds import follows_input
from keras_kd.students.shrinking.layer_kinds import halves
from keras_kd.students.shrinking.layer_kinds import is_depthwise
from keras_kd.students.shrinking.layer_kinds import is_kind
from keras_kd.students.shrinking.layer_kinds import made_width


class Channels:
    """Numbers the channels that layers make, and follows them to their use.

    Two channels that are added are one: they stay or go together. A layer
    that is not known here gives channels that are not known.

    Attributes:
        made: Channels a layer makes, by the layer's id.
        read: Channels a layer reads along the axis its weights share with
            them, by the layer's id; None where they are not known.
        numbers: The channels, and which of them are one.
        rows: Channels in rows that have to keep equally many: the groups of
            a convolution, the heads of an attention, the directions of a
            Bidirectional layer.
        lost: Operations whose results' channels are not known.
    """

    def __init__(
        self,
        model: keras.Model,
        heads: set[int],
        passed_over: dict[int, int],
        ruled: Callable[[Any], bool],
    ) -> None:
        self.made: dict[int, np.ndarray] = {}
        self.read: dict[int, Labels] = {}
        self.rows: list[np.ndarray] = []
        self.lost: list[str] = []
        self._heads = heads
        self._passed_over = passed_over
        self._ruled = ruled
        self.numbers = Numbers()
        self._joins = Joins(self.numbers, self.rows)
        self._follow(model, [whole(tensor) for tensor in model.inputs])

    def _follow(self, model: keras.Model, inputs: list[Labels]) -> list[Labels]:
        graph = view(model)
        labels = {
            id(tensor): given
            for tensor, given in zip(graph.inputs, inputs, strict=True)
        }
        for operation, given, results in calls(graph, self._passed_over):
            known = [labels[id(tensor)] for tensor in given]
            if id(operation) in self._passed_over:
                found = known
            elif is_graph(operation):
                found = self._follow(operation, known)
            else:
                found = self._through(operation, given, known, results)
            labels |= {
                id(tensor): given
                for tensor, given in zip(results, found, strict=True)
            }
        return [labels[id(tensor)] for tensor in graph.outputs]

    def _through(
        self, operation: Any, given: list, known: list[Labels], results: list
    ) -> list[Labels]:
        """Channels of the results of one call."""
        if self._ruled(operation):
            return [self._by_rule(operation, given, known, results)] * len(
                results
            )
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
        self, operation: Any, given: list, known: list[Labels], results: list
    ) -> Labels:
        """Channels of what has none of its own, None where not known."""
        if len(results) != 1:
            return None
        if is_kind(operation, ELEMENTWISE) and len(given) > 1:
            return self._joins.merged(given, known)
        for kinds, rule in self._rules():
            follower = kinds is FOLLOWERS and follows_input(operation)
            if follower or is_kind(operation, kinds):
                if any(entry is None for entry in known):
                    self._reads(operation, None)
                    return None
                return rule(operation, given, known, results[0])
        return None

    def _rules(self) -> Iterator[tuple[set[str], Callable[..., Labels]]]:
        yield FOLLOWERS, self._follower
        yield SAME_CHANNELS, lambda operation, given, known, result: known[0]
        yield SPATIAL, self._spatial
        yield (
            {"Flatten", "Reshape", "ExpandDims", "Squeeze"},
            self._joins.reshaped,
        )
        yield {"Permute", "Transpose"}, permuted
        yield {"Concatenate"}, self._joins.joined
        yield {"GetItem"}, sliced
        yield {"Matmul"}, self._joins.product
        yield {"Max", "Mean", "Sum"}, reduced

    def _by_rule(
        self, operation: Any, given: list, known: list[Labels], results: list
    ) -> Labels:
        """Channels of what a rule of the caller makes."""
        kind = type(operation).__name__
        self.lost.append(f"`{operation.name}` ({kind}), which has a rule")
        if len(results) == 1 and given[0].shape == results[0].shape:
            return known[0]
        size = results[0].shape[-1] if len(results) == 1 else None
        if size is None:
            return None
        if id(operation) not in self.made:
            self.made[id(operation)] = self.numbers.new(size)
        made = self.made[id(operation)]
        return along(made, -1, len(results[0].shape) - 1)

    def _composite(
        self, operation: Any, given: list, known: list[Labels], result: Any
    ) -> Labels:
        """A layer of layers: it adds to its channels, or makes new ones."""
        if "int" in given[0].dtype:
            read: Labels = np.array([WHOLE])
        else:
            read = self._channels(known[0], given[0], -1)
        self._reads(operation, read)
        if keeps_width(given[0], result):
            for tensor, labels in zip(given[1:], known[1:], strict=True):
                # Inside, what it attends to has the places of these.
                if keeps_width(given[0], tensor) and "float" in tensor.dtype:
                    self._reads(operation, self._channels(labels, tensor, -1))
            rank = len(result.shape) - 1
            return None if read is None else along(read, -1, rank)
        size = result.shape[-1]
        if size is None:
            return None
        if id(operation) not in self.made:
            self.made[id(operation)] = self.numbers.new(size)
        return along(self.made[id(operation)], -1, len(result.shape) - 1)

    def _wide(
        self, operation: Any, given: list, known: list[Labels], result: Any
    ) -> Labels:
        """A layer with a width of its own: it makes new channels."""
        axis = channel_axis(operation)
        rank = len(result.shape) - 1
        if isinstance(operation, keras.layers.Embedding):
            read: Labels = np.array([WHOLE])
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
        if id(operation) not in self.made:
            self.made[id(operation)] = self.numbers.new(units)
        made = self.made[id(operation)]
        if read is None and known[0] is not None:
            return None  # Channels on two axes, as an MLP-Mixer has them.
        self._in_rows(operation, read, made)
        if rank < 1 or result.shape[1:][axis] != units:
            return None
        return along(made, axis, rank)

    def _in_rows(self, operation: Any, read: Labels, made: np.ndarray) -> None:
        """Note the rows of a layer's channels: groups, or two directions."""
        groups = getattr(operation, "groups", 1)
        if groups > 1:
            self.rows.append(made.reshape(groups, -1))
            if read is not None:
                self.rows.append(read.reshape(groups, -1))
        if halves(operation) > 1:
            self.rows.append(made.reshape(2, -1))

    def _follower(
        self, operation: Any, given: list, known: list, result: Any
    ) -> Labels:
        """Normalization, depthwise convolution and their like."""
        axis = channel_axis(operation)
        read = self._channels(known[0], given[0], axis)
        self._reads(operation, read)
        if read is None:
            return None
        times = getattr(operation, "depth_multiplier", 1)
        return along(np.repeat(read, times), axis, len(result.shape) - 1)

    def _spatial(
        self, operation: Any, given: list, known: list, result: Any
    ) -> Labels:
        """Pooling, padding, resizing: every pixel has the same channels."""
        axis = channel_axis(operation)
        read = self._channels(known[0], given[0], axis)
        rank = len(result.shape) - 1
        return None if read is None else along(read, axis % rank, rank)

    def _channels(self, labels: Labels, tensor: Any, axis: int) -> Labels:
        """Channels along an axis; those at other places are made one."""
        size = tensor.shape[1:][axis] if len(tensor.shape) > 1 else None
        if labels is None or size is None:
            return None
        if labels.shape[axis] == 1:
            return None if labels.size > 1 else np.repeat(labels.ravel(), size)
        rows = np.moveaxis(labels, axis, -1).reshape(-1, size)
        for row in rows[1:]:
            self.numbers.join(rows[0], row)
        return rows[0]

    def _reads(self, operation: Any, read: Labels) -> None:
        """Note what a layer reads; a shared layer reads it at every call."""
        before = self.read.setdefault(id(operation), read)
        if before is None or read is None:
            self.read[id(operation)] = None
        else:
            self.numbers.join(before, read)
