"""The measured costs of a student, and requests for them."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from keras_kd.core.checks import check_choice

# In the order in which a student is measured, the cheapest first.
QUANTITIES = (
    "num_params",
    "flops",
    "size_bytes",
    "peak_memory_bytes",
    "arena_bytes",
    "sram_bytes",
    "latency_ms",
)
# Quantities that need a converted file.
OF_FILE = frozenset(QUANTITIES) - {"num_params", "flops"}


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Costs of an untrained student; `None` for those not measured.

    Args:
        size_bytes: Bytes of its `.tflite` file.
        latency_ms: Median time for one example in the LiteRT runtime; for an
            NPU, the compiler's estimate.
        num_params: Number of weights, trainable or not.
        flops: Floating-point operations for one example.
        peak_memory_bytes: Most bytes of activations alive at once.
        arena_bytes: Bytes of the smallest arena of TFLite Micro.
        sram_bytes: Bytes of SRAM of the file compiled for an NPU.
        at_least: Names of the values above that are only lower bounds. They
            are cheaper than exact values and already exceed the budget.

    Example:
    >>> import keras_kd
    >>> measurement = keras_kd.search.Measurement(size_bytes=61_004)
    >>> measurement.to_dict()
    {'size_bytes': 61004}
    """

    size_bytes: int | None = None
    latency_ms: float | None = None
    num_params: int | None = None
    flops: int | None = None
    peak_memory_bytes: int | None = None
    at_least: tuple[str, ...] = ()
    arena_bytes: int | None = None
    sram_bytes: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the measured values, by name."""
        return {
            name: value
            for name in QUANTITIES
            if (value := getattr(self, name)) is not None
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything that `from_json` needs."""
        marks = {"at_least": list(self.at_least)} if self.at_least else {}
        return self.to_dict() | marks

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Measurement":
        """Return the measurement that `to_json` described.

        Raises:
            TypeError: If a value is not a number.
        """
        known = {name: content.get(name) for name in QUANTITIES}
        for name, value in known.items():
            if not isinstance(value, (int, float, type(None))):
                raise TypeError(f"{name} is {value!r}")
        return cls(**known, at_least=tuple(content.get("at_least", ())))


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The quantities to measure of a student, and when to stop.

    Attributes:
        limits: The wanted quantities, by name, and the limit of each or
            `None`. Measuring stops at the first limit that is exceeded.
        quantization: The quantization of the converted file.
        num_threads: Threads of the runtime, for `latency_ms`.
        every: Whether to measure every quantity even if a limit is exceeded.
        target: The NPU that the file is compiled for, or `None`.
    """

    limits: Mapping[str, float | None]
    quantization: str = "float32"
    num_threads: int = 1
    every: bool = False
    target: str | None = None

    def __post_init__(self) -> None:
        for name in self.limits:
            check_choice("Wanted", "limits", name, QUANTITIES)


def overruns(
    limits: Mapping[str, float | None], costs: Mapping[str, Any]
) -> dict[str, float]:
    """Return by which share of it each exceeded limit is exceeded.

    Args:
        limits: Limits by name; `None` is no limit.
        costs: Measured values by name. A missing value exceeds no limit, and
            NaN exceeds every limit.
    """
    shares = {
        name: math.inf if math.isnan(value) else value / limit - 1.0
        for name, limit in limits.items()
        if limit is not None and (value := costs.get(name)) is not None
    }
    return {name: share for name, share in shares.items() if share > 0.0}
