"""A Keras model as a runner."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.core.frozen import Frozen
from keras_kd.core.input_choice import check_inputs
from keras_kd.core.output_kinds import place_of
from keras_kd.core.taps import Tap
from keras_kd.evaluation.flops import count_flops
from keras_kd.evaluation.latency import Latency
from keras_kd.evaluation.latency import threads
from keras_kd.evaluation.latency import timed


class KerasRunner:
    """Runs a Keras model in inference mode, compiled.

    Args:
        model: A built model.
        role: `"model"` or `"teacher"`, for error messages.
        output: Kind of the output, if the layers do not tell.
        path: The file that the model came from, whose size is reported.
        which: Name or index of the output, of several.
    """

    arena_bytes: int | None = None

    def __init__(
        self,
        model: keras.Model,
        role: str,
        output: str | None,
        path: Path | None = None,
        which: Any = None,
    ) -> None:
        tap = Tap(
            model,
            output_kind=output,
            subject="evaluate",
            role=role,
            strict=False,
        )
        self._place = place_of(tap.keys, which, subject="evaluate", role=role)
        self.name = path.name if path else model.name
        self.num_params: int | None = sum(
            int(np.prod(weight.shape)) for weight in model.weights
        )
        self.size_bytes: int | None = (
            path.stat().st_size if path else _bytes(model)
        )
        self._model = model
        self._role = role
        self._tap = tap
        leaf = keras.tree.flatten(tap.spec.predictions)[self._place]
        self.units: int | None = leaf.shape[-1]
        self._compiled: dict[str, Any] = {}

    @property
    def kind(self) -> str | None:
        """The kind of the output, or `None`."""
        return self._tap.kinds[self._place]

    def settle(self, like: str | None) -> None:
        """Decide what the output is, if the model leaves it open."""
        self._tap.settle(like={self._tap.keys[self._place]: like})
        self._compiled.clear()

    def check(self) -> None:
        """Check that the kind of the output is known."""
        self._tap.check([self._tap.keys[self._place]])

    def predict(self, x: Any) -> np.ndarray:
        """Return the model's output for a batch."""
        outputs = self._model(x, training=False)
        return np.asarray(keras.tree.flatten(outputs)[self._place])

    def logits(self, x: Any) -> np.ndarray:
        """Return class logits, `(batch, ..., classes)` in float32."""
        tensors = keras.tree.map_structure(tf.constant, x)
        specs = keras.tree.map_structure(
            lambda leaf: tf.TensorSpec((None, *leaf.shape[1:]), leaf.dtype),
            tensors,
        )
        # One function for all batch sizes, including that of the last batch.
        run = self._compiled.get(str(specs))
        if run is None:
            self.check()
            who = "teacher" if self._role == "teacher" else "student"
            check_inputs(
                self._model,
                x,
                subject="evaluate",
                role=self._role,
                argument=f"{who}_input",
            )
            infer: Callable[[Any], Any] = self._class_logits
            if self._role == "teacher":  # It runs on every batch.
                infer = Frozen(infer, [self._model])
            run = tf.function(infer).get_concrete_function(specs)
            self._compiled[str(specs)] = run
        return run(tensors).numpy().astype(np.float32)

    def flops(self, example: Any) -> int | None:
        """Return the floating-point operations of one example."""
        return count_flops(self._infer(), example)

    def latency(self, example: Any, num_runs: int, num_threads: int) -> Latency:
        """Time one example through a compiled function.

        TensorFlow's number of threads is a setting of the whole process, so
        `num_threads` is ignored. The source of the result has the number.
        """
        return time_function(self._infer(), example, num_runs)

    def close(self) -> None:
        """Forget the compiled functions."""
        self._compiled.clear()

    def _class_logits(self, x: Any) -> Any:
        return keras.tree.flatten(self._tap(x).logits)[self._place]

    def _infer(self) -> Any:
        return tf.function(lambda x: self._model(x, training=False))


def time_function(function: Any, example: Any, num_runs: int) -> Latency:
    """Time a `tf.function` on one example."""
    tensors = keras.tree.map_structure(tf.constant, example)
    compiled = function.get_concrete_function(tensors)

    def run() -> None:
        for leaf in keras.tree.flatten(compiled(tensors)):
            leaf.numpy()

    count = tf.config.threading.get_intra_op_parallelism_threads()
    count = count or os.cpu_count() or 1
    return timed(run, num_runs, f"tf.function, {threads(count)}")


def _bytes(model: keras.Model) -> int:
    return sum(
        int(np.prod(weight.shape)) * tf.as_dtype(weight.dtype).size
        for weight in model.weights
    )
