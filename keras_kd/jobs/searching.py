"""The job of `keras-kd search`: from a teacher to the best file in a budget."""

import contextlib
import dataclasses
import json
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

import keras_kd
from keras_kd.core.files import write_text
from keras_kd.core.progress import Progress
from keras_kd.jobs.begun import check_begun
from keras_kd.jobs.begun import to_json
from keras_kd.jobs.data import load_for
from keras_kd.jobs.int8_file import runtimes_for
from keras_kd.jobs.logs import events
from keras_kd.jobs.machine import machine
from keras_kd.jobs.measuring import Row
from keras_kd.jobs.measuring import measure
from keras_kd.jobs.models import kind_of
from keras_kd.jobs.outputs import remove_earlier
from keras_kd.jobs.students import MakeStudent
from keras_kd.jobs.students import student_builder
from keras_kd.jobs.texts import behind_vocabulary
from keras_kd.jobs.training import adam
from keras_kd.jobs.training import save_keras
from keras_kd.jobs.watched_tuner import WatchedTuner
from keras_kd.search import StudentTuner

# Settings that may change when a search is resumed.
_MAY_DIFFER = ("max_trials",)
_OBJECTIVE = "val_accuracy"


@dataclasses.dataclass(frozen=True)
class SearchSetting:
    """The settings of a search.

    Attributes:
        teacher: The teacher's file.
        dataset: Name or path for `keras_kd.data.load`.
        budget: The arguments of the `keras_kd.Budget`.
        student: `"shrink"`, or a family of `keras_kd.students`.
        tuner: Name of the oracle that proposes trials.
        max_trials: Maximum number of trials.
        epochs: Epochs per trial.
        executions_per_trial: Training runs per trial.
        batch_size: Examples per step.
        learning_rate: Adam's first learning rate; it decays along a cosine.
        max_train: Training images to keep; `None` keeps all.
        seed: Seed of the proposals, the weights and the order.
        scale: Range of the pixels; `None` finds the teacher's.
        kind: Kind of the data; `None` finds it.
        label: Column of the labels of a table; `None` finds it.
        teacher_output: What the teacher returns; `None` if its file tells.
    """

    teacher: str
    dataset: str
    budget: Mapping[str, Any]
    student: str = "shrink"
    tuner: str = "bayesian"
    max_trials: int = 30
    epochs: int = 20
    executions_per_trial: int = 1
    batch_size: int = 64
    learning_rate: float = 2e-3
    max_train: int | None = None
    seed: int = 0
    scale: str | None = None
    kind: str | None = None
    label: str | None = None
    teacher_output: str | None = None


@dataclasses.dataclass(frozen=True)
class Found:
    """The results of a search.

    Attributes:
        setting: The settings.
        data: Description of the data set.
        trials: All trials: values, status, reason, accuracy, costs.
        front: IDs of the trials on the Pareto front.
        best: ID of the trial whose student was exported.
        test: The best trial's metrics on the test images: mean, spread over
            the executions, and each execution.
        rows: Measurements of the teacher, the student and the exported file.
        seconds: Duration of this run.
        machine: The machine and versions.
    """

    setting: SearchSetting
    data: dict[str, Any]
    trials: tuple[dict[str, Any], ...]
    front: tuple[str, ...]
    best: str
    test: dict[str, Any]
    rows: tuple[Row, ...]
    seconds: float
    machine: dict[str, str]

    def to_json(self) -> str:
        """Return everything as JSON text."""
        return json.dumps(
            dataclasses.asdict(self), indent=2, ensure_ascii=False
        )


def search(
    setting: SearchSetting,
    teacher: keras.Model,
    output: Path,
    *,
    overwrite: bool,
) -> Found:
    """Run the whole job, or resume it.

    Args:
        setting: The settings.
        teacher: The teacher.
        output: Folder for `student.keras`, `student_<kind>.tflite`,
            `teacher_cache/`, and the search's own folder `trials/`.
        overwrite: Whether to delete an earlier search in that folder.

    Raises:
        ValueError: If the settings cannot be met, or the search in `output`
            was begun with other settings.
        OSError: If the folder cannot be written to.
        OverBudgetError: If no student fits the budget.
        ExportMismatchError: If the file does not behave like the student.

    Example:
    >>> import keras_kd
    >>> setting = keras_kd.jobs.SearchSetting(
    ...     "teacher.keras", "digits", {"size_bytes": 20_000})
    >>> setting.max_trials
    30
    """
    started = time.perf_counter()
    keras.utils.set_random_seed(setting.seed)
    splits = load_for(setting, setting.dataset, teacher)
    if overwrite:
        remove_earlier(output)
        for folder in ("trials", "teacher_cache", "logs"):
            shutil.rmtree(output / folder, ignore_errors=True)
    _check_begun(setting, output)
    numbered = behind_vocabulary(teacher, splits)
    teacher, splits, _ = numbered
    path = numbered.save(output) or Path(setting.teacher)
    cache = keras_kd.TeacherCache.build(
        output / "teacher_cache",
        teacher,
        splits.train,
        teacher_output=setting.teacher_output,
    )
    # KerasTuner prints to standard output when it resumes a search.
    with contextlib.redirect_stdout(sys.stderr):
        build = student_builder(setting.student, teacher, splits)
        tuner = _tuner(setting, output, cache, build, len(splits.train))
    write_text(output / "setting.json", to_json(setting))
    with Progress() as progress:
        with progress.stage("search", tuner.steps(setting.epochs)) as stage:
            tuner.watch(stage)
            tuner.search(
                splits.train,
                validation_data=splits.validation,
                epochs=setting.epochs,
                callbacks=events(output, "trials"),
                shuffle=False,
                verbose=0,
            )
            test = tuner.evaluate_best(splits.test)
        rows = _files(tuner, setting, path, splits, output, progress)
    best = tuner.best_candidate()
    return Found(
        setting=setting,
        data=splits.describe(),
        trials=tuple(map(dataclasses.asdict, tuner.results)),
        front=tuple(trial.trial_id for trial in tuner.pareto_front()),
        best=best.trial_id,
        test=test._asdict(),
        rows=rows,
        seconds=round(time.perf_counter() - started, 1),
        machine=machine(),
    )


def _tuner(
    setting: SearchSetting,
    output: Path,
    cache: keras_kd.TeacherCache,
    build: MakeStudent,
    steps_per_epoch: int,
) -> WatchedTuner:
    return WatchedTuner(
        cache,
        build,
        budget=keras_kd.Budget.from_dict(setting.budget),
        tuner=setting.tuner,
        objective=_OBJECTIVE,
        max_trials=setting.max_trials,
        optimizer=adam(setting.learning_rate, setting.epochs * steps_per_epoch),
        executions_per_trial=setting.executions_per_trial,
        seed=setting.seed,
        directory=str(output),
        project_name="trials",
    )


def _check_begun(setting: SearchSetting, output: Path) -> None:
    """Refuse to resume a search that was begun with other options.

    `StudentTuner` compares the space, the budget and the oracle, but neither
    the data nor the epochs of a trial.

    Raises:
        ValueError: Names the options that differ.
    """
    if any((output / "trials").glob("trial_*")):
        check_begun(
            output / "setting.json",
            setting,
            _MAY_DIFFER,
            "search",
            "--output, or delete that search with --overwrite.",
        )


def _files(
    tuner: StudentTuner,
    setting: SearchSetting,
    teacher: Path,
    splits: keras_kd.data.Splits,
    output: Path,
    progress: Progress,
) -> tuple[Row, ...]:
    """Write the best student's files and measure them."""
    student = tuner.best_student()
    kind = setting.budget.get("quantization", "float32")
    path = output / f"student_{kind}.tflite"
    save_keras(student, output / "student.keras")
    with progress.stage("export and verify"):
        checks = keras_kd.export.tflite_files(
            student,
            {kind: path},
            calibration=splits.train.map(lambda x, y: x),
            verify=splits.test,
            runtime=runtimes_for(setting.budget),
        )
    names = {
        "teacher": teacher,
        "student": output / "student.keras",
        f"TFLite {kind}": path,
    }
    verified = {f"TFLite {kind}": checks[kind]}
    return measure(
        names,
        verified,
        splits.test,
        teacher,
        progress,
        teacher_output=setting.teacher_output,
        student_output=kind_of(student),
    )
