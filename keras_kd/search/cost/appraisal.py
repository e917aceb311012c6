"""What is to be measured of one student, the cheapest first."""

import dataclasses
import functools
from collections.abc import Collection
from importlib import metadata
from typing import Any

from keras_kd.core.checks import check_choice
from keras_kd.export.converter import Converter
from keras_kd.export.signature import exportable
from keras_kd.export.signature import read_signature
from keras_kd.search.cost import measure
from keras_kd.search.cost.architecture import architecture_key
from keras_kd.search.cost.budget import Budget
from keras_kd.search.cost.measurement import QUANTITIES
from keras_kd.search.cost.measurement import Measurement

# What only a converted file tells.
OF_FILE = {"size_bytes", "peak_memory_bytes", "latency_ms"}
# What has no value while an input's size is open.
_OF_FIXED_SIZES = {"flops", "peak_memory_bytes", "latency_ms"}


class Appraisal:
    """Measures a student for a budget, no further than it takes.

    Args:
        budget: What the student is measured for, or `None`.
        student: A built `keras.Model` or a `keras_kd.Distiller`.
        every: Measure every limit, whatever the others say.
        also: Further quantities to measure of a student that fits.

    Raises:
        TypeError: If `student` is not a Keras model.
        ValueError: If it is not built, if `also` names no quantity, or if
            the budget limits what an open input size leaves undecided.
    """

    def __init__(
        self,
        budget: Budget | None,
        student: Any,
        *,
        every: bool,
        also: Collection[str],
    ) -> None:
        for name in also:
            check_choice("Measurements.get", "also", name, QUANTITIES)
        self._student = exportable(student)
        self._budget = budget
        self._every = every
        self._quantization = (budget and budget.quantization) or "float32"
        self._num_threads = budget.num_threads if budget else 1
        self._limits = budget.limits if budget else {}
        specs = read_signature(self._student, "Budget").specs
        self._open = any(None in spec.shape[1:] for spec in specs)
        if self._open:
            measure.refuse_open(
                self._student, sorted(_OF_FIXED_SIZES & self._limits.keys())
            )
            also = set(also) - _OF_FIXED_SIZES
        self._wanted = {*self._limits, *also}

    def key(self) -> str:
        """Return what the ledger finds the student by."""
        parts = [
            architecture_key(self._student),
            self._quantization,
            f"{self._num_threads} threads",
            _versions(),
        ]
        return ", ".join(parts)

    def is_done(self, known: Measurement) -> bool:
        """Whether nothing is left to measure."""
        return self._is_over(known) or not self._missing(known)

    def complete(self, known: Measurement, converter: Converter) -> Measurement:
        """Return `known` and what was missing, the cheapest first.

        Args:
            known: What stands in the ledger; it is not measured again, so
                that no verdict changes.
            converter: The process to convert in.

        Raises:
            ValueError: If the student cannot be measured.
            RuntimeError: If the converter refuses it.
        """
        for step in (self._weigh, self._count):
            if self.is_done(known):
                return known
            known = step(known)
        if self.is_done(known) or not OF_FILE & self._missing(known):
            return known
        return self._convert(known, converter)

    def _weigh(self, known: Measurement) -> Measurement:
        """Count the weights, and the bytes that they take at least."""
        count = measure.num_params(self._student)
        known = dataclasses.replace(known, num_params=count)
        bound = measure.least_bytes(self._student, self._quantization)
        limit = self._limits.get("size_bytes")
        if known.size_bytes is None and limit and bound > limit:
            return dataclasses.replace(
                known, size_bytes=bound, at_least=("size_bytes",)
            )
        return known

    def _count(self, known: Measurement) -> Measurement:
        if "flops" not in self._missing(known):
            return known
        return dataclasses.replace(known, flops=measure.flops(self._student))

    def _convert(self, known: Measurement, converter: Converter) -> Measurement:
        with measure.converted(
            self._student, self._quantization, converter
        ) as path:
            if known.size_bytes is None or "size_bytes" in known.at_least:
                known = dataclasses.replace(
                    known, size_bytes=path.stat().st_size, at_least=()
                )
            if known.peak_memory_bytes is None and not self._open:
                known = dataclasses.replace(
                    known, peak_memory_bytes=measure.memory(path)
                )
            if self._is_over(known) or "latency_ms" not in self._missing(known):
                return known
            limit = self._limits.get("latency_ms")
            taken = measure.latency(path, self._num_threads, limit)
            return dataclasses.replace(known, latency_ms=taken)

    def _missing(self, known: Measurement) -> set[str]:
        exact = known.to_dict().keys() - set(known.at_least)
        return self._wanted - exact

    def _is_over(self, known: Measurement) -> bool:
        """Whether one limit has decided, and no other is asked for."""
        if self._every or self._budget is None:
            return False
        return self._budget.violation(known) > 0.0


@functools.cache
def _versions() -> str:
    """Name what converts and what runs; looking it up takes milliseconds."""
    tools = ("tensorflow", "ai-edge-litert")
    return ", ".join(f"{tool} {metadata.version(tool)}" for tool in tools)
