"""Which alpha and temperature help from the first run: five tasks, a grid.

Each student learns from the labels alone, and under its teacher's cached
outputs with every alpha and temperature, with and without a linear warm-up of
alpha (the longest task without). Teachers see all training examples, students
few. A default is safe if
it never loses to labels alone by more than the spread. A cell is written when
it is done, and a stopped run goes on. Writes
`benchmarks/results/defaults.json`.

    python benchmarks/defaults.py [--seeds 3] [--tasks mnist ...] \
        [--folder FOLDER] [--quick]
"""

import argparse
import functools
import tempfile
from collections.abc import Callable
from collections.abc import Collection
from pathlib import Path
from statistics import mean
from statistics import stdev
from typing import Any
from typing import NamedTuple

import defaults_data
import keras
import numpy as np
import record
import tensorflow as tf

import keras_kd
from keras_kd import students

ALPHAS, TEMPERATURES, WARM_UPS = (0.3, 0.5, 0.9), (1.0, 2.0, 4.0), (False, True)
BATCH, RATE = 64, 3e-3
WARM_UP = 0.25  # share of the steps in which alpha rises from 0
ALONE = "labels alone"
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
Build = Callable[[tuple[int, ...], int], keras.Model]


class Task(NamedTuple):
    """A data set, who teaches it, and who learns it how long.

    Attributes:
        dataset: Name of the data set.
        taught: Number of examples that the students see.
        teacher: Makes the teacher of an input shape and classes.
        teacher_epochs: Passes of the teacher over all training examples.
        student: Makes the student.
        epochs: Passes of a student over its examples.
        warm_ups: Whether alpha rises linearly: which of both are measured.
    """

    dataset: str
    taught: int
    teacher: Build
    teacher_epochs: int
    student: Build
    epochs: int
    warm_ups: tuple[bool, ...] = WARM_UPS


def _scaled(family: Any, **options: Any) -> Build:
    """Return a builder of models that take bytes."""

    def build(shape: tuple[int, ...], classes: int) -> keras.Model:
        image = keras.Input(shape)
        x = keras.layers.Rescaling(1 / 255)(image)
        return keras.Model(image, family(shape, classes, **options)(x))

    return build


_CONVNET, _TEXT_CNN = students.convnet, students.text_cnn
_TEXTS = {"vocabulary_size": defaults_data.TOKENS}
_ONCE = {"convs_per_stage": 1}
_CIFAR = Task(
    "cifar10_jpeg",
    4000,
    _scaled(_CONVNET, **_ONCE),
    6,
    _scaled(_CONVNET, width=0.125, **_ONCE),
    12,
)
TASKS = {
    "mnist": Task(
        "mnist",
        2000,
        _scaled(_CONVNET, width=0.5, **_ONCE),
        2,
        _scaled(_CONVNET, width=0.125, **_ONCE),
        12,
    ),
    "cifar10_jpeg": _CIFAR,
    "cifar10_jpeg, four times as long": _CIFAR._replace(
        epochs=48, warm_ups=(False,)
    ),
    "clinc_oos": Task(
        "clinc_oos",
        4000,
        functools.partial(_TEXT_CNN, width=0.5, **_TEXTS),
        6,
        functools.partial(_TEXT_CNN, width=0.1, **_TEXTS),
        12,
    ),
    "spoken digits": Task(
        "spoken_digit_compact",
        2250,
        functools.partial(_CONVNET, width=0.5, **_ONCE),
        12,
        functools.partial(_CONVNET, width=0.125, **_ONCE),
        8,
    ),
}
_QUICK = Task(
    "digits",
    200,
    functools.partial(_CONVNET, width=0.25, **_ONCE),
    1,
    functools.partial(_CONVNET, width=0.125, **_ONCE),
    1,
)


class Given(keras.optimizers.schedules.LearningRateSchedule):
    """A number that is set before each training run, and may rise to it."""

    def __init__(self) -> None:
        self._value = keras.Variable(1.0, trainable=False)
        self._warm_up = keras.Variable(0.0, trainable=False)

    def set(self, value: float, warm_up_steps: float = 0) -> None:
        """Set the number, and the steps in which it rises from 0."""
        self._value.assign(value)
        self._warm_up.assign(warm_up_steps)

    def __call__(self, step: Any) -> Any:
        """Return the number at a step."""
        step = keras.ops.cast(step, "float32")
        share = step / keras.ops.maximum(self._warm_up, 1e-9)
        rising = keras.ops.where(self._warm_up > 0, share, 1.0)
        return self._value * keras.ops.minimum(rising, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Return nothing: it is not saved."""
        return {}


class Bench:
    """A teacher's cached outputs, and the students that learn from them."""

    def __init__(self, name: str, task: Task, folder: Path) -> None:
        self._task = task
        self._data = defaults_data.load(task.dataset, task.taught)
        x, y = self._data.known
        self._sizes = (x.shape[1:], int(y.max()) + 1)
        teacher = self._teacher(folder / f"{task.dataset}.keras")
        print(f"{name}: teacher {self._accuracy(teacher)}", flush=True)
        self._cache = keras_kd.TeacherCache.build(
            folder / f"{task.dataset}_cache",
            teacher,
            tf.data.Dataset.from_tensor_slices(self._data.taught).batch(BATCH),
            verbose=0,
        )
        # One Distiller for all ways and seeds: it is traced once.
        self._steps = task.epochs * -(-len(self._data.taught[1]) // BATCH)
        self._alpha, self._temperature = Given(), Given()
        self._distiller = keras_kd.Distiller(
            self._cache,
            task.student(*self._sizes),
            alpha=self._alpha,
            temperature=self._temperature,
        )
        self._compile(self._distiller, self._steps)

    def run(
        self, seed: int, alpha: float, temperature: float, warm_up: bool
    ) -> float:
        """Train one student; alpha 0 is without a teacher."""
        keras.utils.set_random_seed(seed)
        student = self._distiller.student
        student.set_weights(self._task.student(*self._sizes).get_weights())
        for variable in self._distiller.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
        self._alpha.set(alpha, WARM_UP * self._steps if warm_up else 0)
        self._temperature.set(temperature)
        self._distiller.fit(
            self._joined(seed), epochs=self._task.epochs, verbose=0
        )
        return self._accuracy(student)

    def _joined(self, seed: int) -> tf.data.Dataset:
        x, y = self._data.taught
        data = tf.data.Dataset.from_tensor_slices((x, y))
        data = data.shuffle(len(x), seed=seed).batch(BATCH)
        return self._cache.join(data).prefetch(2)

    def _teacher(self, path: Path) -> keras.Model:
        if path.exists():
            return keras.models.load_model(path)
        keras.utils.set_random_seed(100)
        teacher = self._task.teacher(*self._sizes)
        x, y = self._data.known
        data = tf.data.Dataset.from_tensor_slices((x, y))
        data = data.shuffle(len(x), seed=100).batch(BATCH).prefetch(2)
        epochs = self._task.teacher_epochs
        self._compile(teacher, epochs * len(data))
        teacher.fit(data, epochs=epochs, verbose=0)
        teacher.save(path)
        return teacher

    def _compile(self, model: keras.Model, steps: int) -> None:
        rate = keras.optimizers.schedules.CosineDecay(RATE, steps)
        model.compile(
            keras.optimizers.Adam(rate), loss=LOSS, steps_per_execution=10
        )

    def _accuracy(self, model: keras.Model) -> float:
        x, y = self._data.test
        predicted = model.predict(x, batch_size=500, verbose=0)
        return round(100 * float(np.mean(predicted.argmax(-1) == y)), 2)


def grid(task: Task) -> dict[str, tuple[float, float, bool]]:
    """Return the name of each way to train, and its arguments."""
    ways = {ALONE: (0.0, 1.0, False)}
    axes = (ALPHAS, TEMPERATURES, task.warm_ups)
    if task is _QUICK:
        axes = (ALPHAS[-1:], TEMPERATURES[-1:], WARM_UPS[-1:])
    alphas, temperatures, warm_ups = axes
    for alpha in alphas:
        for temperature in temperatures:
            for warm_up in warm_ups:
                name = f"alpha {alpha}, T {temperature:g}"
                name += ", warm-up" if warm_up else ""
                ways[name] = (alpha, temperature, warm_up)
    return ways


def values(cells: dict[str, float], task: str, way: str) -> dict[str, float]:
    """Return what one way of training gave, by seed."""
    split = [(*cell.rpartition(", "), value) for cell, value in cells.items()]
    return {
        seed: value
        for name, _, seed, value in split
        if name == f"{task}, {way}"
    }


def gains(
    cells: dict[str, float], tasks: dict[str, Task]
) -> dict[str, dict[str, float]]:
    """Return each way's points over labels alone by task, the best first."""
    gained: dict[str, dict[str, float]] = {}
    for name, task in tasks.items():
        alone = values(cells, name, ALONE)
        for way in grid(task):
            if way != ALONE:
                found = values(cells, name, way)
                gained.setdefault(way, {})[name] = mean(
                    found[seed] - alone[seed] for seed in found
                )
    best_first = sorted(gained, key=lambda way: -mean(gained[way].values()))
    return {way: gained[way] for way in best_first}


def spread(numbers: Collection[float]) -> float:
    """Return the standard deviation, 0 of one number."""
    return stdev(numbers) if len(numbers) > 1 else 0.0


def summarize(cells: dict[str, float], tasks: dict[str, Task]) -> None:
    """Print each way's gain over labels alone, the best mean first."""
    spreads = {}
    for task in tasks:
        alone = values(cells, task, ALONE).values()
        spreads[task] = spread(alone)
        print(f"{task}: {ALONE} {mean(alone):.2f} ± {spreads[task]:.2f}")
    print("points over labels alone: mean, and by task")
    for way, each in gains(cells, tasks).items():
        listed = " ".join(f"{each.get(task, np.nan):7.2f}" for task in tasks)
        safe = all(gain >= -spreads[task] for task, gain in each.items())
        print(
            f"  {way:26} {mean(each.values()):7.2f} : {listed}"
            f"{'  never loses' if safe else ''}"
        )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=[*TASKS])
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()) / "keras_kd_defaults",
        help="where teachers and their caches stay between runs",
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="digits, one epoch, one way beside labels; writes no results",
    )
    options = parser.parse_args()
    tasks, seeds = {name: TASKS[name] for name in options.tasks}, options.seeds
    if options.quick:
        tasks, seeds = {"digits": _QUICK}, 1
    options.folder.mkdir(parents=True, exist_ok=True)

    @functools.lru_cache(maxsize=1)
    def bench(name: str) -> Bench:
        return Bench(name, tasks[name], options.folder)

    jobs = {
        f"{task}, {way}, {seed}": functools.partial(
            lambda task, *how: bench(task).run(*how), task, seed, *how
        )
        for task in tasks
        for seed in range(seeds)
        for way, how in grid(tasks[task]).items()
    }
    depends_on = {
        "what": "test accuracy in percent",
        "batch": BATCH,
        "rate": RATE,
        "warm_up": WARM_UP,
        "examples, epochs of teacher and student": {
            name: [task.taught, task.teacher_epochs, task.epochs]
            for name, task in TASKS.items()
        },
    }
    cells = record.resumed("defaults", depends_on, jobs, keep=not options.quick)
    summarize(cells, tasks)


if __name__ == "__main__":
    main()
