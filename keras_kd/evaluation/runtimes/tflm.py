"""TFLite Micro, the runtime of microcontrollers, in a child process.

A file can abort the interpreter, and with it the process.
"""

import bisect
import json
import re
import tempfile
from pathlib import Path

import numpy as np

from keras_kd.core.child import Child
from keras_kd.evaluation.runtimes.refusals import Lacking
from keras_kd.evaluation.runtimes.runtime import Arena
from keras_kd.evaluation.runtimes.runtime import Runtime
from keras_kd.evaluation.runtimes.runtime import Tensors
from keras_kd.evaluation.runtimes.runtime import in_batches
from keras_kd.evaluation.tflite_file import FileGraph
from keras_kd.evaluation.tflite_file import FileOperator
from keras_kd.evaluation.tflite_file import alone
from keras_kd.evaluation.tflite_file import read_file

_PROGRAM = Path(__file__).with_name("tflm_program.py")
_MAX_JOBS = 10_000
_LIMIT_SECONDS = 600.0
# Of an arena of 1 GiB the process has only the pages that a file uses.
_ROOM = 1 << 30
_ALIGNMENT = 16
# Before an operator's refusal, TFLite Micro names the source of its kernel.
_SOURCE = re.compile(r"^\S+\.(?:cc|h)(?::\d+)? ")
_USED = re.compile(r"Arena allocation (head|tail) (\d+) bytes")
_NODE = re.compile(r"\(number (\d+)\) failed")
_ACTIVATION = "use hard_swish or relu6"
_SPECTROGRAM = "compute the spectrogram before the model"
# What runs in the place of an operator that does not; each is run in
# tests/export/test_equivalents.py.
EQUIVALENTS = {
    "CONV_3D": "use Conv2D with the depth as channels",
    "CUMSUM": "use sequences of one length, without masks",
    "EXP": _ACTIVATION,
    "GELU": _ACTIVATION,
    "IMAG": _SPECTROGRAM,
    "REAL": _SPECTROGRAM,
    "REDUCE_ANY": "use sequences of one length, without masks",
    "RFFT2D": _SPECTROGRAM,
    "SELECT": "give the model the embedded vectors; in an activation, use elu",
    "SQRT": _ACTIVATION,
    "TILE": "use UpSampling2D(interpolation='bilinear'), or Concatenate of "
    "copies",
}


class TFLMSession:
    """A file in TFLite Micro; see `Session`.

    Args:
        content: The bytes of the file.
        child: The process that runs it.
    """

    def __init__(self, content: bytes, child: Child) -> None:
        self._child = child
        self._folder = tempfile.TemporaryDirectory(prefix="keras_kd_tflm_")
        self._file = Path(self._folder.name) / "model.tflite"
        self._file.write_bytes(content)

    def close(self) -> None:
        """See `Session`."""
        self._folder.cleanup()

    def run(self, inputs: Tensors) -> list[np.ndarray]:
        """See `Session`."""
        return self.measured(inputs)[0]

    def measured(
        self, inputs: Tensors, arena: int = _ROOM
    ) -> tuple[list[np.ndarray], str]:
        """Run examples; return the outputs and what the runtime printed.

        Args:
            inputs: See `run`.
            arena: Bytes of the arena.

        Shapes:
            inputs: See `run`.

        Raises:
            ValueError: If the runtime refuses the file; in its words.
        """
        graph = read_file(self._file.read_bytes()).graphs[0]
        size = graph.tensors[graph.inputs[0]].shape[0]
        printed = ""

        def run(batch: Tensors) -> list[np.ndarray]:
            nonlocal printed
            outputs, printed = self._do(batch, len(graph.outputs), arena)
            return outputs

        rows = -(-len(inputs[0]) // size) * size
        return in_batches(inputs, rows, run), printed

    def check(self) -> None:
        """Open the file only.

        Raises:
            ValueError: If the runtime refuses the file; in its words.
        """
        self._do(None, 0, _ROOM)

    def _do(
        self, inputs: Tensors | None, count: int, arena: int
    ) -> tuple[list[np.ndarray], str]:
        folder = Path(self._folder.name)
        outputs = [folder / f"output_{place}.npy" for place in range(count)]
        given = None
        if inputs is not None:
            given = [folder / f"input_{i}.npy" for i in range(len(inputs))]
            for path, value in zip(given, inputs, strict=True):
                np.save(path, value, allow_pickle=False)
        job = {
            "file": self._file,
            "arena": arena,
            "inputs": given,
            "outputs": outputs,
        }
        (folder / "job.json").write_text(json.dumps(job, default=str), "utf-8")
        code, printed = self._child.run(folder / "job.json", _LIMIT_SECONDS)
        if code == 0:
            return [np.load(path) for path in outputs], printed
        if code is None:  # No refusal: with more time it may run.
            raise ValueError(
                f"TFLite Micro did not end within {_LIMIT_SECONDS:g} seconds."
            )
        reason = _SOURCE.sub("", f"{printed.strip()}\n".splitlines()[0])
        reason = reason.rstrip(".")
        if code != 1:
            reason = f"it crashed the runtime (exit code {code}) {reason}"
        found = _NODE.search(printed)
        number = int(found[1]) if found else None
        raise _RefusedError(reason or "no reason given", number)


class _RefusedError(ValueError):
    """TFLite Micro does not run a file.

    Args:
        reason: Why.
        number: The number of the operator that failed, if it is known.
    """

    def __init__(self, reason: str, number: int | None) -> None:
        super().__init__(f"TFLite Micro says: {reason}")
        self.reason = reason
        self.number = number


class TFLM(Runtime):
    """TFLite Micro with all the operators of its package.

    The package has wheels for Linux on x86-64 only.
    """

    name = "tflm"
    package = "tflite_micro"
    extra = "micro"

    def __init__(self) -> None:
        self._child = Child(_PROGRAM, _MAX_JOBS)

    def open(self, content: bytes, num_threads: int = 1) -> TFLMSession:
        """See `Runtime`; it has one thread."""
        self.check_installed()
        return TFLMSession(content, self._child)

    def lacking(self, content: bytes) -> list[Lacking]:
        """See `Runtime`.

        The runtime opens the file. If it refuses, it opens a file for each
        operator, so that all that it refuses are named, and not the first.

        Raises:
            ValueError: If the runtime refuses the file and every operator
                alone is accepted; in its words.
        """
        try:
            self._opened(content)
        except _RefusedError as error:
            refusal = error
        else:
            return []
        found = []
        for graph, operator, file in alone(content):
            session = self.open(file)
            try:
                session.check()
            except _RefusedError as error:
                found.append(_lacking(graph, operator, error.reason))
            finally:
                session.close()
        if not found and refusal.number is not None:
            graph = read_file(content).graphs[0]
            operator = graph.operators[refusal.number]
            found.append(_lacking(graph, operator, refusal.reason))
        if not found:
            raise refusal
        return found

    def arena(self, content: bytes) -> Arena:
        """See `Runtime`: the smallest arena in which the file runs.

        Raises:
            ValueError: If the runtime refuses the file; in its words.
        """
        sizes = dict(_USED.findall(self._opened(content)))
        head, tail = int(sizes["head"]), int(sizes["tail"])
        # While the runtime plans, it may need more than it uses afterwards.
        larger = range(head + tail, _ROOM, _ALIGNMENT)
        least = larger[0]
        if not self._runs_in(content, least):
            least = larger[
                bisect.bisect_left(
                    larger, True, key=lambda n: self._runs_in(content, n)
                )
            ]
        return Arena(least, head, tail)

    def _runs_in(self, content: bytes, arena: int) -> bool:
        try:
            self._opened(content, arena)
        except _RefusedError:
            return False
        return True

    def _opened(self, content: bytes, arena: int = _ROOM) -> str:
        """Run a file on zeros and return what the runtime printed."""
        graph = read_file(content).graphs[0]
        ends = [graph.tensors[index] for index in graph.inputs]
        zeros = [np.zeros(end.shape, end.dtype) for end in ends]
        session = self.open(content)
        try:
            return session.measured(zeros, arena)[1]
        finally:
            session.close()


def _lacking(graph: FileGraph, operator: FileOperator, why: str) -> Lacking:
    dtypes = [graph.tensors[index].dtype for index in operator.inputs]
    if "float16" in dtypes:
        instead = "export 'float32' or 'int8' instead of 'float16'"
    elif "int4" in dtypes:
        instead = "export 'int8' instead of 4-bit weights"
    elif "float32" in dtypes and "int8" in dtypes:
        instead = "export 'int8' instead of 'dynamic_range'"
    else:
        instead = EQUIVALENTS.get(operator.name, "replace the layer")
    return Lacking(
        operator.name, tuple(dtypes), graph.layer(operator), why, instead
    )
