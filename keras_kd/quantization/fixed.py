"""A quantize-aware student with the numbers that its file will hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_kd.quantization.fake_quantize import FakeQuantize


def is_quantize_aware(student: keras.Model) -> bool:
    """Tell whether a model was made by `quantize_aware`."""
    return any(
        isinstance(layer, FakeQuantize) for layer in student._flatten_layers()
    )


@contextmanager
def fixed_ranges(student: keras.Model) -> Iterator[None]:
    """Let every layer compute with constants, and undo it at the end.

    The LiteRT converter reads the ranges of int8 from the fake quantization
    in a graph, which have to be constants there, and folded kernels as well.

    Args:
        student: A trained quantize-aware model; unchanged afterwards.

    Raises:
        ValueError: If it has seen no data.
    """
    fixed: list[Any] = []
    try:
        for layer in student._flatten_layers():
            if hasattr(layer, "fix"):
                fixed.append(layer)
                layer.fix()
        yield
    finally:
        for layer in fixed:
            layer.release()
