"""Layers that hold other layers, such as the block of a transformer.

What is inside cannot be called layer by layer; what is known are the entries
of the config. The names are those of Keras, KerasHub and keras.io.
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

# Widths of a feedforward network: a layer with one is a whole block.
_FEEDFORWARD = {
    "dense_dim",
    "feedforward_dim",
    "ff_dim",
    "intermediate_dim",
    "mlp_dim",
}
# Widths: of what comes in, of what goes out, or of what is in between.
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
    """Tell a layer whose config names the widths of layers inside."""
    if not isinstance(operation, keras.layers.Layer) or not operation.weights:
        return False
    return not _WIDTHS.union(_HEADS).isdisjoint(_config(operation))


def is_block(operation: Any) -> bool:
    """Tell a transformer's block, which adds to what it is given."""
    return (
        is_composite(operation)
        and not _FEEDFORWARD.isdisjoint(_config(operation))
        and keeps_width(*ends(operation))
    )


def ends(operation: Any) -> tuple[Any, Any]:
    """Return what comes in first at a layer's first call, and goes out."""
    node = calls_of(operation)[0]
    return node.input_tensors[0], node.output_tensors[0]


def keeps_width(given: Any, result: Any) -> bool:
    """Tell whether what goes out has the channels of what came in."""
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
        given: Shape of what comes in first in the student.
        planned: Channels that go out there, `None` where that is not known.
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

    Heads get fewer and keep their width where that fits, as in the small
    BERTs (Turc et al. 2019, arXiv 1908.08962).

    Args:
        config: Of the teacher's layer.
        old: Channels that come in and go out, of the teacher's layer.
        new: Those of the student's.
        width: Multiplier of what is in between.
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
    """Scale numbers of heads, of which each divides the largest.

    >>> _fewer_heads({"num_query_heads": 4, "num_key_value_heads": 1}, 0.5, 0)
    {'num_query_heads': 2, 'num_key_value_heads': 1}
    >>> _fewer_heads({"num_heads": 12}, 0.25, 64)
    {'num_heads': 4}
    """
    most = max(heads.values())
    # Those next to what is wanted first, larger ones before smaller.
    for count in sorted(
        range(most, 0, -1), key=lambda count: abs(count - most * width)
    ):
        fewer = {k: max(1, round(v * count / most)) for k, v in heads.items()}
        if shared % count == 0 and all(count % v == 0 for v in fewer.values()):
            break
    return fewer


def from_config(kind: Any, config: dict[str, Any]) -> Any:
    """Make a layer; its config may have numbers beside its arguments.

    KerasHub's vision transformers write there what they compute, and take
    none of it.

    Raises:
        ValueError: If the layer that is made has other numbers.
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
    """L1 norm of what makes each channel that goes out."""
    channels = ends(operation)[1].shape[-1]
    total = np.zeros(channels)
    for weight in operation.weights:
        if len(weight.shape) > 1 and weight.shape[-1] == channels:
            value = keras.ops.convert_to_numpy(weight).astype("float64")
            total += np.abs(value).reshape(-1, channels).sum(axis=0)
    return total


def parts(operation: Any, clone: Any, read: Index, made: Index) -> list[Any]:
    """Return the kept part of each weight of a layer.

    An axis that has another size in the student keeps the channels that go
    out or come in where it has their sizes; the last axis of a weight rather
    those that go out. All other axes of one size keep the places with the
    largest L1 norm, the same throughout the layer.

    Args:
        operation: The teacher's layer.
        clone: The student's.
        read: Kept channels of what comes in, `None` where they are not known.
        made: Kept channels of what goes out, `None` where they are those of
            what comes in.

    Returns:
        Arrays in the order of the weights; the states of seeds are the
        student's own.
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
    """Return the places of the largest L1 norm along axes of one size."""
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
    # Whatever a class may raise; it cannot be made again, which says so.
    except Exception:
        return {}
