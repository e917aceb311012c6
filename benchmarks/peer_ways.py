"""The ways of training that `peers.py` compares, on one pair each."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peer_pairs import Pair

TEMPERATURE, ALPHA = 4.0, 0.9
Epoch = Callable[[], object]


class KerasWays:
    """The ways of Keras on one pair."""

    def __init__(self, pair: Pair) -> None:
        import keras
        import tensorflow as tf

        self._keras, self._tf = keras, tf
        self._pair = pair
        self._loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=True
        )
        x, y = pair.data()
        data = tf.data.Dataset.from_tensor_slices((x, y))
        self._data = data.batch(pair.batch).cache()
        self._teacher, _ = pair.keras()

    def student_alone(self) -> Epoch:
        """`fit` of the student without a teacher."""
        return self._fit(self._student())

    def teacher_forward(self) -> Epoch:
        """The teacher on every batch, as plain Keras runs it."""
        tf, teacher = self._tf, self._teacher

        @tf.function(reduce_retracing=True)
        def forward(x: Any) -> Any:
            return teacher(x, training=False)

        def epoch() -> None:
            for x, _ in self._data:
                forward(x)

        return epoch

    def ours_live(self) -> Epoch:
        """Our Distiller and the teacher."""
        return self._fit(self._ours(self._teacher))

    def ours_cached(self) -> Epoch:
        """Our Distiller and the teacher's cached outputs."""
        import keras_kd

        folder = Path(tempfile.mkdtemp(prefix="keras_kd_peers_")) / "cache"
        cache = keras_kd.TeacherCache.build(
            folder, self._teacher, self._data, verbose=0
        )
        return self._fit(self._ours(cache), cache.join(self._data))

    def keras_distillation(self) -> Epoch:
        """The Distiller of `keras.distillation`, its loss corrected."""
        loss = self._keras.distillation.LogitsDistillation(
            temperature=TEMPERATURE, loss=self._keras.losses.KLDivergence()
        )
        return self._fit(
            self._keras.distillation.Distiller(
                teacher=self._teacher,
                student=self._student(),
                distillation_losses=loss,
                student_loss_weight=1 - ALPHA,
            )
        )

    def keras_io(self) -> Epoch:
        """The recipe of keras.io: a model with a `compute_loss`."""
        keras, teacher = self._keras, self._teacher
        divergence = keras.losses.KLDivergence()

        class Recipe(keras.Model):  # type: ignore[misc, name-defined]
            def __init__(self, student: Any, task: Any) -> None:
                super().__init__()
                self.student, self.task = student, task

            def call(self, x: Any, training: bool = False) -> Any:
                return self.student(x, training=training)

            def compute_loss(
                self, x: Any, y: Any, y_pred: Any, *_: object, **__: object
            ) -> Any:
                logits = teacher(x, training=False) / TEMPERATURE
                targets = keras.ops.softmax(logits)
                softened = keras.ops.softmax(y_pred / TEMPERATURE)
                soft = divergence(targets, softened) * TEMPERATURE**2
                return (1 - ALPHA) * self.task(y, y_pred) + ALPHA * soft

        return self._fit(Recipe(self._student(), self._loss))

    def _student(self) -> Any:
        return self._pair.keras()[1]

    def _ours(self, teacher: Any) -> Any:
        import keras_kd

        return keras_kd.Distiller(
            teacher,
            self._student(),
            alpha=ALPHA,
            temperature=TEMPERATURE,
        )

    def _fit(self, model: Any, data: Any = None) -> Epoch:
        model.compile("adam", loss=self._loss, metrics=["accuracy"])
        data = self._data if data is None else data
        return functools.partial(model.fit, data, verbose=0)


class TorchWays:
    """The training loop of the papers' authors, on one pair.

    Images are channels last in memory; batches are slices of one tensor.
    """

    def __init__(self, pair: Pair) -> None:
        import torch

        torch.set_num_threads(2)
        self._torch = torch
        self._pair = pair
        x, y = (torch.from_numpy(values) for values in pair.data())
        if x.ndim == 4:
            x = x.permute(0, 3, 1, 2)  # still channels last in memory
        batches = (values.split(pair.batch) for values in (x, y))
        self._batches = list(zip(*batches, strict=True))
        self._teacher = self._made(0).eval()

    def torch_student_alone(self) -> Epoch:
        """The student without a teacher."""
        return self._loop(None)

    def torch_teacher_forward(self) -> Epoch:
        """The teacher on every batch."""

        def epoch() -> None:
            with self._torch.no_grad():
                for x, _ in self._batches:
                    self._teacher(x)

        return epoch

    def torch_live(self) -> Epoch:
        """The student under the teacher."""
        return self._loop(self._teacher)

    def _made(self, place: int) -> Any:
        model = self._pair.torch()[place]
        if len(self._pair.shape) == 3:
            model = model.to(memory_format=self._torch.channels_last)
        return model

    def _loop(self, teacher: Any) -> Epoch:
        torch, functional = self._torch, self._torch.nn.functional
        student = self._made(1).train()
        optimizer = torch.optim.Adam(student.parameters(), 1e-3)

        def epoch() -> float:
            total, right = 0.0, 0
            for x, y in self._batches:
                logits = student(x)
                loss = functional.cross_entropy(logits, y)
                if teacher is not None:
                    with torch.no_grad():
                        targets = teacher(x) / TEMPERATURE
                    soft = functional.kl_div(
                        functional.log_softmax(logits / TEMPERATURE, 1),
                        functional.softmax(targets, 1),
                        reduction="batchmean",
                    )
                    soft = soft * TEMPERATURE**2
                    loss = (1 - ALPHA) * loss + ALPHA * soft
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item()
                right += int((logits.argmax(1) == y).sum())
            return total

        return epoch
