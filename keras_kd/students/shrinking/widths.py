"""Decides how many of the teacher's channels a student keeps, and which."""

from collections import Counter
from collections import defaultdict
from collections.abc import Mapping
from math import lcm

import numpy as np

from keras_kd.students.scaling import rounded
from keras_kd.students.shrinking.channel_numbers import WHOLE
from keras_kd.students.shrinking.channel_numbers import Numbering
from keras_kd.students.shrinking.channels import Channels

# Numbers of channels that are made by the same layers.
Cell = list[int]


class Widths:
    """The channels that stay.

    Channels made by the same layers form a cell. Every cell keeps the same
    share of its channels, so that sums and concatenations still fit.

    Args:
        channels: The teacher's channels.
        width: Share of them to keep.
        multiple: Number that the widths are rounded to a multiple of.
        importance: Importance of each channel a layer makes, by the layer's
            id; the most important channels stay. None keeps the first ones.

    Attributes:
        uneven: Whether importance could not be followed with equally many
            channels in every row.
        lost: See `Channels`.
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
        self._ranked = importance is not None
        self._values = self._summed(importance or {})
        self.uneven = False
        self.lost = channels.lost
        kept = {WHOLE}
        for cell in self._cells():
            count = rounded(len(cell), width, multiple, self._even(cell))
            kept.update(self._chosen(cell, count))
        self._kept = np.isin(self._roots, list(kept))

    def units(self, layer: int) -> int | None:
        """Return the width of the layer with this id; None if it is unknown."""
        made = self._channels.made.get(layer)
        return None if made is None else int(self._kept[made].sum())

    def pinned(self, layer: int) -> bool:
        """Tell whether a layer is joined with the input and keeps its width."""
        made = self._channels.made.get(layer)
        return made is not None and bool((self._roots[made] == WHOLE).all())

    def followed(self, layer: int) -> bool:
        """Tell whether the layer was reached, and so is part of the student."""
        return layer in self._channels.read

    def made(self, layer: int) -> np.ndarray | None:
        """Return the positions of kept channels among those a layer makes."""
        return self._positions(self._channels.made.get(layer))

    def read(self, layer: int) -> np.ndarray | None:
        """Return the positions of kept channels among those a layer reads."""
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
        """Return a number that a cell's width has to be a multiple of.

        It is the number of rows that the cell is spread over evenly.
        """
        counts = [1]
        for rows in self._rows:
            inside = np.isin(rows, cell).sum(axis=1)
            inside = inside[inside > 0]
            if inside.size and (inside == inside[0]).all():
                counts.append(len(inside))
        return lcm(*counts)

    def _chosen(self, cell: Cell, count: int) -> Cell:
        """Return the most important channels of a cell, equally many a row."""
        if not self._ranked or count == len(cell):
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
        """Sum the importance of each channel over all layers that make it."""
        values = np.zeros(len(self._roots))
        for layer, value in importance.items():
            np.add.at(values, self._roots[self._channels.made[layer]], value)
        return values
