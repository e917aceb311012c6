"""What every runtime can do: run a file, and say what it cannot run."""

import abc
import os
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from keras_kd.core.imports import optional
from keras_kd.evaluation.runtimes.refusals import Lacking

Tensors = Sequence[np.ndarray]


@dataclass(frozen=True)
class Arena:
    """The smallest block of memory in which TFLite Micro runs a file.

    It is measured in the runtime's 64-bit build. On a 32-bit chip pointers
    are half as long and the persistent part is smaller, so `bytes` is an
    upper bound there, unless the chip's own kernels need more scratch memory.

    Args:
        bytes: Bytes of the arena. Some files need more than the two parts
            together: room in which the runtime plans, before it runs.
        activations_bytes: The part for inputs, outputs, intermediate results
            and the scratch memory of kernels.
        persistent_bytes: The part for the runtime's tables of tensors and
            operators.
    """

    bytes: int
    activations_bytes: int
    persistent_bytes: int


class Session(Protocol):
    """An opened file."""

    def run(self, inputs: Tensors) -> list[np.ndarray]:
        """Run any number of examples.

        Args:
            inputs: One array per input, in the file's order and types.

        Shapes:
            inputs: `(batch, ...)` each.

        Returns:
            One array `(batch, ...)` per output, in the file's order and
            types: integers of a quantized file stay integers.
        """

    def close(self) -> None:
        """Free the runtime's memory."""


class Runtime(abc.ABC):
    """A program that runs model files.

    Attributes:
        name: The name that `runtime=` takes.
        package: The package that it needs, if one of an extra.
        extra: That extra.
    """

    name: str
    package: str | None = None
    extra: str = ""

    @abc.abstractmethod
    def open(self, content: bytes, num_threads: int = 1) -> Session:
        """Open the bytes of a file.

        Raises:
            ImportError: If the runtime is not installed.
            ValueError: If the runtime cannot load the file; in its words.
        """

    @abc.abstractmethod
    def lacking(self, content: bytes) -> list[Lacking]:
        """Return the operators of a file that the runtime cannot run.

        Args:
            content: The bytes of a whole file.
        """

    def check_installed(self) -> None:
        """Check that the runtime is here.

        Raises:
            ImportError: If it is not; names the extra to install.
        """
        if self.package is not None:
            optional(self.package, self.extra, f"The runtime {self.name!r}")

    def arena(self, content: bytes) -> Arena | None:
        """Return the smallest arena for a file; `None` without arenas."""
        return None

    def run(
        self, file: str | os.PathLike[str], inputs: Tensors
    ) -> list[np.ndarray]:
        """Run a file once; see `Session.run`.

        Args:
            file: The path of the file.
            inputs: One array per input, in the file's order and types.

        Shapes:
            inputs: `(batch, ...)` each.
        """
        session = self.open(Path(file).read_bytes())
        try:
            return session.run(inputs)
        finally:
            session.close()


def in_batches(
    inputs: Tensors, size: int, run: Callable[[Tensors], Tensors]
) -> list[np.ndarray]:
    """Run examples through a file of a fixed batch size.

    The last batch is filled up with its last example.
    """
    length = len(inputs[0])
    parts = []
    for first in range(0, length, size):
        rows = np.minimum(np.arange(first, first + size), length - 1)
        parts.append(run([value[rows] for value in inputs]))
    return [
        np.concatenate(batches)[:length] for batches in zip(*parts, strict=True)
    ]
