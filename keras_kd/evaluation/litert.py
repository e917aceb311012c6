"""A `.tflite` file, run and inspected through the LiteRT runtime."""

import os
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement
from keras_kd.evaluation.tflite_file import looks_whole
from keras_kd.evaluation.tflite_file import read_file

Inputs = np.ndarray | Sequence[np.ndarray] | Mapping[str, np.ndarray]
Outputs = np.ndarray | dict[str, np.ndarray]


@dataclass(frozen=True)
class TensorDetails:
    """One input or output of a `.tflite` file.

    Args:
        name: Its name in the file's signature.
        shape: Its shape; `None` where the file leaves a size open.
        dtype: NumPy name of what the file takes or gives.
        scale: Step of a quantized tensor; 0.0 where it is not quantized.
        zero_point: The integer that stands for 0.0.
        index: The runtime's number of the tensor.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float
    zero_point: int
    index: int

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Return real values as what the file takes.

        Raises:
            ValueError: If they are not finite, or storing them as indices
                would change them.
        """
        if self.scale:
            if not np.isfinite(values).all():
                expected = "finite numbers"
                raise ValueError(
                    requirement("predict", self.name, expected, values)
                )
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

    def decode(self, stored: np.ndarray) -> np.ndarray:
        """Return what the file gave as real values."""
        if self.scale:
            steps = stored.astype(np.float32) - np.float32(self.zero_point)
            return steps * np.float32(self.scale)
        return stored.astype(np.float32) if stored.dtype.kind == "f" else stored


def _details(name: str, detail: dict[str, Any]) -> TensorDetails:
    """Return the runtime's details as `TensorDetails`."""
    scale, zero_point = detail["quantization"]
    return TensorDetails(
        name=name,
        shape=tuple(
            None if size < 0 else int(size)
            for size in detail["shape_signature"]
        ),
        dtype=np.dtype(detail["dtype"]).name,
        scale=float(scale),
        zero_point=int(zero_point),
        index=int(detail["index"]),
    )


class LiteRTModel:
    """A `.tflite` file that predicts like a Keras model.

    Values go in and come out as the real numbers that the Keras model takes
    and gives: integer inputs are quantized and integer outputs dequantized
    here. A file with an open batch size is resized to each batch; one with a
    fixed batch size is looped over.

    Args:
        path: The file.
        num_threads: Threads of the runtime. Defaults to 1, which is what
            latencies are compared at.

    Attributes:
        input_details: One `TensorDetails` an input.
        output_details: One `TensorDetails` an output.
        operators: Operator names in the order they run.
        weight_dtypes: Number of stored weights by type, as
            `{"int8": 1000, "int32": 10}`.
        num_params: Number of stored weights. Smaller than the Keras model's
            where the converter folded batch normalization away.

    Raises:
        ValueError: If the file is missing, is not whole, is no LiteRT model
            or needs TensorFlow operators that the runtime does not have.

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
        self, path: str | os.PathLike[str], num_threads: int = 1
    ) -> None:
        self.path = Path(path)
        check_integer("LiteRTModel", "num_threads", num_threads, low=1)
        content = _read(self.path)
        try:
            runtime = self._interpreter(content, num_threads)
        except (RuntimeError, ValueError) as error:
            raise ValueError(_unusable(self.path, str(error))) from error
        # The runtime has verified the file, so that reading it is safe.
        file = read_file(content)
        _refuse_flex(self.path, file.operators)
        inputs, outputs = _signature(runtime)
        self.input_details = [_details(*item) for item in inputs]
        self.output_details = [_details(*item) for item in outputs]
        self._shapes: dict[int, tuple[int, ...]] = {}
        # A file with open sizes stands at size 1, which may be impossible.
        if not any(None in detail.shape[1:] for detail in self.input_details):
            try:
                runtime.allocate_tensors()
            except RuntimeError as error:
                raise ValueError(_unusable(self.path, str(error))) from error
            self._shapes = {d["index"]: tuple(d["shape"]) for _, d in inputs}
        self.operators = file.operators
        self.weight_dtypes = file.weight_dtypes
        self.num_params = sum(self.weight_dtypes.values())
        self._runtime: Any = runtime

    def predict(self, x: Inputs, batch_size: int = 64) -> Outputs:
        """Run the file on any number of examples.

        Args:
            x: One array, a dict by input name, or a list in the order of
                `input_details`.
            batch_size: Examples a run, where the file leaves it open.

        Shapes:
            x: `(batch, ...)`, in the real numbers of the Keras model.

        Returns:
            One array `(batch, ...)`, or a dict by output name when there are
            several; float32, except for outputs that are whole numbers and
            not quantized.

        Raises:
            ValueError: If names, shapes or lengths do not fit the file, or
                after `close`.
        """
        if self._runtime is None:
            raise ValueError(f"`{self.path}` was closed. Open it again.")
        arrays = self._check(x)
        length = len(next(iter(arrays.values())))
        fixed = self.input_details[0].shape[0]
        step = fixed or batch_size
        parts = [
            self._run({k: v[at : at + step] for k, v in arrays.items()}, fixed)
            for at in range(0, length, step)
        ]
        outputs = {
            name: np.concatenate([part[name] for part in parts])
            for name in parts[0]
        }
        return outputs if len(outputs) > 1 else next(iter(outputs.values()))

    def close(self) -> None:
        """Free the runtime; the model cannot predict afterwards."""
        self._runtime = None

    def _interpreter(self, content: bytes, num_threads: int) -> Any:
        from ai_edge_litert.interpreter import Interpreter

        return Interpreter(model_content=content, num_threads=num_threads)

    def _check(self, x: Inputs) -> dict[str, np.ndarray]:
        """Return the inputs by name."""
        names = [detail.name for detail in self.input_details]
        if isinstance(x, Mapping):
            arrays = {name: np.asarray(value) for name, value in x.items()}
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

    def _run(
        self, arrays: dict[str, np.ndarray], fixed: int | None
    ) -> dict[str, np.ndarray]:
        """Run one batch; one that is too short is filled with its last row."""
        runtime = self._runtime
        length = len(next(iter(arrays.values())))
        missing = (fixed or length) - length
        encoded = {}
        for detail in self.input_details:
            value = detail.encode(arrays[detail.name])
            rows = np.r_[np.arange(length), np.full(missing, length - 1)]
            encoded[detail.index] = value[rows] if missing else value
        shapes = {index: value.shape for index, value in encoded.items()}
        if shapes != self._shapes:
            for index, shape in shapes.items():
                runtime.resize_tensor_input(index, shape)
            runtime.allocate_tensors()
            self._shapes = shapes
        for index, value in encoded.items():
            runtime.set_tensor(index, value)
        runtime.invoke()
        # get_tensor copies: nothing returned changes with the next invoke.
        return {
            detail.name: detail.decode(runtime.get_tensor(detail.index))[
                :length
            ]
            for detail in self.output_details
        }


class OpenTensors(LiteRTModel):
    """A `.tflite` file whose intermediate results can be read.

    Slower and larger in memory than `LiteRTModel`: the runtime reuses no
    memory, and its fast kernels, which join operators, are off.

    Args:
        path: The file.
        num_threads: Threads of the runtime. Defaults to 1.
    """

    def tensors(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Return all tensors as real numbers, by name.

        Args:
            arrays: Inputs by name.

        Shapes:
            arrays: `(batch, ...)` each, in the real numbers of the model.

        Returns:
            One array `(values,)` a tensor, of all examples.

        Raises:
            ValueError: See `predict`.
        """
        checked = self._check(arrays)
        fixed = self.input_details[0].shape[0]
        length = len(next(iter(checked.values())))
        step = fixed or length
        found: dict[str, list[np.ndarray]] = {}
        for at in range(0, length, step):
            self._run({k: v[at : at + step] for k, v in checked.items()}, fixed)
            for name, value in self._values():
                found.setdefault(name, []).append(value.reshape(-1))
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _values(self) -> list[tuple[str, np.ndarray]]:
        """Return what the tensors hold after a run."""
        values = []
        for detail in self._runtime.get_tensor_details():
            # Weights have a scale a channel, and are no results; what a
            # kernel keeps for itself has no name.
            scales = detail["quantization_parameters"]["scales"]
            kept = not detail["name"] or len(scales) > 1
            if kept or detail["dtype"].__name__ == "object_":
                continue
            try:
                stored = self._runtime.get_tensor(detail["index"])
            except ValueError:
                continue  # the runtime folded it away
            described = _details(
                detail["name"], {"shape_signature": [], **detail}
            )
            values.append((detail["name"], described.decode(stored)))
        return values

    def _interpreter(self, content: bytes, num_threads: int) -> Any:
        from ai_edge_litert.interpreter import Interpreter
        from ai_edge_litert.interpreter import OpResolverType

        return Interpreter(
            model_content=content,
            num_threads=num_threads,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=(
                OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            ),
        )


def _read(path: Path) -> bytes:
    """Return a file's bytes when they can be a LiteRT model."""
    if not path.is_file():
        raise ValueError(
            requirement("LiteRTModel", "path", "an existing file", str(path))
        )
    content = path.read_bytes()
    if not looks_whole(content):
        raise ValueError(
            _unusable(path, "it does not begin as LiteRT files do")
        )
    return content


def _unusable(path: Path, reason: str) -> str:
    """Word the error for a file that the runtime refuses."""
    lines = reason.strip().splitlines()
    return requirement(
        "LiteRTModel",
        "path",
        "a whole LiteRT (`.tflite`) file that the runtime can load",
        str(path),
        f"The file is damaged, cut short or made for another runtime: "
        f"{lines[0] if lines else 'no reason given'}. Export it again.",
    )


def _refuse_flex(path: Path, operators: list[str]) -> None:
    """Refuse a file that needs TensorFlow on the device."""
    flex = sorted({name for name in operators if name.startswith("Flex")})
    if flex:
        raise ValueError(
            requirement(
                "LiteRTModel",
                "path",
                "a file of LiteRT operators only",
                str(path),
                f"It needs TensorFlow operators that devices do not have: "
                f"{', '.join(flex)}. Replace the layers that use them.",
            )
        )


def _signature(runtime: Any) -> tuple[list[Any], list[Any]]:
    """Return inputs and outputs as (name, the runtime's details)."""
    if runtime.get_signature_list():
        runner = runtime.get_signature_runner()
        inputs, outputs = (
            runner.get_input_details(),
            runner.get_output_details(),
        )
        return list(inputs.items()), list(outputs.items())
    return (
        [(detail["name"], detail) for detail in runtime.get_input_details()],
        [(detail["name"], detail) for detail in runtime.get_output_details()],
    )


def _check_shape(detail: TensorDetails, shape: tuple[int, ...]) -> None:
    """Check an array's shape, the batch size aside."""
    fits = len(shape) == len(detail.shape) and all(
        want is None or want == size
        for want, size in zip(detail.shape[1:], shape[1:], strict=True)
    )
    if not fits:
        expected = f"of shape {(None, *detail.shape[1:])}"
        raise ValueError(requirement("predict", detail.name, expected, shape))
