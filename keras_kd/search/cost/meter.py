"""Measures one student, the cheapest quantity first."""

import dataclasses
import functools
from importlib import metadata
from pathlib import Path
from typing import Any

from keras_kd.evaluation.npu import compiled
from keras_kd.export.signature import exportable
from keras_kd.export.signature import read_signature
from keras_kd.search.cost import quantities
from keras_kd.search.cost.architecture import architecture_key
from keras_kd.search.cost.measurement import OF_FILE
from keras_kd.search.cost.measurement import Measurement
from keras_kd.search.cost.measurement import Wanted
from keras_kd.search.cost.measurement import overruns

# Quantities that need fixed input sizes.
_NEED_FIXED_SIZES = {
    "flops",
    "peak_memory_bytes",
    "arena_bytes",
    "sram_bytes",
    "latency_ms",
}


class Meter:
    """Measures a student until the wanted quantities or verdict are known.

    Args:
        student: A built `keras.Model` or a `keras_kd.Distiller`.
        wanted: The quantities to measure.

    Raises:
        TypeError: If `student` is not a Keras model.
        ValueError: If it is not built, or if a wanted quantity depends on an
            input size that is not fixed.
    """

    def __init__(self, student: Any, wanted: Wanted) -> None:
        self._student = exportable(student)
        self._wanted = wanted
        specs = read_signature(self._student, "Budget").specs
        self._open = any(None in spec.shape[1:] for spec in specs)
        if self._open:
            quantities.refuse_open(
                self._student, sorted(_NEED_FIXED_SIZES & wanted.limits.keys())
            )

    def key(self) -> str:
        """Return the student's key in the ledger."""
        parts = [
            architecture_key(self._student),
            self._wanted.quantization,
            f"{self._wanted.num_threads} threads",
            *filter(None, [self._wanted.target, self._runtime]),
            _versions(),
        ]
        return ", ".join(parts)

    @property
    def _runtime(self) -> str | None:
        """The runtime for which the file is made, which changes it."""
        return "tflm" if "arena_bytes" in self._wanted.limits else None

    def is_done(self, known: Measurement) -> bool:
        """Whether nothing is left to measure."""
        return self._is_decided(known) or not self._missing(known)

    def complete(self, known: Measurement) -> Measurement:
        """Measure the quantities that `known` lacks, the cheapest first.

        Args:
            known: The ledger's entry. Its values are not measured again, so
                no verdict changes.

        Returns:
            `known` with the new values.

        Raises:
            ValueError: If the student cannot be measured.
            RuntimeError: If the converter refuses the student.
        """
        for step in (self._weigh, self._count):
            if self.is_done(known):
                return known
            known = step(known)
        if self.is_done(known) or not OF_FILE & self._missing(known):
            return known
        return self._convert(known)

    def _weigh(self, known: Measurement) -> Measurement:
        """Count the weights, and find a lower bound of the file's size."""
        count = quantities.num_params(self._student)
        known = dataclasses.replace(known, num_params=count)
        bound = quantities.least_bytes(self._student, self._wanted.quantization)
        limit = self._wanted.limits.get("size_bytes")
        if known.size_bytes is None and limit and bound > limit:
            return dataclasses.replace(
                known, size_bytes=bound, at_least=("size_bytes",)
            )
        return known

    def _count(self, known: Measurement) -> Measurement:
        if "flops" not in self._missing(known):
            return known
        return dataclasses.replace(known, flops=quantities.flops(self._student))

    def _convert(self, known: Measurement) -> Measurement:
        with quantities.converted(
            self._student, self._wanted.quantization, self._runtime
        ) as path:
            if known.size_bytes is None or "size_bytes" in known.at_least:
                known = dataclasses.replace(
                    known, size_bytes=path.stat().st_size, at_least=()
                )
            if known.peak_memory_bytes is None and not self._open:
                known = dataclasses.replace(
                    known, peak_memory_bytes=quantities.memory(path)
                )
            on_npu = self._wanted.target is not None
            for step in (
                self._arena,
                self._compile if on_npu else self._time,
            ):
                if not self.is_done(known):
                    known = step(known, path)
            return known

    def _arena(self, known: Measurement, path: Path) -> Measurement:
        if "arena_bytes" not in self._missing(known):
            return known
        arena = quantities.arena(path, self._student)
        return dataclasses.replace(known, arena_bytes=arena)

    def _compile(self, known: Measurement, path: Path) -> Measurement:
        """Compile the file for the NPU, which tells its memory and time."""
        made = compiled(path, str(self._wanted.target))
        return dataclasses.replace(
            known, sram_bytes=made.sram_bytes, latency_ms=made.milliseconds
        )

    def _time(self, known: Measurement, path: Path) -> Measurement:
        if "latency_ms" not in self._missing(known):
            return known
        limit = self._wanted.limits.get("latency_ms")
        taken = quantities.latency(path, self._wanted.num_threads, limit)
        return dataclasses.replace(known, latency_ms=taken)

    def _missing(self, known: Measurement) -> set[str]:
        exact = known.to_dict().keys() - set(known.at_least)
        return self._wanted.limits.keys() - exact

    def _is_decided(self, known: Measurement) -> bool:
        """Whether a limit is exceeded and only the verdict is wanted."""
        if self._wanted.every:
            return False
        return bool(overruns(self._wanted.limits, known.to_dict()))


@functools.cache
def _versions() -> str:
    """Return the converter's and runtime's versions; cached, being slow."""
    tools = ("tensorflow", "ai-edge-litert")
    return ", ".join(f"{tool} {metadata.version(tool)}" for tool in tools)
