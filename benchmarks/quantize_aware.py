"""What int8 costs, and what quantization-aware distillation wins back.

A student learns from a teacher's cached outputs. From its weights three go
on, equally long and at the same rate: the float student under the teacher,
the control; a quantize-aware one under the teacher; a quantize-aware one
with the labels alone. The control is exported to int8 with calibration, the
others without. What counts is the accuracy of the files. Settings were
chosen with `--on validation`; the test images are for the final run.
Writes `benchmarks/results/quantize_aware.json`.

    python benchmarks/quantize_aware.py [--students convnet ds_cnn]
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

import keras
import record

import keras_kd
from keras_kd import students

DATASET, IMAGES, BATCH = "mnist", 4000, 64
# Epochs of the teacher, of the float student, and of all that go on.
TEACHER_EPOCHS, EPOCHS, MORE_EPOCHS = 10, 12, 6
# Learning rates at the first step; they fall to 0 along a cosine.
RATE, MORE_RATE = 1e-2, 1e-3
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
WITHIN = 0.3  # points below the float student, at most
LOSES = 1.0  # points that int8 after training loses, at least

# A plain student, and one so narrow that rounding costs it something.
STUDENTS: dict[str, Callable[..., keras.Model]] = {
    "convnet": partial(students.convnet, filters=(8, 16), convs_per_stage=1),
    "ds_cnn": partial(students.ds_cnn, width=0.0625, kernel_size=(3, 3)),
}
NARROW = "ds_cnn"


class Bench:
    """A teacher's cache, and the students that learn from it."""

    def __init__(self, folder: Path, on: str) -> None:
        self._folder = folder
        self._data = keras_kd.data.load(
            DATASET, batch_size=BATCH, max_train=IMAGES
        )
        self._images = self._data.train.map(lambda x, y: x)
        self._unseen = getattr(self._data, on).cache()
        self._sizes = (self._data.input_shape, self._data.num_classes)
        teacher = self._make_teacher()
        self.teacher = self.accuracy(teacher)
        self._cache = keras_kd.TeacherCache.build(
            folder / "cache", teacher, self._data.train, verbose=0
        )

    def run(self, name: str, seed: int) -> dict[str, float]:
        """Train and export everything from one seed; return accuracies."""
        keras.utils.set_random_seed(seed)
        student = STUDENTS[name](*self._sizes)
        self._train(student, EPOCHS, RATE)
        found = {"float, before": self.accuracy(student)}
        taught = keras_kd.quantization.quantize_aware(student)
        labelled = keras_kd.quantization.quantize_aware(student)
        self._train(student, MORE_EPOCHS, MORE_RATE)
        self._train(taught, MORE_EPOCHS, MORE_RATE)
        self._train(labelled, MORE_EPOCHS, MORE_RATE, taught=False)
        found["float"] = self.accuracy(student)
        found["int8, after training"] = self._file(student, self._images)
        found["int8, aware, labels alone"] = self._file(labelled)
        found["int8, aware, teacher"] = self._file(taught)
        return found

    def num_params(self, name: str) -> int:
        """Return the size of a student."""
        return STUDENTS[name](*self._sizes).count_params()

    def accuracy(self, model: Any) -> float:
        """Return the accuracy of a model or a file in percent."""
        found = keras_kd.evaluate(model, self._unseen, latency=False)
        return 100 * found.accuracy

    def _train(
        self, model: keras.Model, epochs: int, rate: float, taught: bool = True
    ) -> None:
        data = self._data.train
        if taught:
            model = keras_kd.Distiller(self._cache, model)
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
        self._train(teacher, TEACHER_EPOCHS, RATE, taught=False)
        return teacher


def measure(bench: Bench, name: str, seeds: int) -> dict[str, Any]:
    """Measure a student; print and return."""
    params = bench.num_params(name)
    print(f"{name}, {params:,} parameters", flush=True)
    rows = []
    for seed in range(seeds):
        rows.append(bench.run(name, seed))
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
        "num_params": params,
        "accuracy": table,
        "differences": differences(name, rows),
    }


def differences(name: str, rows: list[dict[str, float]]) -> dict[str, Any]:
    """Print and return what is gained and lost, in the mean."""

    def apart(row: str, other: str) -> float:
        return round(mean(found[row] - found[other] for found in rows), 2)

    aware, after = "int8, aware, teacher", "int8, after training"
    gates = {
        "aware, teacher - float": (apart(aware, "float"), -WITHIN),
        "aware, teacher - after training": (apart(aware, after), 0.0),
    }
    if name == NARROW:
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", nargs="+", default=list(STUDENTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--on", choices=("test", "validation"), default="test")
    given = parser.parse_args()
    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.on)
        print(f"{DATASET}, {given.on}: teacher {bench.teacher:.2f}", flush=True)
        tables = {
            name: measure(bench, name, given.seeds) for name in given.students
        }
    if given.on != "test":
        return
    path = record.write(
        "quantize_aware",
        {
            "what": f"{DATASET}, {IMAGES} training images: test accuracy in "
            f"percent of float students and of int8 .tflite files, "
            f"{given.seeds} seeds; all rows but the first learned for the "
            "same number of steps",
            "cpu_seconds": round(time.process_time() - start),
            "teacher": round(bench.teacher, 2),
            "epochs": {
                "teacher": TEACHER_EPOCHS,
                "float, before": EPOCHS,
                "more": MORE_EPOCHS,
            },
            "rates": {"float, before": RATE, "more": MORE_RATE},
            "students": tables,
        },
    )
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()
