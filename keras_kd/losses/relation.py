"""The base class of the losses that compare relations between examples."""

import functools
import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_kd.losses.base import DistillationLoss

Own = Callable[[Any], Any]


class RelationLoss(DistillationLoss):
    """Compares how the examples of a batch relate in two models.

    It flattens the features of each example and gathers them from all
    replicas, so that the global batch counts and not how it is split. The
    two models may have features of any two widths or sizes. The terms of
    several layers add up. `layers="auto"` pairs the last features without
    positions of both models, unless a class says otherwise.

    A subclass writes `compare`. Positions are not examples here: pool
    sequences that are padded before they are compared.
    """

    kind = "relation"
    reads = "layers"
    uses_batch = True
    auto_layers = "features"

    def __init__(self, *, gather: bool = True, **kwargs: Any) -> None:
        super().__init__(gather=gather, **kwargs)

    def call(
        self, teacher_outputs: Any, student_outputs: Any, labels: Any = None
    ) -> Any:
        """Return each example's share of the loss of the batch."""
        pairs = zip(
            keras.tree.flatten(teacher_outputs),
            keras.tree.flatten(student_outputs),
            strict=True,
        )
        values = [
            self.compare(
                self.across_replicas(flat(teacher)),
                self.across_replicas(flat(student)),
                functools.partial(self.own_rows, like=student),
            )
            for teacher, student in pairs
        ]
        return sum(values[1:], values[0])

    def compare(self, teacher: Any, student: Any, own: Own) -> Any:
        """Return each own example's share, so that their mean is the loss.

        Args:
            teacher: `(examples, dimensions)` of the global batch. Constant.
            student: The same examples, with dimensions of its own.
            own: Picks this replica's rows of a tensor with a row for each
                example of the global batch.

        Returns:
            `(own examples,)`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no `compare`.")


def flat(features: Any) -> Any:
    """Flatten the features of each example, `(batch, dimensions)`."""
    sizes = features.shape[1:]
    if None in sizes:
        return ops.reshape(features, (ops.shape(features)[0], -1))
    return ops.reshape(features, (-1, math.prod(sizes)))
