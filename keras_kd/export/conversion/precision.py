"""Students of other precisions, computed in float32 while exported."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from keras_kd.core.keras_internals import flatten_layers


class _Narrowing(keras.dtype_policies.DTypePolicy):
    """Computes in float32 with float64 weights, which it casts."""

    @property
    def variable_dtype(self) -> str:
        """Differs from `compute_dtype`: only then does Keras cast."""
        return "float64"


def is_mixed(student: keras.Model) -> bool:
    """Whether any layer computes in less than float32."""
    return any(
        layer.compute_dtype in ("float16", "bfloat16")
        for layer in flatten_layers(student)
    )


@contextmanager
def float32_arithmetic(student: keras.Model) -> Iterator[None]:
    """Let every layer compute in float32, and undo it at the end.

    The LiteRT converter writes files that do not load from layers that
    compute in float16 or bfloat16, and devices have no float64. Weights are
    cast as they are read, so that the same layers, nested and custom ones
    included, do for the copy that is exported.

    Args:
        student: A built model; unchanged afterwards.
    """
    before = [
        (layer, layer.dtype_policy)
        for layer in flatten_layers(student)
        if layer.compute_dtype in ("float16", "bfloat16", "float64")
    ]
    try:
        for layer, policy in before:
            wide = policy.variable_dtype == "float64"
            layer.dtype_policy = _Narrowing("float32") if wide else "float32"
        yield
    finally:
        for layer, policy in before:
            layer.dtype_policy = policy
