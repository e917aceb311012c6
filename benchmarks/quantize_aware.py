"""What int8 costs, and what quantization-aware distillation wins back.

A student learns from a teacher's cached outputs. From its weights three go
on, equally long and at the same rate: the float student under the teacher,
the control; a quantize-aware one under the teacher; a quantize-aware one
with the labels alone. The control is exported to int8 with calibration, the
others without. What counts is the accuracy of the files. Settings were
chosen with `--on validation`; the test images are for the final run.
Writes `benchmarks/results/quantize_aware.json`; students that are not run stay
as they are there.

    python benchmarks/quantize_aware.py \
        [--students convnet convnet_mnist mobilenet_v3]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean
from statistics import stdev
from typing import Any
from typing import NamedTuple

import keras
import record

import keras_kd
from keras_kd import students

IMAGES, BATCH, ALPHA, TEMPERATURE = 4000, 64, 0.5, 2.0
# Learning rates at the first step; they fall to 0 along a cosine.
RATE, MORE_RATE = 1e-2, 1e-3
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
WITHIN = 0.3  # points below the float student, at most
LOSES = 1.0  # points that int8 after training loses, at least


class Setting(NamedTuple):
    """A student, and how long it learns what.

    Attributes:
        dataset: Name of the data set.
        build: Makes the student of an input shape and classes.
        teacher_epochs: Epochs of the teacher.
        epochs: Epochs of the float student.
        more_epochs: Epochs of all that go on from it.
        narrow: Whether int8 after training shall cost it `LOSES`.
        delay: Share of the further steps that pass before rounding starts:
            what int8 costs little learns best unrounded until near the end.
    """

    dataset: str
    build: Callable[..., keras.Model]
    teacher_epochs: int
    epochs: int
    more_epochs: int
    narrow: bool = False
    delay: float = 0.0


_CONVNET = partial(students.convnet, width=0.125)

# A plain student, and one of a family that loses more by rounding.
SETTINGS = {
    "convnet": Setting("cifar10_jpeg", _CONVNET, 10, 12, 6, delay=2 / 3),
    "convnet_mnist": Setting("mnist", _CONVNET, 10, 12, 6, delay=2 / 3),
    "mobilenet_v3": Setting(
        "cifar10_jpeg",
        partial(students.mobilenet_v3, width=0.5),
        10,
        8,
        4,
        narrow=True,
    ),
}


class Bench:
    """A teacher's cache, and the students that learn from it."""

    def __init__(self, setting: Setting, folder: Path, on: str) -> None:
        self._setting = setting
        self._folder = folder
        self._data = keras_kd.data.load(
            setting.dataset, batch_size=BATCH, max_train=IMAGES
        )
        self._images = self._data.train.map(lambda x, y: x)
        self._unseen = getattr(self._data, on).cache()
        self._sizes = (self._data.input_shape, self._data.num_classes)
        teacher = self._make_teacher()
        self.teacher = self.accuracy(teacher)
        self._cache = keras_kd.TeacherCache.build(
            folder / "cache", teacher, self._data.train, verbose=0
        )

    def run(self, seed: int) -> dict[str, float]:
        """Train and export everything from one seed; return accuracies."""
        keras.utils.set_random_seed(seed)
        more = self._setting.more_epochs
        student = self._setting.build(*self._sizes)
        self._train(student, self._setting.epochs, RATE)
        found = {"float, before": self.accuracy(student)}
        delay = round(self._setting.delay * more * len(self._data.train))
        taught = keras_kd.quantization.quantize_aware(student, delay=delay)
        labelled = keras_kd.quantization.quantize_aware(student, delay=delay)
        self._train(student, more, MORE_RATE)
        self._train(taught, more, MORE_RATE)
        self._train(labelled, more, MORE_RATE, taught=False)
        found["float"] = self.accuracy(student)
        found["int8, after training"] = self._file(student, self._images)
        found["int8, aware, labels alone"] = self._file(labelled)
        found["int8, aware, teacher"] = self._file(taught)
        return found

    def num_params(self) -> int:
        """Return the size of the student."""
        return self._setting.build(*self._sizes).count_params()

    def accuracy(self, model: Any) -> float:
        """Return the accuracy of a model or a file in percent."""
        found = keras_kd.evaluate(model, self._unseen, latency=False)
        return 100 * found.accuracy

    def _train(
        self, model: keras.Model, epochs: int, rate: float, taught: bool = True
    ) -> None:
        data = self._data.train
        if taught:
            model = keras_kd.Distiller(
                self._cache, model, alpha=ALPHA, temperature=TEMPERATURE
            )
            data = self._cache.join(data)
        schedule = keras.optimizers.schedules.CosineDecay(
            rate, epochs * len(data)
        )
        model.compile(
            keras.optimizers.Adam(schedule), loss=LOSS, steps_per_execution=20
        )
        model.fit(data, epochs=epochs, shuffle=False, verbose=0)

    def _file(self, student: keras.Model, calibration: Any = None) -> float:
        path = self._folder / "student.tflite"
        # Compared below, on all images; a bad file shall be measured too.
        keras_kd.export.tflite(
            student, path, "int8", calibration=calibration, verify=False
        )
        return self.accuracy(path)

    def _make_teacher(self) -> keras.Model:
        keras.utils.set_random_seed(0)
        teacher = students.convnet(*self._sizes, width=0.25)
        self._train(teacher, self._setting.teacher_epochs, RATE, taught=False)
        return teacher


def measure(name: str, seeds: int, on: str) -> dict[str, Any]:
    """Measure a student; print and return."""
    start = time.process_time()
    setting = SETTINGS[name]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(setting, Path(folder), on)
        params = bench.num_params()
        print(
            f"{name}, {params:,} parameters, {setting.dataset}, {on}: "
            f"teacher {bench.teacher:.2f}",
            flush=True,
        )
        rows = []
        for seed in range(seeds):
            rows.append(bench.run(seed))
            found = ", ".join(f"{value:.2f}" for value in rows[-1].values())
            print(f"  seed {seed}: {found}", flush=True)
    table = {}
    for row in rows[0]:
        values = [found[row] for found in rows]
        spread = stdev(values) if seeds > 1 else 0.0
        table[row] = {
            "mean": round(mean(values), 2),
            "stdev": round(spread, 2),
            "seeds": [round(value, 2) for value in values],
        }
        print(f"  {row:28} {mean(values):6.2f} ± {spread:.2f}")
    return {
        "dataset": setting.dataset,
        "num_params": params,
        "teacher": round(bench.teacher, 2),
        "epochs": {
            "teacher": setting.teacher_epochs,
            "float, before": setting.epochs,
            "more": setting.more_epochs,
        },
        "delay": round(setting.delay, 3),
        "cpu_seconds": round(time.process_time() - start),
        "accuracy": table,
        "differences": differences(setting.narrow, rows),
    }


def differences(narrow: bool, rows: list[dict[str, float]]) -> dict[str, Any]:
    """Print and return what is gained and lost, in the mean."""

    def apart(row: str, other: str) -> float:
        return round(mean(found[row] - found[other] for found in rows), 2)

    aware, after = "int8, aware, teacher", "int8, after training"
    gates = {
        "aware, teacher - float": (apart(aware, "float"), -WITHIN),
        "aware, teacher - after training": (apart(aware, after), 0.0),
    }
    if narrow:
        cost = apart("float", after)
        gates["float - after training"] = (cost, LOSES)
    for gate, (value, limit) in gates.items():
        verdict = "met" if value >= limit else "MISSED"
        print(f"  {gate:34} {value:6.2f} (at least {limit}: {verdict})")
    added = apart(aware, "int8, aware, labels alone")
    print(f"  {'what the teacher adds to aware':34} {added:6.2f} (no limit)")
    return {
        "teacher_adds": added,
        **{
            gate: {"points": value, "at_least": limit}
            for gate, (value, limit) in gates.items()
        },
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--students", nargs="+", default=list(SETTINGS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--on", choices=("test", "validation"), default="test")
    given = parser.parse_args()
    tables = record.read("quantize_aware").get("students", {})
    for name in given.students:
        tables[name] = measure(name, given.seeds, given.on)
        if given.on != "test":
            continue
        path = record.write(
            "quantize_aware",
            {
                "what": f"{IMAGES} training images: test accuracy in percent "
                f"of float students and of int8 .tflite files, {given.seeds} "
                "seeds; all rows but the first learned for the same number "
                "of steps",
                "alpha": ALPHA,
                "temperature": TEMPERATURE,
                "rates": {"float, before": RATE, "more": MORE_RATE},
                "students": tables,
            },
        )
        print(f"written: {path.name}", flush=True)


if __name__ == "__main__":
    main()
