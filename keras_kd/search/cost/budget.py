"""The budget of a device, and whether a student fits it."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING
from typing import Any

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import check_number
from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.errors import OverBudgetError
from keras_kd.search.cost import units
from keras_kd.search.cost.measurement import QUANTITIES
from keras_kd.search.cost.measurement import Measurement
from keras_kd.search.cost.measurement import Wanted
from keras_kd.search.cost.measurement import overruns

if TYPE_CHECKING:
    from keras_kd.search.cost.ledger import Ledger

_UNITS = {
    "size_bytes": units.BYTES,
    "peak_memory_bytes": units.BYTES,
    "arena_bytes": units.BYTES,
    "sram_bytes": units.BYTES,
    "latency_ms": units.MILLISECONDS,
    "num_params": units.COUNT,
    "flops": units.COUNT,
}
_QUANTIZATIONS = ("float32", "float16", "dynamic_range", "int8")


@dataclasses.dataclass(frozen=True)
class Budget:
    """Limits of a device: bytes, milliseconds, weights, operations, memory.

    A student is measured before any training: it is converted, and the file
    runs in the LiteRT runtime. Limits that need no file are checked first,
    so a student that is far too large is refused at once. A conversion takes
    a few seconds; a `Ledger` measures every architecture only once.

    Args:
        size_bytes: Maximum size of the `.tflite` file in `quantization`. The
            untrained student's file has the size of the trained student's:
            they were equal to the byte in all 24 cases that were compared,
            six students in four quantizations. Longer layer names add a few
            bytes.
        latency_ms: Maximum milliseconds for one example: the median in the
            LiteRT runtime on this machine, the smallest of several medians,
            since other work on the machine only ever adds time.
        num_params: Maximum number of weights, trainable or not.
        flops: Maximum floating-point operations for one example, as
            `keras_kd.evaluate` counts them.
        peak_memory_bytes: Maximum bytes of activations alive at once while
            the file computes one example: the largest sum, over its
            operators, of the inputs, outputs and intermediate results that
            are still needed. It excludes weights, and what a runtime adds:
            its tables, scratch memory, gaps between tensors. It is not what
            a device needs; for a microcontroller limit `arena_bytes`, which
            may be twice as much.
        arena_bytes: Maximum bytes of the smallest arena in which TFLite
            Micro runs the file (see `keras_kd.Evaluation`). Needs the extra
            `micro`; float16 and dynamic_range files do not run there.
        sram_bytes: Maximum bytes of SRAM that the file, compiled for
            `target`, uses on the NPU.
        target: An NPU, such as `"ethos-u55-128"` (see
            `keras_kd.evaluation.npu.compiled`): `"int8"` files are compiled
            for it by Arm's Vela, `latency_ms` is then Vela's estimate at the
            NPU's clock, and `size_bytes` stays that of the plain file. Needs
            the extra `micro`.
        quantization: `None` or `"float32"`, `"float16"`, `"dynamic_range"`
            or `"int8"`: the file for which `size_bytes`, `latency_ms`,
            `peak_memory_bytes`, `arena_bytes` and `sram_bytes` are limits.
            Defaults to `"int8"` with a `target`.
        num_threads: Threads of the runtime for `latency_ms`. Defaults to 1.

    Raises:
        TypeError: If a limit is not a number.
        ValueError: If there is no limit, if a limit is not greater than 0,
            or if `quantization` is unknown.

    Example:
    >>> import keras_kd
    >>> budget = keras_kd.Budget(size_bytes=50_000, latency_ms=2.0)
    >>> budget.reason({"size_bytes": 61_004, "latency_ms": 1.2})
    "size_bytes 61,004 is above the budget's 50,000 (22 % over)"
    """

    size_bytes: int | None = None
    latency_ms: float | None = None
    num_params: int | None = None
    flops: int | None = None
    peak_memory_bytes: int | None = None
    quantization: str | None = None
    num_threads: int = 1
    arena_bytes: int | None = None
    sram_bytes: int | None = None
    target: str | None = None

    def __post_init__(self) -> None:
        for name in QUANTITIES:
            if getattr(self, name) is not None:
                self._set(name, _limit(name, getattr(self, name)))
        if not self.limits:
            raise ValueError(
                "`Budget` needs at least one limit: "
                f"{', '.join(f'`{name}`' for name in _UNITS)}. Received: "
                "none. Give for example size_bytes=50_000."
            )
        if self.quantization is not None:
            check_choice(
                "Budget", "quantization", self.quantization, _QUANTIZATIONS
            )
        if self.target is not None:
            self._check_target()
        elif self.sram_bytes is not None:
            raise ValueError(
                requirement(
                    "Budget",
                    "target",
                    "given for `sram_bytes`",
                    None,
                    "Give for example target='ethos-u55-128'.",
                )
            )
        if self.quantization == "float32":
            self._set("quantization", None)
        check_integer("Budget", "num_threads", self.num_threads, low=1)

    def _check_target(self) -> None:
        # Imported here, because limits without a target need no TensorFlow.
        from keras_kd.evaluation.npu import check_target

        check_target("Budget", self.target)
        if self.quantization is None:
            self._set("quantization", "int8")
        if self.quantization != "int8":
            raise ValueError(
                requirement(
                    "Budget",
                    "quantization",
                    "'int8' for a `target`",
                    self.quantization,
                    "NPUs compute in integers.",
                )
            )

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by name, the cheapest to check first."""
        return {
            name: getattr(self, name)
            for name in QUANTITIES
            if getattr(self, name) is not None
        }

    def check(
        self, student: Any, measurements: "Ledger | None" = None
    ) -> Measurement:
        """Measure a student until it is known whether it fits.

        Args:
            student: A built `keras.Model` or a `keras_kd.Distiller`.
            measurements: The ledger that stores the measurement. Without a
                ledger, the student is measured anew.

        Returns:
            The measurement of a student that fits; it has a value for every
            limit of the budget.

        Raises:
            OverBudgetError: If a limit is exceeded; says by how much.
            RuntimeError: If the converter refuses the student.
        """
        measurement = self._measured(student, measurements, every=False)
        reason = self.reason(measurement)
        if reason:
            student = getattr(student, "student", student)
            name = getattr(student, "name", "student")
            raise OverBudgetError(
                f"The student `{name}` does not fit the budget: {reason}.",
                measurement=measurement,
                violation=self.violation(measurement),
                reason=reason,
            )
        return measurement

    def measure(
        self, student: Any, measurements: "Ledger | None" = None
    ) -> Measurement:
        """Measure every limited quantity, whether the student fits or not.

        Args:
            student: A built `keras.Model` or a `keras_kd.Distiller`.
            measurements: As in `check`.

        Raises:
            RuntimeError: If the converter refuses the student.
        """
        return self._measured(student, measurements, every=True)

    def wanted(self, *, every: bool = False) -> Wanted:
        """Return the request to a ledger: a verdict, or every quantity."""
        return Wanted(
            self.limits,
            self.quantization or "float32",
            self.num_threads,
            every=every,
            target=self.target,
        )

    def violation(self, measurement: Measurement | Mapping[str, Any]) -> float:
        """Return by which share of it the worst limit is exceeded.

        0.0 means that the student fits, 0.22 that it is 22 % over. A
        quantity that was not measured exceeds no limit.
        """
        shares = overruns(self.limits, _values(measurement)).values()
        return max(shares, default=0.0)

    def reason(self, measurement: Measurement | Mapping[str, Any]) -> str:
        """Describe the exceeded limits, the worst first; "" if none."""
        values = _values(measurement)
        bounds = getattr(measurement, "at_least", ())
        over = overruns(self.limits, values)
        return "; ".join(
            f"{name} {'of at least ' if name in bounds else ''}"
            f"{_number(values[name])} is above the budget's "
            f"{_number(getattr(self, name))} ({_percent(share)} % over)"
            for name, share in sorted(over.items(), key=lambda item: -item[1])
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments that differ from the defaults, for JSON."""
        return {
            field.name: value
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Budget":
        """Return the budget of a JSON file.

        Args:
            content: Arguments by name; a limit may be text with a unit:
                `{"size_bytes": "50kB", "latency_ms": "2ms"}`. The entry
                `"for"` is a comment.

        Raises:
            TypeError: If it is not a mapping.
            ValueError: If a name is unknown, or a text is not a quantity.
        """
        if not isinstance(content, Mapping):
            expected = "an object with the limits by name"
            raise TypeError(
                requirement("Budget.from_dict", "content", expected, content)
            )
        names = [field.name for field in dataclasses.fields(cls)]
        content = {k: v for k, v in content.items() if k != "for"}
        for name in content:
            if name not in names:
                expected = f"made of {', '.join(map(repr, names))}"
                raise ValueError(
                    requirement(
                        "Budget.from_dict",
                        "content",
                        expected,
                        list(content),
                        nearest(name, names),
                    )
                )
        return cls.parse(**content)

    @classmethod
    def parse(cls, **content: Any) -> "Budget":
        """Return a budget from arguments that may be texts with a unit.

        The units of bytes are B, kB, MB, GB (powers of 1000) and KiB, MiB,
        GiB; of times us, ms, s; of counts k, M, G. A text without a unit
        means the same as the number.

        Args:
            **content: The arguments of `Budget`.

        Raises:
            ValueError: If a text is not a quantity.

        Example:
        >>> import keras_kd
        >>> keras_kd.Budget.parse(size_bytes="64KiB").size_bytes
        65536
        """
        for name, value in content.items():
            if name in _UNITS and isinstance(value, str):
                read = units.quantity("Budget", name, value, _UNITS[name])
                # 1.5 kB is whole; 0.3333 kB is rounded down to whole bytes.
                content[name] = read if name == "latency_ms" else int(read)
        return cls(**content)

    def _measured(
        self, student: Any, measurements: "Ledger | None", *, every: bool
    ) -> Measurement:
        # Imported here because limits need no TensorFlow, but measuring does.
        from keras_kd.search.cost.ledger import Ledger

        if measurements is None:
            measurements = Ledger()
        return measurements.get(student, self.wanted(every=every))

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


def _limit(name: str, value: Any) -> float | int:
    """Return a limit as a number; a count must be a whole number."""
    number = check_number("Budget", name, value, above=0)
    if name == "latency_ms":
        return number
    if not number.is_integer():
        raise ValueError(
            requirement("Budget", name, "a whole number greater than 0", value)
        )
    return int(number)


def _values(measurement: Measurement | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(measurement, Measurement):
        return measurement.to_dict()
    return measurement


def _number(value: float) -> str:
    """Format whole numbers in groups of three, others with four digits."""
    if float(value).is_integer():
        return f"{int(value):,}"
    return f"{value:,.0f}" if value >= 1e4 else f"{value:.4g}"


def _percent(share: float) -> str:
    return f"{100 * share:,.0f}" if share >= 0.0995 else f"{100 * share:.2g}"
