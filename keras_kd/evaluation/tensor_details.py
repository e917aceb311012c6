"""The inputs and outputs of a `.tflite` file, and their arithmetic."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_kd.core.checks import requirement


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


def tensor_details(name: str, detail: dict[str, Any]) -> TensorDetails:
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
