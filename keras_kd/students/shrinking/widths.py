"""How many channels each layer of a student has, and which of the teacher's."""

from collections import Counter
from collections import defaultdict
from collections.abc import Mapping
from math import lcm

import numpy as np

from keras_kd.students.scaling import rounded
from keras_kd.students.shrinking.channel_numbers import WHOLE
from keras_kd.students.shrinking.channel_numbers import Numbering
from keras_kd.students.shrinking.channels import Channels

# Channels that are made by the same layers, by the numbers they have.
Cell = list[int]


class Widths:
    """The channels that stay.

    Channels made by the same layers form a cell; of each cell the same share
    stays, so that sums and concatenations fit by themselves.

    Args:
        channels: The teacher's channels.
        width: Share of them to keep.
        multiple: Number that the widths are rounded to a multiple of.
        importance: For each channel how much it counts; those that count
            most stay. None keeps any.
    """

    def __init__(
        self,
        channels: Channels,
        width: float,
        multiple: int,
        importance: Mapping[int, np.ndarray] | None = None,
    ) -> None:
        self._channels = channels
        self._roots = channels.sets.roots()
        self._rows = [self._roots[rows] for rows in channels.rows]
        self._strict = importance is not None
        self._values = self._summed(importance or {})
        self.uneven = False
        self.lost = channels.lost
        kept = {WHOLE}
        for cell in self._cells():
            count = rounded(len(cell), width, multiple, self._even(cell))
            kept.update(self._chosen(cell, count))
        self._kept = np.isin(self._roots, list(kept))

    def units(self, layer: int) -> int | None:
        """Width of the layer with this id; None where it is not known."""
        made = self._channels.made.get(layer)
        return None if made is None else int(self._kept[made].sum())

    def pinned(self, layer: int) -> bool:
        """Tell whether a layer meets the model's input and keeps its width."""
        made = self._channels.made.get(layer)
        return made is not None and bool((self._roots[made] == WHOLE).all())

    def followed(self, layer: int) -> bool:
        """Tell whether the layer is part of the student."""
        return layer in self._channels.read

    def made(self, layer: int) -> np.ndarray | None:
        """Positions of the kept channels among those the layer makes."""
        return self._positions(self._channels.made.get(layer))

    def read(self, layer: int) -> np.ndarray | None:
        """Positions of the kept channels among those the layer reads."""
        return self._positions(self._channels.read.get(layer))

    def _positions(self, channels: Numbering) -> np.ndarray | None:
        if channels is None:
            return None
        return np.flatnonzero(self._kept[channels])

    def _cells(self) -> list[Cell]:
        makers = defaultdict(list)
        for layer, made in self._channels.made.items():
            for root in np.unique(self._roots[made]).tolist():
                makers[root].append(layer)
        cells = defaultdict(list)
        for root, layers in sorted(makers.items()):
            if root != WHOLE:
                cells[tuple(layers)].append(root)
        return list(cells.values())

    def _even(self, cell: Cell) -> int:
        """Number of rows that a cell is spread over evenly."""
        counts = [1]
        for rows in self._rows:
            inside = np.isin(rows, cell).sum(axis=1)
            inside = inside[inside > 0]
            if inside.size and (inside == inside[0]).all():
                counts.append(len(inside))
        return lcm(*counts)

    def _chosen(self, cell: Cell, count: int) -> Cell:
        """The channels of a cell that count most, as many in every row."""
        if not self._strict or count == len(cell):
            return cell[:count]
        places: dict[int, list[int]] = {root: [] for root in cell}
        for number, rows in enumerate(self._rows):
            if not np.isin(rows, cell).any():
                continue
            for index, row in enumerate(rows):
                for root in set(row.tolist()) & places.keys():
                    places[root] += [number, index]
        parts = Counter(tuple(place) for place in places.values())
        chosen: Cell = []
        for place, size in parts.items():
            self.uneven |= count * size % len(cell) != 0
            part = [root for root in cell if tuple(places[root]) == place]
            part.sort(key=lambda root: -self._values[root])
            chosen += part[: round(count * size / len(cell))]
        return chosen

    def _summed(self, importance: Mapping[int, np.ndarray]) -> np.ndarray:
        """Importance of each channel, over all layers that make it."""
        values = np.zeros(len(self._roots))
        for layer, value in importance.items():
            np.add.at(values, self._roots[self._channels.made[layer]], value)
        return values
