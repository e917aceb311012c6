"""Steps and epochs of ours and of the peers, on three pairs, in one run.

What is compared alternates in one process, and the minimum over the rounds
counts. PyTorch's threads sleep while they wait (`OMP_WAIT_POLICY=PASSIVE`):
turning, they would disturb what runs beside them. Memory, imports and the
first step are measured in a process of their own for each way. Writes
`benchmarks/results/peers.json`; stopped, the same call goes on.

    python benchmarks/peers.py [--rounds 7] [--again]
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import record
from peer_pairs import PAIRS
from peer_pairs import Pair

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
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


KERAS = (
    "student_alone",
    "teacher_forward",
    "ours_live",
    "ours_cached",
    "keras_distillation",
    "keras_io",
)
TORCH = ("torch_student_alone", "torch_teacher_forward", "torch_live")
NAMES = {
    "student_alone": "student alone",
    "teacher_forward": "teacher forward",
    "ours_live": "`keras_kd`, live",
    "ours_cached": "`keras_kd`, cached",
    "keras_distillation": "`keras.distillation`, loss corrected",
    "keras_io": "recipe of keras.io",
    "torch_student_alone": "PyTorch, student alone",
    "torch_teacher_forward": "PyTorch, teacher forward",
    "torch_live": "PyTorch, live",
}
# What a program imports that trains one way.
IMPORTS = {
    "ours_live": "import keras, keras_kd; keras_kd.Distiller",
    "ours_cached": "import keras, keras_kd; keras_kd.Distiller",
    "keras_distillation": "import keras.distillation",
    **dict.fromkeys(TORCH, "import torch"),
}


def epoch_of(pair: Pair, way: str) -> Epoch:
    """Return a function that trains an epoch in one way."""
    ways = TorchWays if way in TORCH else KerasWays
    made: Epoch = getattr(ways(pair), way)()
    return made


def epochs(pair: Pair, rounds: int) -> dict[str, float]:
    """Seconds of an epoch in each way, all in this process."""
    keras, torch = KerasWays(pair), TorchWays(pair)
    jobs = {way: getattr(keras, way)() for way in KERAS}
    jobs |= {way: getattr(torch, way)() for way in TORCH}
    return record.minima(jobs, rounds)


def alone(pair: Pair, way: str) -> dict[str, float]:
    """Import, first step and memory of one way, in a process of its own.

    The first step is the first epoch of one batch, with what it traces; a
    cache is built before. Memory is the most after three epochs.
    """
    start = time.perf_counter()
    exec(IMPORTS.get(way, "import keras"))
    imported = time.perf_counter() - start
    first = epoch_of(pair._replace(steps=1), way)
    start = time.perf_counter()
    first()
    stepped = time.perf_counter() - start
    epoch = epoch_of(pair, way)
    for _ in range(3):
        epoch()
    return {
        "import_seconds": imported,
        "first_step_seconds": stepped,
        "peak_mb": peak_mb(),
    }


def peak_mb() -> float:
    """Return the most memory that this process has had, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return float("nan")


def in_own_process(name: str, way: str) -> dict[str, float]:
    """Run `alone` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--alone", name, way],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def ratios(seconds: dict[str, float]) -> dict[str, float]:
    """Return what the epochs of a pair are compared by."""
    parts = seconds["student_alone"] + seconds["teacher_forward"]
    live = seconds["ours_live"]
    return {
        "live / (student alone + teacher forward)": live / parts,
        "live / keras.distillation": live / seconds["keras_distillation"],
        "live / keras.io": live / seconds["keras_io"],
        "cached / student alone": seconds["ours_cached"]
        / seconds["student_alone"],
        "student alone: TensorFlow / PyTorch": seconds["student_alone"]
        / seconds["torch_student_alone"],
        "live / PyTorch": live / seconds["torch_live"],
    }


def main() -> None:
    """Measure what is missing, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--again", action="store_true", help="measure all anew")
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        name, way = given.alone
        print(json.dumps(alone(PAIRS[name], way)))
        return
    settings = {
        "rounds": given.rounds,
        "pairs": {
            name: [pair.batch, pair.steps] for name, pair in PAIRS.items()
        },
    }
    if given.again:
        (record.RESULTS / "peers.json").unlink(missing_ok=True)
    jobs: dict[str, Callable[[], Any]] = {}
    for name, pair in PAIRS.items():
        jobs[name] = functools.partial(epochs, pair, given.rounds)
        for way in (*KERAS, *TORCH):
            jobs[f"{name}, {way}"] = functools.partial(
                in_own_process, name, way
            )
    cells = record.resumed("peers", settings, jobs)
    for name in PAIRS:
        print(name)
        for what, ratio in ratios(cells[name]).items():
            print(f"  {what:42} {ratio:.3f}")


if __name__ == "__main__":
    main()
