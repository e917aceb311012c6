"""Narrows layers that hold other layers, such as transformer blocks.

The layers inside cannot be called one by one, so the widths are changed in the
config. The entry names known here are those of Keras, KerasHub and keras.io.
"""

import inspect
from typing import Any

import keras
import numpy as np

from keras_kd.core.keras_internals import calls_of
from keras_kd.students.scaling import rounded
from keras_kd.students.scaling import scaled

Shape = tuple[int | None, ...]
Index = np.ndarray | None

# Widths of a feedforward network: a layer that has one is a whole block.
_FEEDFORWARD = {
    "dense_dim",
    "feedforward_dim",
    "ff_dim",
    "intermediate_dim",
    "mlp_dim",
}
# Widths of inputs, of outputs or of layers in between.
_WIDTHS = _FEEDFORWARD | {
    "embed_dim",
    "embedding_dim",
    "hidden_dim",
    "input_filters",
    "output_filters",
    "project_dim",
}
_HEADS = ("num_heads", "num_query_heads", "num_key_value_heads")
_HEAD_WIDTHS = ("key_dim", "value_dim", "head_dim")


def is_composite(operation: Any) -> bool:
    """Tell whether a layer's config names the widths of layers inside it."""
    if not isinstance(operation, keras.layers.Layer) or not operation.weights:
        return False
    return not _WIDTHS.union(_HEADS).isdisjoint(_config(operation))


def is_block(operation: Any) -> bool:
    """Tell whether a layer is a transformer block, with a shortcut inside."""
    return (
        is_composite(operation)
        and not _FEEDFORWARD.isdisjoint(_config(operation))
        and keeps_width(*ends(operation))
    )


def ends(operation: Any) -> tuple[Any, Any]:
    """Return the first input and the first output of a layer's first call."""
    node = calls_of(operation)[0]
    return node.input_tensors[0], node.output_tensors[0]


def keeps_width(given: Any, result: Any) -> bool:
    """Tell whether a result has as many axes and channels as the input."""
    return (
        len(getattr(result, "shape", ())) == len(given.shape) > 2
        and given.shape[-1] == result.shape[-1]
    )


def inner_changes(
    operation: Any,
    config: dict[str, Any],
    given: Shape,
    planned: int | None,
    width: float,
    multiple: int,
) -> dict[str, Any]:
    """Return the entries of a layer's config that differ in the student.

    Args:
        operation: The teacher's layer.
        config: Its config.
        given: Shape of its first input in the student.
        planned: Channels of its output in the student, None if unknown.
        width: See `narrowed`.
        multiple: See `rounded`.
    """
    before, after = ends(operation)
    read, made = before.shape[-1], after.shape[-1]
    fewer: Any = given[-1]
    units: Any = planned or rounded(made, width, multiple)
    if keeps_width(before, after):
        units = fewer
    elif "int" in before.dtype:  # Indices have no channels.
        read, fewer = made, units
    return narrowed(config, (read, made), (fewer, units), width, multiple)


def narrowed(
    config: dict[str, Any],
    old: tuple[int, int],
    new: tuple[int, int],
    width: float,
    multiple: int,
) -> dict[str, Any]:
    """Return the entries of a config that differ in the student.

    The number of heads shrinks and their width is kept if possible, as in
    the small BERTs (Turc et al. 2019, arXiv 1908.08962).

    Args:
        config: Config of the teacher's layer.
        old: Input and output channels of the teacher's layer.
        new: Input and output channels of the student's layer.
        width: Multiplier of the widths in between.
        multiple: See `rounded`.

    >>> narrowed({"hidden_dim": 64, "num_heads": 4, "mlp_dim": 256},
    ...          (64, 64), (32, 32), 0.5, 8)
    {'hidden_dim': 32, 'mlp_dim': 128, 'num_heads': 2}
    """
    known = {old[0]: new[0], old[1]: new[1]}
    changes: dict[str, Any] = {
        key: known.get(value, rounded(value, width, multiple))
        for key, value in config.items()
        if key in _WIDTHS and isinstance(value, int)
    }
    # KerasHub's decoders are built from the shapes in their config.
    changes |= {
        key: (*shape[:-1], known[shape[-1]])
        for key, shape in config.items()
        if key.endswith("_shape")
        and isinstance(shape, (list, tuple))
        and shape[-1] in known
    }
    heads = {key: config[key] for key in _HEADS if key in config}
    if not heads:
        return changes
    if isinstance(config.get("output_shape"), int):
        changes["output_shape"] = new[1]
    own = {k: config[k] for k in _HEAD_WIDTHS if config.get(k) is not None}
    # Heads without a width of their own share the channels.
    shared = 0 if own else new[1]
    fewer = _fewer_heads(heads, width, shared)
    most = max(heads, key=lambda key: heads[key])
    share = heads[most] * width / fewer[most]
    for key, value in own.items():
        even = 2 if value % 2 == 0 else 1
        changes[key] = min(value, scaled(value, share, even))
    return changes | fewer


def _fewer_heads(
    heads: dict[str, int], width: float, shared: int
) -> dict[str, int]:
    """Scale numbers of heads, so that each still divides the largest.

    >>> _fewer_heads({"num_query_heads": 4, "num_key_value_heads": 1}, 0.5, 0)
    {'num_query_heads': 2, 'num_key_value_heads': 1}
    >>> _fewer_heads({"num_heads": 12}, 0.25, 64)
    {'num_heads': 4}
    """
    most = max(heads.values())
    # Nearest to the wanted number first; of two, the larger.
    for count in sorted(
        range(most, 0, -1), key=lambda count: abs(count - most * width)
    ):
        fewer = {k: max(1, round(v * count / most)) for k, v in heads.items()}
        if shared % count == 0 and all(count % v == 0 for v in fewer.values()):
            break
    return fewer


def from_config(kind: Any, config: dict[str, Any]) -> Any:
    """Make a layer whose config may have entries that `__init__` rejects.

    KerasHub's vision transformers write computed values into their configs
    that they do not accept as arguments.

    Raises:
        ValueError: If the new layer has other values for these entries.
    """
    try:
        return kind.from_config(config)
    except TypeError:
        own = inspect.signature(kind.__init__).parameters
        base = inspect.signature(keras.layers.Layer.__init__).parameters
        known = config.keys() & (own.keys() | base.keys())
        made = kind.from_config({key: config[key] for key in known})
    for key in config.keys() - known:
        if getattr(made, key, None) != config[key]:
            raise ValueError(
                f"its config has `{key}`, which is no argument of its class"
            )
    return made


def importance(operation: Any) -> np.ndarray:
    """Return the L1 norm of the weights that end in each output channel."""
    channels = ends(operation)[1].shape[-1]
    total = np.zeros(channels)
    for weight in operation.weights:
        if len(weight.shape) > 1 and weight.shape[-1] == channels:
            value = keras.ops.convert_to_numpy(weight).astype("float64")
            total += np.abs(value).reshape(-1, channels).sum(axis=0)
    return total


def parts(operation: Any, clone: Any, read: Index, made: Index) -> list[Any]:
    """Return the kept part of each weight of a layer.

    An axis whose size differs in the student is matched by its sizes in
    teacher and student. If they are those of the input or output channels, it
    keeps the given channels; if they fit both, the last axis of a weight
    keeps the output channels, the other axes the input channels. Axes of any
    other size keep the positions with the largest L1 norm, and all axes of
    one size keep the same positions.

    Args:
        operation: The teacher's layer.
        clone: The student's layer.
        read: Kept input channels, None if they are not known.
        made: Kept output channels, None if they are the input channels.

    Returns:
        Arrays in the order of the weights. Seed states are the student's own.
    """
    incoming, outgoing = (
        {(old.shape[-1], new.shape[-1]): index} if index is not None else {}
        for old, new, index in zip(
            ends(operation), ends(clone), (read, made), strict=True
        )
    )
    pairs = list(zip(operation.weights, clone.weights, strict=True))
    inside: dict[tuple[int, int], np.ndarray] = {}
    values = []
    for old, new in pairs:
        if "seed" in old.name:
            values.append(keras.ops.convert_to_numpy(new))
            continue
        value = keras.ops.convert_to_numpy(old)
        for axis, sizes in enumerate(zip(old.shape, new.shape, strict=True)):
            if sizes[0] == sizes[1]:
                continue
            last = axis == value.ndim - 1
            known = incoming | outgoing if last else outgoing | incoming
            if sizes not in known | inside:
                inside[sizes] = _strongest(pairs, sizes)
            value = value.take((inside | known)[sizes], axis)
        values.append(value)
    return values


def _strongest(pairs: list[tuple], sizes: tuple[int, int]) -> np.ndarray:
    """Return the positions of the largest L1 norm along axes of one size."""
    total = np.zeros(sizes[0])
    for old, new in pairs:
        value = np.abs(keras.ops.convert_to_numpy(old).astype("float64"))
        for axis, found in enumerate(zip(old.shape, new.shape, strict=True)):
            if found == sizes and value.ndim > 1:
                total += (
                    np.moveaxis(value, axis, 0).reshape(sizes[0], -1).sum(1)
                )
    return np.sort(np.argsort(-total, kind="stable")[: sizes[1]])


def _config(operation: Any) -> dict[str, Any]:
    try:
        return operation.get_config()
    # A class may raise anything here. Such a layer counts as having no known
    # widths; making it again later reports the error.
    except Exception:
        return {}
