"""The state of a training run, in one file that is written atomically."""

import dataclasses
import json
import os
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_kd.core.files import staged

Arrays = list[np.ndarray]


@dataclasses.dataclass
class Snapshot:
    """The progress of one execution of a trial.

    Attributes:
        identity: Identifies the execution.
        epoch: The next epoch to train.
        logs: The logs of each epoch, with its number under `"epoch"`.
        best_value: The best objective so far.
        best_epoch: The epoch that reached it.
        stopped: Whether a callback stopped the training.
        finished: Whether training ended and its best weights are saved.
        callbacks: The class and the numeric attributes of each callback.
        now: Variables of model and optimizer after the last epoch.
        best: The same variables after the best epoch.
        arrays: Lists of arrays that callbacks hold, by name.
    """

    identity: str = ""
    epoch: int = 0
    logs: list[dict[str, float]] = dataclasses.field(default_factory=list)
    best_value: float | None = None
    best_epoch: int = -1
    stopped: bool = False
    finished: bool = False
    callbacks: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    now: Arrays = dataclasses.field(default_factory=list)
    best: Arrays = dataclasses.field(default_factory=list)
    arrays: dict[str, Arrays] = dataclasses.field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write everything to one file, atomically."""
        groups = {"now": self.now, **self.arrays}
        if self.best is not self.now:
            groups["best"] = self.best
        told = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("now", "best", "arrays")
        }
        told["groups"] = {name: len(group) for name, group in groups.items()}
        content: dict[str, Any] = {
            f"{name}/{index}": array
            for name, group in groups.items()
            for index, array in enumerate(group)
        }
        content["told"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
        with staged(path) as scratch, scratch.open("wb") as file:
            np.savez(file, **content)

    @classmethod
    def load(cls, path: Path) -> "Snapshot | None":
        """Read a file; return `None` if it is missing or damaged.

        A damaged file is renamed to `*.corrupt`, with a warning.
        """
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as content:
                told = json.loads(content["told"].tobytes())
                groups = {
                    name: [content[f"{name}/{index}"] for index in range(count)]
                    for name, count in told.pop("groups").items()
                }
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            kept = path.with_name(path.name + ".corrupt")
            os.replace(path, kept)
            warnings.warn(
                f"The checkpoint `{path}` is damaged; it was renamed to "
                f"`{kept.name}` and its training begins anew.",
                stacklevel=2,
            )
            return None
        now = groups.pop("now")
        best = groups.pop("best", now)
        return cls(**told, now=now, best=best, arrays=groups)


def take(model: keras.Model) -> Arrays:
    """Return a copy of a compiled model's weights, seeds and optimizer."""
    return [_copy(variable) for variable in _variables(model)]


def restore(model: keras.Model, arrays: Iterable[np.ndarray]) -> None:
    """Assign the weights, seeds and optimizer state that `take` copied.

    Raises:
        ValueError: If the arrays do not fit the model.
    """
    arrays = list(arrays)
    variables = _variables(model)
    mine = [tuple(variable.shape) for variable in variables]
    if mine != [array.shape for array in arrays]:
        raise ValueError(
            f"The checkpoint is of another model than `{model.name}`: the "
            "function that builds the student, its losses or its optimizer "
            "changed. Use another `project_name`, or `overwrite=True`."
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def _variables(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]


def _copy(variable: Any) -> np.ndarray:
    value = np.array(keras.ops.convert_to_numpy(variable))
    # NumPy cannot load bfloat16 from a file; float32 holds it exactly.
    return value.astype("float32") if value.dtype.kind == "V" else value
