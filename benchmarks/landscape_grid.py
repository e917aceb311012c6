"""The known landscapes of `search_landscape.py`, trained cell by cell.

Digits, in two settings: 40 % wrong labels and a teacher that saw 200 right
ones, so that neither is to be trusted alone; and 100 labelled images, with a
teacher that saw them all. Every cell of alpha, temperature and width is
trained from the first weights of three seeds.
"""

import tempfile
import time
from typing import Any
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

import keras_kd
from keras_kd.search.cost.ledger import Ledger

ALPHAS = (0.1, 0.28, 0.46, 0.64, 0.82, 1.0)
TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
WIDTHS = tuple(index / 8 for index in range(1, 9))
SEEDS = 3
AXES = {"width": WIDTHS, "alpha": ALPHAS, "temperature": TEMPERATURES}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Setting(NamedTuple):
    """What students and teacher are trained on.

    Attributes:
        images: Training images of the students, at most.
        wrong: Share of their labels that are wrong.
        taught: Training images of the teacher, with right labels, at most.
        batch: Images a step.
        epochs: Epochs of a student.
    """

    images: int
    wrong: float
    taught: int
    batch: int
    epochs: int


# Some 400 steps each.
SETTINGS = {
    "40 % wrong labels": Setting(10**6, 0.4, 200, 64, 20),
    "100 labels": Setting(100, 0.0, 10**6, 50, 200),
}


class Dial(keras.optimizers.schedules.LearningRateSchedule):
    """A number to be turned between two trainings of one traced step."""

    def __init__(self, value: float) -> None:
        self.variable = tf.Variable(value, trainable=False, dtype="float32")

    def __call__(self, step: Any) -> Any:
        """Return the number."""
        return self.variable.read_value()

    def get_config(self) -> dict[str, Any]:
        """Return what it stands at."""
        return {"value": float(self.variable)}


def make_student(width: float) -> keras.Model:
    """Dense, 64 hidden units at width 1."""
    return keras_kd.students.mlp((8, 8, 1), 10, width=width, hidden=(64,))


def make_teacher(x: np.ndarray, y: np.ndarray, taught: int) -> keras.Model:
    """Dense, and trained on some of the right labels."""
    keras.utils.set_random_seed(0)
    teacher = keras_kd.students.mlp((8, 8, 1), 10, hidden=(256, 256))
    few = np.random.default_rng(0).permutation(len(y))[:taught]
    teacher.compile("adam", loss=LOSS)
    teacher.fit(x[few], y[few], epochs=60, batch_size=32, verbose=0)
    return teacher


def spoiled(y: np.ndarray, share: float) -> np.ndarray:
    """Return labels of which a share is wrong."""
    rng = np.random.default_rng(1)
    wrong = rng.random(len(y)) < share
    other = (y + rng.integers(1, 10, len(y))) % 10
    return np.where(wrong, other, y).astype("int32")


class Row:
    """All trainings of one width, with a step that is traced once."""

    def __init__(
        self, width: float, cache: Any, data: tf.data.Dataset, epochs: int
    ) -> None:
        self._data = data.repeat(epochs)
        self._steps = int(self._data.cardinality())
        self._first = []
        for seed in range(SEEDS):
            keras.utils.set_random_seed(seed)
            self._first.append(make_student(width).get_weights())
        self.student = make_student(width)
        self._alpha, self._temperature = Dial(0.9), Dial(4.0)
        self._distiller = keras_kd.Distiller(
            cache,
            self.student,
            keras_kd.losses.SoftTargets(self._temperature),
            alpha=self._alpha,
        )
        self._distiller.compile(
            # Without a decay the last step alone moves a cell by a point.
            keras.optimizers.Adam(
                keras.optimizers.schedules.CosineDecay(1e-2, self._steps)
            ),
            loss=LOSS,
            steps_per_execution=self._steps,
        )
        optimizer = self._distiller.optimizer
        optimizer.build(self._distiller.trainable_variables)
        self._state = [(v, v.numpy()) for v in optimizer.variables]
        self._forward = tf.function(lambda x: self.student(x, training=False))

    def train(self, alpha: float, temperature: float, seed: int) -> None:
        """Train from the first weights of a seed."""
        self._alpha.variable.assign(alpha)
        self._temperature.variable.assign(temperature)
        self.student.set_weights(self._first[seed])
        for variable, value in self._state:
            variable.assign(value)
        self._distiller.fit(self._data, steps_per_epoch=self._steps, verbose=0)

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        """Return percent of the examples that are right."""
        predicted = self._forward(x).numpy().argmax(-1)
        return round(100 * float((predicted == y).mean()), 2)


def train_grid(name: str) -> dict[str, Any]:
    """Train every cell of a setting; measure every width's int8 file."""
    setting = SETTINGS[name]
    (x, y), (x_held, y_held) = keras_kd.data.digits()
    teacher = make_teacher(x, y, setting.taught)
    right = teacher.predict(x_held, verbose=0).argmax(-1) == y_held
    x, y = x[: setting.images], spoiled(y, setting.wrong)[: setting.images]
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(setting.batch)
    found = np.zeros((len(WIDTHS), len(ALPHAS), len(TEMPERATURES), SEEDS))
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        cache = keras_kd.TeacherCache.build(folder, teacher, data, verbose=0)
        data = cache.join(data).unbatch().cache().shuffle(len(y), seed=0)
        data = data.batch(setting.batch, drop_remainder=True)
        data = data.apply(
            tf.data.experimental.assert_cardinality(len(y) // setting.batch)
        )
        for index, width in enumerate(WIDTHS):
            row = Row(width, cache, data, setting.epochs)
            for cell in np.ndindex(*found.shape[1:]):
                row.train(ALPHAS[cell[0]], TEMPERATURES[cell[1]], cell[2])
                found[(index, *cell)] = row.accuracy(x_held, y_held)
            print(
                f"width {width}: {found[index].mean(-1).max():.2f} at best",
                flush=True,
            )
    return {
        "what": f"digits, {name}, {len(y)} images, {setting.epochs} epochs "
        f"of batches of {setting.batch}, accuracy in percent on "
        f"{len(y_held)} held-out images, [width][alpha][temperature][seed]",
        "teacher": round(100 * float(right.mean()), 2),
        "cpu_seconds": round(time.process_time() - start),
        "axes": {axis: list(values) for axis, values in AXES.items()},
        "size_bytes": measure_sizes(),
        "accuracy": found.tolist(),
    }


def measure_sizes() -> list[int]:
    """Return the bytes of each width's int8 file."""
    budget = keras_kd.Budget(size_bytes=10**9, quantization="int8")
    ledger = Ledger()
    return [
        budget.measure(make_student(width), ledger).size_bytes
        for width in WIDTHS
    ]
