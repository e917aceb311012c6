"""Where training runs: one device, or several copies on one machine."""

import re
from collections.abc import Sequence

import tensorflow as tf

from keras_kd.core import tensorflow_only  # noqa: F401
from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement

__all__ = ["strategy"]

_NAMES = ("none", "mirrored", "multi_worker_mirrored", "tpu")
_LATER = ("multi_worker_mirrored", "tpu")


def strategy(
    name: str = "none",
    *,
    devices: Sequence[str] | None = None,
    batch_size: int | None = None,
) -> tf.distribute.Strategy:
    """A `tf.distribute.Strategy` by name, checked before anything runs.

    Build the student, the Distiller and compile it inside
    `strategy.scope()`; call `fit` as usual. `"none"` costs nothing.
    `"mirrored"` keeps one copy of the weights a device, gives each copy its
    share of every batch, and adds one all-reduce of the gradients a step.

    Args:
        name: `"none"` or `"mirrored"`. (`"multi_worker_mirrored"` and
            `"tpu"` are reserved and not available yet.)
        devices: With `"mirrored"`, the devices to use, such as
            `["GPU:0", "GPU:1"]`. Defaults to every GPU, or to the first CPU
            where there is none: logical CPUs have to be listed.
        batch_size: The global batch size, the one of the dataset. When
            given, it must divide evenly among the copies.

    Returns:
        The strategy; the current default one for `"none"`.

    Raises:
        ValueError: If the name is unknown, a device is missing or listed
            twice, `devices` comes with `"none"`, or the batch does not
            divide evenly.
        TypeError: If `devices` is one string, or `batch_size` not an integer.
        NotImplementedError: If the name is reserved for later.

    Example:
    >>> import keras_kd
    >>> strategy = keras_kd.strategies.strategy("none", batch_size=64)
    >>> strategy.num_replicas_in_sync
    1
    """
    check_choice("strategies.strategy", "name", name, _NAMES)
    if name in _LATER:
        raise NotImplementedError(
            f"`strategies.strategy` has no {name!r} yet. Use 'mirrored' for "
            "several GPUs of one machine, or 'none'."
        )
    if batch_size is not None:
        check_integer("strategies.strategy", "batch_size", batch_size, low=1)
    if name == "none":
        if devices is not None:
            raise ValueError(
                requirement(
                    "strategies.strategy",
                    "devices",
                    "None when `name` is 'none'",
                    devices,
                    "Use name='mirrored' to choose devices.",
                )
            )
        chosen = tf.distribute.get_strategy()
    else:
        chosen = tf.distribute.MirroredStrategy(_checked(devices))
    _check_batch(batch_size, chosen.num_replicas_in_sync)
    return chosen


def _checked(devices: Sequence[str] | None) -> list[str] | None:
    """Return the devices by their short names, once each, all of them here."""
    if devices is None:
        return None
    here = [_short(d.name) for d in tf.config.list_logical_devices()]
    expected = f"a list of different devices out of {', '.join(here)}"
    message = requirement("strategies.strategy", "devices", expected, devices)
    if isinstance(devices, str) or not all(isinstance(d, str) for d in devices):
        raise TypeError(message)
    names = [_short(device) for device in devices]
    if not names or len(set(names)) < len(names) or not set(names) <= set(here):
        raise ValueError(message)
    return names


def _short(device: str) -> str:
    """Shorten a device name: `/physical_device:gpu:0` is `GPU:0`."""
    match = re.search(r"([a-z_]+):(\d+)$", device.lower())
    return f"{match[1].upper()}:{match[2]}" if match else device


def _check_batch(batch_size: int | None, replicas: int) -> None:
    """Refuse a global batch that gives the copies unequal shares."""
    if batch_size is not None and batch_size % replicas:
        raise ValueError(
            requirement(
                "strategies.strategy",
                "batch_size",
                f"a multiple of the {replicas} replicas",
                batch_size,
                "It is the global batch, shared by all replicas: use "
                f"{(batch_size // replicas + 1) * replicas}.",
            )
        )
