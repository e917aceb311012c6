"""Encodes teacher outputs as records of fixed size, and decodes them.

A record holds all outputs for one view of one example. Logits are dense, or
the `top_k` log-probabilities and the logarithm of the mass of all others.
"""

from typing import Any

import keras
import numpy as np

from keras_kd.core.checks import requirement
from keras_kd.core.packed_inputs import TopK
from keras_kd.teachers.cache.structure import Leaf
from keras_kd.teachers.cache.structure import describe

FLOAT16_MAX = 65504.0
Fields = list[tuple[str, str, tuple[int, ...]]]


class Encoding:
    """Turns outputs into records and records into outputs.

    Args:
        outputs: Structure of `Leaf`: `"logits"` and `"features"`.
        dtype: `"float16"` or `"float32"`.
        top_k: Number of classes stored, or `None` for all.

    Raises:
        ValueError: If `top_k` is more than the number of classes, or a shape
            is not fixed.
    """

    def __init__(self, outputs: Any, dtype: str, top_k: int | None) -> None:
        self.outputs = outputs
        self._dtype = np.dtype(dtype).newbyteorder("<").str
        self._top_k = top_k
        self._logits = keras.tree.flatten(outputs.get("logits", []))
        self._features = keras.tree.flatten(outputs.get("features", {}))
        fields: Fields = []
        for number, leaf in enumerate(self._logits):
            fields += self._logit_fields(f"logits{number}", leaf)
        for number, leaf in enumerate(self._features):
            fields.append((f"feature{number}", self._dtype, _closed(leaf)))
        # Wide fields first, so that all fields are aligned.
        fields.sort(key=lambda field: -np.dtype(field[1]).itemsize)
        self.record = np.dtype(fields)

    def encode(self, outputs: Any) -> np.ndarray:
        """Return one record for each example of a batch of outputs.

        Raises:
            ValueError: If the outputs differ in shape from the first batch,
                are NaN or infinite, or do not fit into float16.
        """
        received = describe(outputs)
        if not _alike(received, self.outputs):
            raise ValueError(
                "`TeacherCache` needs a teacher whose outputs have one shape. "
                f"Received: {received}, after {self.outputs}."
            )
        logits = keras.tree.flatten(outputs.get("logits", []))
        features = keras.tree.flatten(outputs.get("features", {}))
        records = np.zeros(len((logits + features)[0]), self.record)
        for number, value in enumerate(logits):
            parts = self._encode_logits(_checked(value, "logits"))
            for name, part in parts.items():
                records[f"logits{number}{name}"] = part
        for number, value in enumerate(features):
            records[f"feature{number}"] = self._narrow(
                _checked(value, "features"), "features"
            )
        return records

    def decode(self, records: np.ndarray) -> dict[str, Any]:
        """Return the outputs of records, as float32 arrays or `TopK`."""
        values: dict[str, Any] = {}
        if "logits" in self.outputs:
            logits = [
                self._decode_logits(records, f"logits{number}", leaf)
                for number, leaf in enumerate(self._logits)
            ]
            values["logits"] = keras.tree.pack_sequence_as(
                self.outputs["logits"], logits
            )
        if "features" in self.outputs:
            features = [
                records[f"feature{number}"].astype(np.float32)
                for number in range(len(self._features))
            ]
            values["features"] = keras.tree.pack_sequence_as(
                self.outputs["features"], features
            )
        return values

    @property
    def _dense_float16(self) -> bool:
        return self._top_k is None and self._dtype == "<f2"

    def _logit_fields(self, name: str, leaf: Leaf) -> Fields:
        *places, classes = _closed(leaf)
        rows = tuple(places)
        if self._top_k is None:
            fields = [(name, self._dtype, (*rows, classes))]
            if self._dense_float16:
                fields.append((f"{name}_offset", "<f4", rows))
            return fields
        if self._top_k > classes:
            raise ValueError(
                requirement(
                    "TeacherCache",
                    "top_k",
                    f"at most {classes}, the number of classes",
                    self._top_k,
                    "Leave it out to keep them all.",
                )
            )
        index = "<u2" if classes <= 65536 else "<u4"
        return [
            (f"{name}_rest", "<f4", rows),
            (f"{name}_classes", index, (*rows, self._top_k)),
            (f"{name}_top", self._dtype, (*rows, self._top_k)),
        ]

    def _encode_logits(self, logits: np.ndarray) -> dict[str, np.ndarray]:
        if self._top_k is not None:
            classes, top, rest = top_k_mass(logits, self._top_k)
            top = self._narrow(top, "log-probabilities")
            return {"_classes": classes, "_top": top, "_rest": rest}
        if not self._dense_float16:
            return {"": logits}
        # float16 has relative precision: near the maximum, where it matters,
        # the differences are small and so is the error.
        offset = logits.max(axis=-1)
        shifted = logits - offset[..., None]
        return {"": self._narrow(shifted, "logits"), "_offset": offset}

    def _decode_logits(
        self, records: np.ndarray, name: str, leaf: Leaf
    ) -> np.ndarray | TopK:
        if self._top_k is None:
            logits = records[name].astype(np.float32)
            if self._dense_float16:
                logits += records[f"{name}_offset"][..., None]
            return logits
        num_classes = _closed(leaf)[-1]
        rest = records[f"{name}_rest"]
        return TopK(
            records[f"{name}_classes"].astype(np.int32),
            records[f"{name}_top"].astype(np.float32),
            rest - np.float32(np.log(max(num_classes - self._top_k, 1))),
            np.empty((*rest.shape, num_classes, 0), np.float32),
        )

    def _narrow(self, values: np.ndarray, what: str) -> np.ndarray:
        if self._dtype != "<f2":
            return values
        finite = np.isfinite(values)
        largest = np.abs(values, where=finite, out=np.zeros_like(values)).max(
            initial=0.0
        )
        if largest > FLOAT16_MAX:
            raise ValueError(
                f"`TeacherCache` cannot store {what} of size {largest:g} as "
                f'float16, which ends at {FLOAT16_MAX:g}. Use dtype="float32".'
            )
        return values.astype(np.float16)


def top_k_mass(
    logits: np.ndarray, top_k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split a distribution into its largest classes and the remaining mass.

    Formula:
        `top = z - logsumexp(z)`; `rest = logsumexp(z of the others) -
        logsumexp(z)`, so that no precision is lost in `1 - sum p`.

    Args:
        logits: `(..., classes)`, float32.
        top_k: Number of classes kept, at most all.

    Returns:
        Classes `(..., top_k)`, the most likely first, their
        log-probabilities, and the log-mass of the others `(...)`, which is
        -inf if there are no others.
    """
    size = logits.shape[-1]
    if top_k < size:
        classes = np.argpartition(logits, size - top_k, -1)[..., -top_k:]
    else:
        classes = np.broadcast_to(np.arange(size), logits.shape)
    top = np.take_along_axis(logits, classes, -1)
    order = np.lexsort((classes, -top), axis=-1)
    classes = np.take_along_axis(classes, order, -1)
    top = np.take_along_axis(top, order, -1)
    others = logits.copy()
    np.put_along_axis(others, classes, -np.inf, -1)
    rest = _log_sum_exp(others)
    whole = np.logaddexp(_log_sum_exp(top), rest)
    return classes, top - whole[..., None], rest - whole


def _log_sum_exp(values: np.ndarray) -> np.ndarray:
    largest = values.max(axis=-1, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, np.float32(0))
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(values - largest).sum(-1))
    return total + largest[..., 0]


def _checked(values: Any, what: str) -> np.ndarray:
    values = np.asarray(values, np.float32)
    # A masked logit may be -inf, but not all logits of a row.
    wrong = ~np.isfinite(values)
    if what == "logits" and wrong.any():
        wrong = ~(np.isfinite(values) | np.isneginf(values))
        wrong |= np.isneginf(values).all(-1, keepdims=True)
    if wrong.any():
        row = int(np.argwhere(wrong)[0, 0])
        raise ValueError(
            f"`TeacherCache` needs finite {what} from the teacher. Received: "
            f"{values[wrong][0]} for example {row} of a batch. Check what the "
            "teacher does with this input."
        )
    return values


def _closed(leaf: Leaf) -> tuple[int, ...]:
    if any(size is None for size in leaf.shape) or not leaf.shape:
        raise ValueError(
            "`TeacherCache` needs a teacher whose outputs have a fixed shape "
            f"(batch, ..., units). Received: {leaf.shape} an example."
        )
    return tuple(int(size) for size in leaf.shape if size is not None)


def _alike(one: Any, other: Any) -> bool:
    leaves = keras.tree.flatten(one), keras.tree.flatten(other)
    return [leaf.shape for leaf in leaves[0]] == [
        leaf.shape for leaf in leaves[1]
    ]
