"""The embeddings that a model had of every example of a data set."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keras import ops

from keras_kd.losses.functional import unit

_EPSILON = 1e-7


@dataclass(frozen=True)
class MemoryBank:
    """One model's embeddings, against which the other model's are told.

    Attributes:
        rows: A variable `(num_examples, dimensions)`.
        normalizer: A variable, a scalar; 0 before the first batch.
        temperature: Divisor of the products.
        momentum: Share of an old row that stays.
        gather: Concatenates the tensors of the replicas.
    """

    rows: Any
    normalizer: Any
    temperature: float
    momentum: float
    gather: Callable[[Any], Any]

    def told(self, embeddings: Any, index: Any, training: bool | None) -> Any:
        """Return how badly each example is told from its negatives.

        Args:
            embeddings: The other model's, `(batch, dimensions)`.
            index: `(batch, 1 + negatives)`: each id and its negatives.
            training: Whether to keep the normalizer of the first batch.

        Returns:
            `(batch,)`.
        """
        total, negatives = self.rows.shape[0], index.shape[1] - 1
        rows = ops.cast(self.rows, embeddings.dtype)
        products = ops.matmul(embeddings, ops.transpose(rows))
        products = ops.take_along_axis(products, index, axis=1)
        scores = ops.exp(products / self.temperature)
        means = ops.mean(ops.stop_gradient(scores), axis=1)
        kept = ops.cast(self.normalizer, scores.dtype)
        first = total * ops.mean(self.gather(means))
        normalizer = ops.where(kept > 0, kept, first)
        if training:
            self.normalizer.assign(ops.cast(normalizer, "float32"))
        shares, noise = scores / normalizer, negatives / total
        return (
            ops.sum(ops.log(shares + (noise + _EPSILON)), axis=1)
            - ops.log(shares[:, 0])
            - negatives * math.log(noise)
        )

    def remember(self, embeddings: Any, ids: Any) -> None:
        """Move the rows of the global batch toward their embeddings.

        Args:
            embeddings: This model's, `(batch, dimensions)`.
            ids: `(batch,)`.
        """
        ids, new = self.gather(ids), ops.cast(embeddings, "float32")
        new = self.gather(ops.stop_gradient(new))
        old = ops.take(self.rows, ids, axis=0)
        new = unit(self.momentum * old + (1 - self.momentum) * new)
        # An overflow in half precision must not stay.
        finite = ops.all(ops.isfinite(new), axis=1, keepdims=True)
        new = ops.where(finite, new, old)
        self.rows.assign(ops.scatter_update(self.rows, ids[:, None], new))
