"""A searched student and the default one of the same bytes, on real images.

A few thousand images and a few epochs: what a search is worth in minutes on
a CPU. The search varies alpha, temperature and width under a budget of
bytes; what it returns is trained anew with three seeds, and so is the
default, alpha 0.9 and temperature 4, of the same width; the test images are
used once, at the end. Writes `benchmarks/results/search_table.json`.

    python benchmarks/search_table.py [--datasets mnist cifar10_jpeg]
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any
from typing import NamedTuple

import keras
import keras_tuner
import record

import keras_kd

BATCH, SEEDS, TRIALS = 64, 3, 24
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Setting(NamedTuple):
    """How much of a data set, and for how long.

    Attributes:
        images: Training images of the students.
        epochs: Their epochs.
        teacher_images: Training images of the teacher.
        teacher_epochs: Its epochs.
        budget: Most bytes of the student's int8 file.
    """

    images: int
    epochs: int
    teacher_images: int
    teacher_epochs: int
    budget: int


SETTINGS = {
    "mnist": Setting(2000, 12, 8000, 4, 30_000),
    "cifar10_jpeg": Setting(4000, 12, 10_000, 8, 30_000),
}


class Bench:
    """A data set, its teacher's cache, and the searches on them."""

    def __init__(self, name: str, folder: Path) -> None:
        self.setting = SETTINGS[name]
        self._folder = folder
        self._data = keras_kd.data.load(
            name, batch_size=BATCH, max_train=self.setting.images
        )
        # Enough to choose by, at a third of the cost of all of it.
        self._validation = self._data.validation.take(2000 // BATCH).cache()
        self.teacher = self._make_teacher(name)
        self._cache = keras_kd.TeacherCache.build(
            folder / "cache", self.teacher, self._data.train, verbose=0
        )

    def student(self, width: float) -> keras.Model:
        """Return a convnet of 16, 32 and 64 channels at width 1."""
        return keras_kd.students.convnet(
            self._data.input_shape,
            self._data.num_classes,
            width=width,
            filters=(16, 32, 64),
        )

    def search(self) -> tuple[dict[str, float], dict[str, Any]]:
        """Return the values that a search finds, and what it did."""
        budget = keras_kd.Budget(
            size_bytes=self.setting.budget, quantization="int8"
        )
        tuner = self._tuner(
            "search", tuner="bayesian", max_trials=TRIALS, budget=budget
        )
        start = time.perf_counter()
        self._run(tuner)
        best = tuner.best_candidate()
        statuses = [candidate.status for candidate in tuner.results]
        names = ("alpha", "temperature", "width")
        values = {name: best.values[name] for name in names}
        return values, {
            "values": {name: round(v, 4) for name, v in values.items()},
            "size_bytes": best.size_bytes,
            "validation_accuracy": percent(best.objective),
            "trials": {s: statuses.count(s) for s in sorted(set(statuses))},
            "seconds": round(time.perf_counter() - start),
        }

    def train(self, name: str, values: dict[str, float]) -> dict[str, Any]:
        """Train fixed values with three seeds; return test accuracies."""
        hp = keras_tuner.HyperParameters()
        for key, value in values.items():
            hp.Fixed(key, value)
        tuner = self._tuner(
            name,
            tuner="random",
            max_trials=1,
            hyperparameters=hp,
            executions_per_trial=SEEDS,
        )
        self._run(tuner, test_data=self._data.test)
        found = tuner.test_result
        return {
            "mean": percent(found.mean["accuracy"]),
            "stdev": percent(found.spread["accuracy"]),
            "seeds": [percent(row["accuracy"]) for row in found.executions],
        }

    def test(self, model: keras.Model) -> float:
        """Return a model's test accuracy, in percent."""
        logs = model.evaluate(self._data.test, return_dict=True, verbose=0)
        return percent(logs["accuracy"])

    def _make_teacher(self, name: str) -> keras.Model:
        data = keras_kd.data.load(
            name, batch_size=BATCH, max_train=self.setting.teacher_images
        )
        keras.utils.set_random_seed(0)
        teacher = keras_kd.students.convnet(data.input_shape, data.num_classes)
        teacher.compile("adam", loss=LOSS, metrics=["accuracy"])
        teacher.fit(data.train, epochs=self.setting.teacher_epochs, verbose=0)
        return teacher

    def _tuner(self, name: str, **arguments: Any) -> Any:
        return keras_kd.search.StudentTuner(
            self._cache,
            self.student,
            seed=0,
            directory=self._folder,
            project_name=name,
            **arguments,
        )

    def _run(self, tuner: Any, **arguments: Any) -> None:
        tuner.search(
            self._data.train,
            validation_data=self._validation,
            epochs=self.setting.epochs,
            verbose=0,
            **arguments,
        )


def percent(share: float) -> float:
    """Return a share in percent, rounded."""
    return round(100 * share, 2)


def measure(name: str) -> dict[str, Any]:
    """Search and compare on one data set; print and return."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(name, Path(folder))
        teacher = bench.test(bench.teacher)
        print(f"{name}: teacher {teacher}", flush=True)
        values, search = bench.search()
        print(f"  {search}", flush=True)
        rows = {
            "searched": values,
            "default": {**values, "alpha": 0.9, "temperature": 4.0},
            "labels alone": {**values, "alpha": 0.0, "temperature": 4.0},
        }
        table = {}
        for row, fixed in rows.items():
            table[row] = bench.train(row.replace(" ", "_"), fixed)
            found = table[row]
            print(
                f"  {row:14} {found['mean']:6.2f} ± {found['stdev']:.2f}",
                flush=True,
            )
    lead = round(table["searched"]["mean"] - table["default"]["mean"], 2)
    verdict = "met" if lead > 0 else "MISSED"
    print(f"  lead over the default {lead:.2f} (above 0: {verdict})")
    return {
        "setting": bench.setting._asdict(),
        "teacher": teacher,
        "search": search,
        "test_accuracy": table,
        "lead_over_default": lead,
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", nargs="+", default=list(SETTINGS))
    given = parser.parse_args()
    start = time.process_time()
    tables = {name: measure(name) for name in given.datasets}
    path = record.write(
        "search_table",
        {
            "what": f"test accuracy in percent, {SEEDS} seeds; Bayesian "
            f"search of {TRIALS} trials over alpha, temperature and width "
            "under a budget of int8 bytes; every row the same width",
            "cpu_seconds": round(time.process_time() - start),
            "datasets": tables,
        },
    )
    print(f"written: {path.name}")


if __name__ == "__main__":
    main()
