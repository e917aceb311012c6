"""Copies the state of a layer to a new one of the same class."""

from tempfile import TemporaryDirectory
from typing import Any

from keras import layers


def copy_state(source: Any, target: Any) -> None:
    """Copy a layer's weights, or what else it saves, such as a vocabulary.

    Args:
        source: The layer to copy from.
        target: A layer of the same config. It has to be built if `source`
            has weights, and must not have been called if it has none: the
            size of a vocabulary decides the shape of an output.
    """
    if source.weights:
        target.set_weights(source.get_weights())
        if isinstance(source, layers.Normalization):
            target.finalize_state()
        return
    store: dict[str, Any] = {}
    source.save_own_variables(store)
    target.load_own_variables(store)
    if hasattr(source, "save_assets"):
        with TemporaryDirectory() as folder:
            source.save_assets(folder)
            target.load_assets(folder)
