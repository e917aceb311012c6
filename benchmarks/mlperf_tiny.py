"""Students for a microcontroller beside MLPerf Tiny's own files.

Two tasks of the benchmark, three seeds. On all 50,000 images of cifar10_jpeg
a ResNet-8 (MLPerf's network) is trained on labels alone, under MLPerf's
larger float ResNet, and under that one and the three label-trained students
together; then a student with two thirds of the arena, whose shape, alpha and
temperature a search finds. The teachers are files and functions: they run
through a cache with flipped and shifted views. On spoken digits the same with
`ds_cnn` under a wider one. Everything is exported to int8 and evaluated under
TFLite Micro on all test examples, and so is MLPerf's own ResNet-8. Writes
`benchmarks/results/mlperf_tiny.json`; a second run does what is missing.

    KERAS_KD_MLPERF_TINY=... python benchmarks/mlperf_tiny.py [--folder F]
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import mlperf_tiny_tasks as tasks
import numpy as np
import record

import keras_kd

SEEDS = 3
EPOCHS = {name: task.epochs for name, task in tasks.TASKS.items()}
SETTINGS = {"epochs": EPOCHS, "trials": tasks.TRIALS, "views": tasks.VIEWS}
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


class Bench:
    """A task, its teachers' caches and its students."""

    def __init__(self, name: str, folder: Path, seeds: int) -> None:
        self.task = tasks.TASKS[name]
        self._seeds = seeds
        self._folder = folder / name
        self._folder.mkdir(parents=True, exist_ok=True)
        self._train, self._test = self.task.data()
        self._caches: dict[str, keras_kd.TeacherCache] = {}

    def reference(self) -> dict[str, Any]:
        """Evaluate MLPerf's file and its teacher on the test images."""
        stored, y = self._test
        teacher = tasks.published_teacher()(stored)
        return {
            "teacher": percent(np.mean(teacher.argmax(-1) == y)),
            **self._measured(tasks.FOLDER / "resnet8_int8.tflite"),
        }

    def alone(self, seed: int) -> dict[str, Any]:
        """Train the reference student on labels alone."""
        return self._file(self._alone(seed))

    def taught(self, teacher: str, seed: int) -> dict[str, Any]:
        """Train the reference student under a teacher."""
        values = {"alpha": 0.9, "temperature": self.task.temperature}
        return self._distilled(teacher, self.task.student, values, seed)

    def teacher(self, teacher: str) -> dict[str, Any]:
        """Evaluate a teacher."""
        x, y = self._test
        outputs = self.teachers()[teacher]()(x)
        return {"accuracy": percent(np.mean(outputs.argmax(-1) == y))}

    def search(self) -> dict[str, Any]:
        """Search a student of at most two thirds of the reference's arena."""
        limits = self.alone(0)
        x, y = self._train
        budget = keras_kd.Budget(
            size_bytes=self.task.size_bytes or limits["bytes"],
            arena_bytes=limits["arena"] * 2 // 3,
            flops=limits["flops"],
            quantization="int8",
        )
        cache = self._cache(self.task.best_teacher)
        tuner = keras_kd.search.StudentTuner(
            cache,
            self.task.searched,
            budget=budget,
            max_trials=self.task.trials,
            optimizer=lambda hp: keras.optimizers.Adam(self.task.rate / 2),
            seed=0,
            directory=self._folder,
            project_name="search",
        )
        held_out = slice(self.task.validation)
        shown = slice(held_out.stop, held_out.stop + self.task.search_examples)
        tuner.search(
            dataset(x[shown], y[shown]),
            validation_data=(x[held_out], y[held_out]),
            epochs=self.task.search_epochs,
            verbose=0,
        )
        statuses = [row.status for row in tuner.results]
        return {
            "budget": budget.limits,
            "values": dict(tuner.best_candidate().values),
            "trials": {s: statuses.count(s) for s in sorted(set(statuses))},
        }

    def searched(self, values: dict[str, Any], seed: int) -> dict[str, Any]:
        """Train what the search found, as long as the others."""
        build = partial(self.task.searched, tasks.fixed(values))
        return self._distilled(self.task.best_teacher, build, values, seed)

    def searched_alone(
        self, values: dict[str, Any], seed: int
    ) -> dict[str, Any]:
        """Train the same network on labels alone."""
        keras.utils.set_random_seed(seed)
        student = self.task.searched(tasks.fixed(values))
        return self._file(self._fit(student, self._shown()))

    def teachers(self) -> dict[str, Callable[[], tasks.Function]]:
        """Return a maker of each teacher, by name."""
        members = partial(map, self._alone, range(self._seeds))
        return self.task.teachers(members)

    def _alone(self, seed: int) -> keras.Model:
        path = self._folder / f"alone_{seed}.keras"
        if not path.exists():
            keras.utils.set_random_seed(seed)
            self._fit(self.task.student(), self._shown()).save(path)
        return keras.models.load_model(path)

    def _shown(self) -> Any:
        """Return the training set, augmented as the views are."""
        data = dataset(*self._train)
        return tasks.augmented(data) if self.task.augment else data

    def _distilled(
        self,
        teacher: str,
        build: Callable[[], keras.Model],
        values: dict[str, Any],
        seed: int,
    ) -> dict[str, Any]:
        cache = self._cache(teacher)
        keras.utils.set_random_seed(seed)
        student = build()
        distiller = keras_kd.Distiller(
            cache,
            student,
            alpha=values["alpha"],
            losses=keras_kd.losses.SoftTargets(values["temperature"]),
        )
        self._fit(distiller, cache.join(dataset(*self._train), seed=seed))
        return self._file(student)

    def _fit(self, model: keras.Model, data: Any) -> keras.Model:
        steps = self.task.epochs * -(-len(self._train[1]) // tasks.BATCH)
        rate = keras.optimizers.schedules.CosineDecay(
            0.0,
            steps - steps // 10,
            warmup_target=self.task.rate,
            warmup_steps=steps // 10,
        )
        optimizer = keras.optimizers.AdamW(rate, weight_decay=5e-3)
        model.compile(optimizer, LOSS, steps_per_execution=10)
        model.fit(data, epochs=self.task.epochs, verbose=0)
        return model

    def _cache(self, teacher: str) -> keras_kd.TeacherCache:
        if teacher not in self._caches:
            self._caches[teacher] = keras_kd.TeacherCache.build(
                self._folder / teacher,
                self.teachers()[teacher](),
                dataset(*self._train, shuffle=False),
                views=tasks.VIEWS if self.task.augment else 1,
                augment=tasks.augment if self.task.augment else None,
                teacher_output="probabilities",
                teacher_id=teacher,
                verbose=0,
            )
        return self._caches[teacher]

    def _file(self, student: keras.Model) -> dict[str, Any]:
        """Export to int8; evaluate the Keras model and the file."""
        x, y = self._test
        whole = keras_kd.evaluate(student, (x, y), latency=False)
        path = self._folder / "student.tflite"
        calibration = self._train[0][:500].astype("float32")
        keras_kd.export.tflite(
            student,
            path,
            "int8",
            calibration=calibration,
            verify=False,
            runtime="tflm",
        )
        return {
            "float32": percent(whole.accuracy),
            "flops": whole.flops,
            **self._measured(path),
        }

    def _measured(self, path: Path) -> dict[str, Any]:
        found = keras_kd.evaluate(
            path, self._test, latency=False, runtime=("litert", "tflm")
        ).runtimes
        return {
            "bytes": path.stat().st_size,
            "arena": found["tflm"].arena_bytes,
            "litert": percent(found["litert"].accuracy),
            "tflm": percent(found["tflm"].accuracy),
        }


def dataset(x: Any, y: Any, *, shuffle: bool = True) -> Any:
    """Return a pipeline of batches."""
    return keras_kd.data.from_arrays(
        x, y, batch_size=tasks.BATCH, shuffle=shuffle, seed=0
    )


def percent(share: Any) -> float:
    """Return a share in percent, rounded."""
    return round(100 * float(share), 2)


def measure(
    name: str, folder: Path, count: int = SEEDS, *, keep: bool = True
) -> None:
    """Run the rows of a task that are missing, with `count` seeds."""
    bench = Bench(name, folder, count)
    run = partial(record.resumed, "mlperf_tiny", SETTINGS, keep=keep)

    def seeds(row: str, job: Callable[[int], Any]) -> dict[str, Any]:
        return {
            f"{name} / {row} / {seed}": partial(job, seed)
            for seed in range(count)
        }

    def taught(teacher: str) -> None:
        run({f"{name} / teacher {teacher}": partial(bench.teacher, teacher)})
        run(seeds(f"under {teacher}", partial(bench.taught, teacher)))

    if name == "cifar10_jpeg":
        run({f"{name} / MLPerf": bench.reference})
    run(seeds("labels alone", bench.alone))
    best = bench.task.best_teacher
    taught(best)
    [found] = run({f"{name} / search": bench.search}).values()
    values = found["values"]
    run(seeds("searched", partial(bench.searched, values)))
    run(seeds("searched, labels alone", partial(bench.searched_alone, values)))
    for teacher in bench.teachers():
        if teacher != best:
            taught(teacher)


def main() -> None:
    """Measure all tasks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=list(tasks.TASKS))
    parser.add_argument("--folder", type=Path, help="keeps models and caches")
    parser.add_argument("--quick", action="store_true", help="to try it")
    given = parser.parse_args()
    if "KERAS_KD_MLPERF_TINY" not in os.environ:
        parser.error("KERAS_KD_MLPERF_TINY has to name MLPerf Tiny's files")
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        if given.quick:
            name, quick = tasks.QUICK
            tasks.TASKS[name] = quick
            measure(name, folder, 1, keep=False)
            return
        for name in given.tasks:
            measure(name, folder)


if __name__ == "__main__":
    main()
