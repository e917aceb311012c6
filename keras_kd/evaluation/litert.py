"""Runs and inspects a `.tflite` file, in LiteRT or in another runtime."""

import json
import os
import re
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement
from keras_kd.evaluation import runtimes
from keras_kd.evaluation.runtimes import Arena
from keras_kd.evaluation.runtimes import Runtime
from keras_kd.evaluation.runtimes import Session
from keras_kd.evaluation.runtimes import UnusableFileError
from keras_kd.evaluation.runtimes.litert import open_interpreter
from keras_kd.evaluation.runtimes.litert import open_session
from keras_kd.evaluation.tflite_file import FileGraph
from keras_kd.evaluation.tflite_file import FileTensor
from keras_kd.evaluation.tflite_file import looks_whole
from keras_kd.evaluation.tflite_file import read_file
from keras_kd.evaluation.tflite_file import split

Inputs = np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray]
Outputs = np.ndarray | dict[str, np.ndarray]

# How many times larger values of another range are: pixels from 0 to 255 are
# 127 times as large as those from -1 to 1.
OTHER_RANGE = 100


@dataclass(frozen=True)
class TensorDetails:
    """One input or output of a `.tflite` file.

    Args:
        name: Name in the file's signature.
        shape: Shape, with `None` for sizes that the file leaves open.
        dtype: NumPy name of the type in the file.
        scale: Quantization step; 0.0 if the tensor is not quantized.
        zero_point: Integer that stands for 0.0.
        index: The runtime's index of the tensor.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float
    zero_point: int
    index: int

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest value of a quantized tensor."""
        stored = np.iinfo(self.dtype)
        low, high = int(stored.min), int(stored.max)
        return (
            self.scale * (low - self.zero_point),
            self.scale * (high - self.zero_point),
        )

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Convert values to the type in the file, quantized if needed.

        Bytes for an input that takes bytes stay as they are.

        Raises:
            ValueError: If values to quantize are not finite, or if converting
                values to an integer type would change them.
        """
        if values.dtype.name == self.dtype == "uint8":
            return values
        # A step of 1 stands for the bytes themselves.
        if self.scale and (self.dtype, self.scale) != ("uint8", 1.0):
            if not np.isfinite(values).all():
                expected = "finite numbers"
                raise ValueError(
                    requirement("predict", self.name, expected, values)
                )
            self._check_range(values)
            limits = np.iinfo(self.dtype)
            steps = np.rint(values / np.float64(self.scale)) + self.zero_point
            return np.clip(steps, limits.min, limits.max).astype(self.dtype)
        encoded = values.astype(self.dtype)
        if encoded.dtype.kind in "iu" and not np.array_equal(encoded, values):
            expected = f"whole numbers that {self.dtype} can hold"
            raise ValueError(
                requirement("predict", self.name, expected, values)
            )
        return encoded

    def _check_range(self, values: np.ndarray) -> None:
        """Refuse pixels as floats where bytes stand for small values."""
        low, high = self.limits
        most = OTHER_RANGE * max(-low, high)
        if self.dtype == "uint8" and np.abs(values).max() > most:
            expected = (
                f"values from {low:.4g} to {high:.4g}, or bytes of type uint8"
            )
            received = f"{values.min():.4g} to {values.max():.4g}"
            raise ValueError(
                requirement("predict", self.name, expected, received)
            )

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """Convert outputs of the file to float32, unless they are integers."""
        if self.scale:
            steps = stored.astype(np.float32) - np.float32(self.zero_point)
            return steps * np.float32(self.scale)
        return stored.astype(np.float32) if stored.dtype.kind == "f" else stored


def _details(name: str, index: int, tensor: FileTensor) -> TensorDetails:
    """Return a tensor of a file as `TensorDetails`."""
    single = len(tensor.scales) == 1
    return TensorDetails(
        name=name,
        shape=tensor.open_shape,
        dtype=tensor.dtype,
        scale=tensor.scales[0] if single else 0.0,
        zero_point=tensor.zero_points[0] if single else 0,
        index=index,
    )


class LiteRTModel:
    """A `.tflite` file that predicts like a Keras model.

    It takes and returns the same values as the Keras model: inputs of a
    quantized file are quantized here, and its outputs dequantized. A file with
    an open batch size is resized to each batch; a file with a fixed batch
    size runs in a loop.

    Args:
        path: The file.
        num_threads: Threads of the runtime. Defaults to 1, the usual number
            for comparing latencies.
        runtime: The runtime that runs the file: `"litert"`,
            `"litert-reference"` or `"tflm"`. Defaults to `"litert"`.

    Attributes:
        input_details: One `TensorDetails` per input.
        output_details: One `TensorDetails` per output.
        output_kinds: What the outputs are, as the card that an export puts
            into the file says, in their order; empty without a card.
        operators: Operator names in execution order.
        weight_dtypes: Number of stored weights by type, such as
            `{"int8": 1000, "int32": 10}`.
        num_params: Number of stored weights. This is less than in the Keras
            model if the converter folded batch normalization.

    Raises:
        ImportError: If the runtime is not installed.
        ValueError: If the file is missing or incomplete, is not a LiteRT
            model or has operators that the runtime lacks; names them, with
            their layers and what to use instead.

    Example:
    >>> import tempfile, keras_kd
    >>> path = tempfile.mkdtemp() + "/missing.tflite"
    >>> try:
    ...     keras_kd.evaluation.litert.LiteRTModel(path)
    ... except ValueError as error:
    ...     print(str(error).count("missing.tflite"))
    1
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        num_threads: int = 1,
        runtime: str = "litert",
    ) -> None:
        self.path = Path(path)
        check_integer("LiteRTModel", "num_threads", num_threads, low=1)
        self._runtime = runtimes.get(runtime)
        content = _read(self.path)
        try:
            # LiteRT verifies the file, so that reading it is safe.
            open_interpreter(model_content=content)
        except (RuntimeError, ValueError) as error:
            raise _unusable(self.path, str(error)) from error
        _refuse_lacking(self.path, self._runtime, content)
        try:
            self._session: Any = self._open(content, num_threads)
        except ValueError as error:
            raise _unusable(self.path, str(error)) from error
        file = read_file(content)
        graph = file.graphs[0]
        self._inputs, self._outputs = graph.inputs, graph.outputs
        self.input_details = _ends(graph, file.inputs, graph.inputs)
        self.output_details = _ends(graph, file.outputs, graph.outputs)
        card = json.loads(split(content, "keras_kd")[1] or "{}")
        self.output_kinds: tuple[str | None, ...] = tuple(
            card.get("output_kinds", ())
        )
        _order(self.input_details, card.get("inputs", []))
        _order(self.output_details, card.get("outputs", []))
        self.operators = file.operators
        self.weight_dtypes = file.weight_dtypes
        self.num_params = sum(self.weight_dtypes.values())

    def predict(self, x: Inputs, batch_size: int = 64) -> Outputs:
        """Run the file on any number of examples.

        Args:
            x: One array, a dict by input name, or a list in the order of
                `input_details`.
            batch_size: Examples per run, if the file leaves the size open.

        Shapes:
            x: `(batch, ...)`, the values that the Keras model takes.

        Returns:
            One array `(batch, ...)`, or a dict by output name if there are
            several. The type is float32, except for integer outputs that are
            not quantized.

        Raises:
            ValueError: If names, shapes or lengths do not fit the file, or if
                it was closed.
        """
        if self._session is None:
            raise ValueError(f"`{self.path}` was closed. Open it again.")
        arrays = self._check(x)
        length = len(next(iter(arrays.values())))
        parts = [
            self._run({k: v[at : at + batch_size] for k, v in arrays.items()})
            for at in range(0, length, batch_size)
        ]
        outputs = {
            name: np.concatenate([part[name] for part in parts])
            for name in parts[0]
        }
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def encode(self, x: Inputs) -> list[np.ndarray]:
        """Return examples as the file takes them.

        Args:
            x: See `predict`.

        Shapes:
            x: `(batch, ...)`, the values that the Keras model takes.

        Returns:
            One array `(batch, ...)` per input, in the file's order and types.

        Raises:
            ValueError: If names, shapes or lengths do not fit the file.
        """
        return self._encoded(self._check(x))

    def arena(self) -> Arena | None:
        """Return the smallest arena; `None` for a runtime without one."""
        return self._runtime.arena(self.path.read_bytes())

    def close(self) -> None:
        """Free the runtime; the model cannot predict afterwards."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def _open(self, content: bytes, num_threads: int) -> Session:
        return self._runtime.open(content, num_threads)

    def _check(self, x: Inputs) -> dict[str, np.ndarray]:
        """Check the inputs and return them by name."""
        names = [detail.name for detail in self.input_details]
        if isinstance(x, Mapping):
            # A signature has no spaces or dashes in its inputs' names.
            arrays = {
                key if key in names else re.sub(r"\W", "_", key, flags=re.A): (
                    np.asarray(value)
                )
                for key, value in x.items()
            }
        else:
            values = x if isinstance(x, (list, tuple)) else [x]
            padding = [f"input {i}" for i in range(len(names), len(values))]
            arrays = {
                name: np.asarray(value)
                for name, value in zip(names + padding, values, strict=False)
            }
        if sorted(arrays) != sorted(names):
            expected = f"the inputs {', '.join(map(repr, names))}"
            raise ValueError(
                requirement("predict", "x", expected, sorted(arrays))
            )
        for detail in self.input_details:
            _check_shape(detail, arrays[detail.name].shape)
        lengths = [len(value) for value in arrays.values()]
        if len(set(lengths)) != 1 or lengths[0] == 0:
            expected = "inputs of one length, at least one example long"
            raise ValueError(requirement("predict", "x", expected, lengths))
        return arrays

    def _encoded(self, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        encoded = {
            detail.index: detail.encode(arrays[detail.name])
            for detail in self.input_details
        }
        return [encoded[index] for index in self._inputs]

    def _run(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = self._encoded(arrays)
        stored = dict(zip(self._outputs, self._session.run(given), strict=True))
        return {
            detail.name: detail.decode(stored[detail.index])
            for detail in self.output_details
        }


class OpenTensors(LiteRTModel):
    """A `.tflite` file whose intermediate results can be read.

    It is slower than `LiteRTModel` and needs more memory: the runtime reuses
    no memory, and its fast kernels, which fuse operators, are off.

    Args:
        path: The file.
        num_threads: Threads of the runtime. Defaults to 1.
    """

    def tensors(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Run the file and return the values of all tensors, dequantized.

        Args:
            arrays: Inputs by name.

        Shapes:
            arrays: `(batch, ...)` each, the values that the model takes.

        Returns:
            One array `(values,)` per tensor name, with all examples.

        Raises:
            ValueError: See `predict`.
        """
        checked = self._check(arrays)
        length = len(next(iter(checked.values())))
        step = self.input_details[0].shape[0] or length
        found: dict[str, list[np.ndarray]] = {}
        for at in range(0, length, step):
            self._run({k: v[at : at + step] for k, v in checked.items()})
            for name, value in self._values():
                found.setdefault(name, []).append(value.reshape(-1))
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _values(self) -> list[tuple[str, np.ndarray]]:
        """Return names and values of the tensors after a run."""
        values = []
        interpreter = self._session.interpreter
        for detail in interpreter.get_tensor_details():
            # Skips per-channel weights, which are no results, and scratch
            # tensors of kernels, which have no name.
            scales = detail["quantization_parameters"]["scales"]
            kept = not detail["name"] or len(scales) > 1
            if kept or detail["dtype"].__name__ == "object_":
                continue
            try:
                stored = interpreter.get_tensor(detail["index"])
            except ValueError:
                continue  # the runtime has removed it
            name, (scale, zero) = detail["name"], detail["quantization"]
            described = TensorDetails(
                name, (), stored.dtype.name, scale, zero, 0
            )
            values.append((name, described.decode(stored)))
        return values

    def _open(self, content: bytes, num_threads: int) -> Session:
        from ai_edge_litert.interpreter import OpResolverType

        kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        return open_session(
            content,
            num_threads,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=kind,
        )


def _read(path: Path) -> bytes:
    """Return a file's bytes if they begin like a LiteRT model."""
    if not path.is_file():
        raise ValueError(
            requirement("LiteRTModel", "path", "an existing file", str(path))
        )
    content = path.read_bytes()
    if not looks_whole(content):
        raise _unusable(path, "it does not begin as LiteRT files do")
    return content


def _unusable(path: Path, reason: str) -> UnusableFileError:
    """Return the error for a file that the runtime refuses."""
    lines = reason.strip().splitlines()
    return UnusableFileError(
        "LiteRTModel",
        path,
        "a whole LiteRT (`.tflite`) file that the runtime can load",
        f"The file is damaged, cut short or made for another runtime: "
        f"{lines[0] if lines else 'no reason given'}. Export it again.",
    )


def _refuse_lacking(path: Path, runtime: Runtime, content: bytes) -> None:
    """Refuse a file that has operators which the runtime lacks."""
    try:
        found = runtime.lacking(content)
    except ValueError as error:
        raise _unusable(path, str(error)) from error
    if found:
        raise UnusableFileError(
            "LiteRTModel",
            path,
            f"a file of operators that the runtime {runtime.name!r} has",
            lacking=found,
        )


def _ends(
    graph: FileGraph, signature: dict[str, int], indices: tuple[int, ...]
) -> list[TensorDetails]:
    """Return inputs or outputs under the names of the signature, if any.

    As in LiteRT, those of a signature are in alphabetical order.
    """
    named = [(graph.tensors[index].name, index) for index in indices]
    return [
        _details(name, index, graph.tensors[index])
        for name, index in sorted(signature.items()) or named
    ]


def _order(details: list[TensorDetails], card: list[dict[str, Any]]) -> None:
    """Put inputs or outputs into the order of the exported model.

    A signature is in alphabetical order; the card that an export puts into
    the file keeps the model's.
    """
    names = [end["name"] for end in card]
    if sorted(names) == sorted(detail.name for detail in details):
        details.sort(key=lambda detail: names.index(detail.name))


def _check_shape(detail: TensorDetails, shape: tuple[int, ...]) -> None:
    """Check an array's shape, apart from the batch size."""
    fits = len(shape) == len(detail.shape) and all(
        want is None or want == size
        for want, size in zip(detail.shape[1:], shape[1:], strict=True)
    )
    if not fits:
        expected = f"of shape {(None, *detail.shape[1:])}"
        raise ValueError(requirement("predict", detail.name, expected, shape))
