"""Makes students of other precisions compute in float32 during an export."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from keras_kd.core.keras_internals import flatten_layers


class _Narrowing(keras.dtype_policies.DTypePolicy):
    """Makes a layer with float64 weights compute in float32."""

    @property
    def variable_dtype(self) -> str:
        """A type other than `compute_dtype`: only then does Keras cast."""
        return "float64"


def is_mixed(student: keras.Model) -> bool:
    """Tell whether any layer computes in float16 or bfloat16."""
    return any(
        layer.compute_dtype in ("float16", "bfloat16")
        for layer in flatten_layers(student)
    )


@contextmanager
def float32_arithmetic(student: keras.Model) -> Iterator[None]:
    """Make every layer compute in float32 until the context exits.

    From layers that compute in float16 or bfloat16, the LiteRT converter
    writes files that do not load; and devices have no float64. Weights are
    cast when they are read, so no copy of the layers is needed, including
    nested and custom ones.

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
