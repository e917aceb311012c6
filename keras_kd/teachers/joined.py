"""A teacher whose outputs come with the data, from a cache."""

from collections.abc import Iterable
from typing import Any

import keras

from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.checks import show
from keras_kd.core.packed_inputs import SOURCE
from keras_kd.core.packed_inputs import TopK
from keras_kd.core.taps import Tapped
from keras_kd.teachers.base import BoundTeacher


class JoinedTeacher(BoundTeacher):
    """Reads the teacher's outputs from joined data; runs no model.

    Args:
        cache: A `TeacherCache`, whose classes and layers are known before
            any data is read; `None` if only the data is known.
        layers: Layers that the losses read.
        output_kind: Must be `None`: a cache holds logits.

    Raises:
        ValueError: If the cache does not hold a layer.

    Example:
    >>> import numpy as np
    >>> import keras_kd
    >>> teacher = keras_kd.teachers.JoinedTeacher()
    >>> teacher(None, {"logits": np.ones((5, 3))}).logits.shape[-1]
    3
    """

    reads_joined = True

    def __init__(
        self,
        cache: Any = None,
        layers: Iterable[str] = (),
        output_kind: Any = None,
    ) -> None:
        if output_kind is not None:
            raise ValueError(
                requirement(
                    "Distiller",
                    "teacher_output",
                    "None when the teacher is a TeacherCache, which holds "
                    "logits",
                    output_kind,
                    "Give it to `TeacherCache.build`.",
                )
            )
        self.model = cache
        self.spec = None if cache is None else cache.spec
        self.kind_by_key = getattr(cache, "kind_by_key", {})
        self._source = getattr(cache, "source", None)
        self._layers = list(layers)
        if self.spec is not None:
            self._check_layers(self.spec.features)

    def __call__(self, x: Any, joined: dict[str, Any] | None = None) -> Tapped:
        """Return the outputs that were joined to the batch, in float32.

        Raises:
            ValueError: If there are none, or they are of another teacher.
        """
        if joined is None or not set(joined) & {"logits", "features"}:
            raise ValueError(
                "`Distiller` needs data that the cache was joined to. "
                "Received: a batch without teacher outputs. Train on "
                "`cache.join(dataset)`."
            )
        self._check_source(joined)
        logits = keras.tree.traverse(_dense, joined.get("logits"))
        logits = keras.tree.map_structure(_constant, logits)
        features = joined.get("features") or {}
        self._check_layers(features)
        if self.spec is not None:
            logits = _like(self.spec.logits, logits)
        features = {key: _constant(features[key]) for key in self._layers}
        return Tapped(logits, logits, features)

    def _check_source(self, joined: dict[str, Any]) -> None:
        sources = {name for name in joined if name.startswith(SOURCE)}
        if self._source is not None and sources - {self._source}:
            raise ValueError(
                "`Distiller` needs data joined from its own cache, "
                f"{self.model}. Received: data joined to a cache of another "
                "teacher. Use the `join` of the cache that is the teacher."
            )

    def _check_layers(self, stored: dict[str, Any]) -> None:
        for layer in self._layers:
            if layer not in stored:
                raise ValueError(
                    "`Distiller` needs `teacher_layer` to be a layer that "
                    f"the cache holds, one of {show(list(stored))}. "
                    f"Received: teacher_layer={layer!r}. "
                    f"{nearest(layer, stored)} Build the cache with "
                    f"`layers=[{layer!r}]`.".replace(".  ", ". ")
                )


def _dense(node: Any) -> Any:
    return node.dense() if isinstance(node, TopK) else None


def _constant(tensor: Any) -> Any:
    if tensor is None:
        return None
    tensor = keras.ops.convert_to_tensor(tensor)
    return keras.ops.stop_gradient(keras.ops.cast(tensor, "float32"))


def _like(spec: Any, logits: Any) -> Any:
    """Check joined logits, and arrange them as the cache's teacher did.

    In a pipeline the outputs of a list travel as a tuple.
    """
    leaves = keras.tree.flatten(logits)
    expected = [tuple(leaf.shape) for leaf in keras.tree.flatten(spec)]
    received = [tuple(leaf.shape) for leaf in leaves]
    if [shape[1:] for shape in expected] != [shape[1:] for shape in received]:
        raise ValueError(
            "`Distiller` needs data joined from its own cache, with logits "
            f"of shape {_shown(expected)}. Received: logits of shape "
            f"{_shown(received)}. Use the `join` of the cache that is "
            "the teacher."
        )
    return keras.tree.pack_sequence_as(spec, leaves)


def _shown(shapes: list[tuple[Any, ...]]) -> str:
    return ", ".join(map(str, shapes)) or "no outputs"
