"""An ensemble, or any function of a batch, as a runner."""

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import requirement
from keras_kd.core.heads import class_logits
from keras_kd.core.output_kinds import KINDS
from keras_kd.core.output_kinds import by_name
from keras_kd.core.output_kinds import check_probabilities
from keras_kd.core.output_kinds import place_of
from keras_kd.evaluation.latency import Latency
from keras_kd.evaluation.latency import timed


class FunctionRunner:
    """Runs a function from a batch of NumPy inputs to outputs.

    Args:
        function: The function. It may have the attributes `output_kind`, as
            `keras_kd.teachers.Ensemble` does, and `models`, a list of the
            Keras models that it uses.
        role: `"model"` or `"teacher"`, for error messages.
        output: Kind of the output, for a function without `output_kind`.
        which: Name or index of the output, of several.

    Raises:
        ValueError: If the kind of the output is not given.
    """

    arena_bytes: int | None = None

    def __init__(
        self,
        function: Callable[[Any], Any],
        role: str,
        output: str | None,
        which: Any = None,
    ) -> None:
        kind = output or getattr(function, "output_kind", None)
        if kind is None:
            raise ValueError(
                requirement(
                    "evaluate",
                    f"{role}_output",
                    "given for a function, which does not tell whether it "
                    "returns logits or probabilities",
                    None,
                    f"Say it with `{role}_output='logits'`.",
                )
            )
        check_choice("evaluate", f"{role}_output", kind, KINDS)
        weights = [
            weight
            for model in getattr(function, "models", ())
            for weight in model.weights
        ]
        self.name = getattr(function, "__name__", type(function).__name__)
        self.num_params: int | None = None
        self.size_bytes: int | None = None
        if weights:
            self.num_params = sum(int(np.prod(w.shape)) for w in weights)
            self.size_bytes = sum(w.numpy().nbytes for w in weights)
        self._function = function
        self._role, self._which = role, which
        self.units: int | None = None
        self.kind: str | None = str(kind)

    def settle(self, like: str | None) -> None:
        """Do nothing: the kind of the output was given."""

    def check(self) -> None:
        """Do nothing: the kind of the output was given."""

    def predict(self, x: Any) -> np.ndarray:
        """Return the function's output for a batch."""
        named = by_name(self._function(x))
        place = place_of(
            [*named], self._which, subject="evaluate", role=self._role
        )
        return np.asarray([*named.values()][place])

    def logits(self, x: Any) -> np.ndarray:
        """Return class logits, `(batch, ..., classes)` in float32.

        Raises:
            ValueError: If the function's outputs cannot be the probabilities
                that they were said to be.
        """
        values, kind = self.predict(x), str(self.kind)
        check_probabilities(
            values, kind, subject="evaluate", argument=f"{self._role}_output"
        )
        if values.ndim > 1:
            self.units = values.shape[-1]
        logits = class_logits(values, kind)
        return np.asarray(logits).astype(np.float32)

    def flops(self, example: Any) -> int | None:
        """Return `None`: the operations of a function are unknown."""
        return None

    def latency(self, example: Any, num_runs: int, num_threads: int) -> Latency:
        """Time one example."""
        return timed(lambda: self.predict(example), num_runs, "function")

    def close(self) -> None:
        """Do nothing: there is nothing to free."""
