"""The job of `keras-kd distill`: from a teacher to a student's files."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import keras

import keras_kd
from keras_kd.core.files import write_text
from keras_kd.core.progress import Progress
from keras_kd.jobs.data import load_for
from keras_kd.jobs.logs import loggers
from keras_kd.jobs.logs import remove_logs
from keras_kd.jobs.machine import machine
from keras_kd.jobs.measuring import Row
from keras_kd.jobs.measuring import measure
from keras_kd.jobs.models import kind_of
from keras_kd.jobs.outputs import remove_earlier
from keras_kd.jobs.students import make_student
from keras_kd.jobs.texts import behind_vocabulary
from keras_kd.jobs.training import Recipe
from keras_kd.jobs.training import save_keras


@dataclasses.dataclass(frozen=True)
class DistillSetting:
    """The settings of a distillation.

    Attributes:
        teacher: The teacher's file.
        dataset: Name or path for `keras_kd.data.load`.
        student: `"shrink:WIDTH"`, a family of `keras_kd.students` such as
            `"mobilenet_v2:WIDTH"`, or a `.keras` file.
        alpha: Weight of the distillation part.
        temperature: Temperature of `SoftTargets`.
        epochs: Number of epochs.
        batch_size: Examples per step, over all devices.
        learning_rate: Adam's first learning rate; it decays along a cosine.
        max_train: Training images to keep; `None` keeps all.
        seed: Seed of the weights and the order.
        quantization: Kinds of `.tflite` files to write.
        teacher_output: What the teacher returns; `None` if its file tells.
        student_output: The same for the student.
        scale: Range of the pixels; `None` finds the teacher's.
        kind: Kind of the data; `None` finds it.
        label: Column of the labels of a table; `None` finds it.
    """

    teacher: str
    dataset: str
    student: str = "shrink:0.25"
    alpha: float = 0.9
    temperature: float = 1.0
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 2e-3
    max_train: int | None = None
    seed: int = 0
    quantization: tuple[str, ...] = ("float32", "int8")
    teacher_output: str | None = None
    student_output: str | None = None
    scale: str | None = None
    kind: str | None = None
    label: str | None = None


@dataclasses.dataclass(frozen=True)
class Distilled:
    """The results of a distillation.

    Attributes:
        setting: The settings, with the range of the pixels that was found.
        data: Description of the data set.
        num_params: Number of parameters of the teacher and the student.
        history: Value of each measure after each epoch.
        rows: Measurements of the teacher, the student and each file.
        seconds: Duration of the job.
        machine: The machine and versions.
    """

    setting: DistillSetting
    data: dict[str, Any]
    num_params: dict[str, int]
    history: dict[str, list[float]]
    rows: tuple[Row, ...]
    seconds: float
    machine: dict[str, str]

    def to_json(self) -> str:
        """Return everything but the history as JSON text."""
        content = dataclasses.asdict(self)
        del content["history"]
        return json.dumps(content, indent=2, ensure_ascii=False)


def distill(
    setting: DistillSetting,
    teacher: keras.Model,
    output: Path,
    progress: Progress,
    *,
    strategy: Any = None,
) -> Distilled:
    """Run the whole job.

    Args:
        setting: The settings.
        teacher: The teacher.
        output: Folder for `student.keras`, `student_<kind>.tflite`,
            `history.json` and `results.json`; an earlier run's are replaced.
        progress: Shows the progress.
        strategy: A `tf.distribute.Strategy` to train under.

    Raises:
        ValueError: If the settings cannot be met.
        OSError: If the folder cannot be written to.
        ExportMismatchError: If a file does not behave like the student.

    Example:
    >>> import keras_kd
    >>> setting = keras_kd.jobs.DistillSetting("teacher.keras", "digits")
    >>> setting.epochs
    20
    """
    started = time.perf_counter()
    keras.utils.set_random_seed(setting.seed)
    splits = load_for(setting, setting.dataset, teacher)
    numbered = behind_vocabulary(teacher, splits)
    teacher, splits, _ = numbered
    remove_logs(output, "history")
    chosen = strategy or keras_kd.strategies.strategy("none")
    with chosen.scope():
        student = make_student(setting.student, teacher, splits)
        history = _train(setting, teacher, student, splits, output, progress)
    remove_earlier(output)
    path = numbered.save(output) or Path(setting.teacher)
    save_keras(student, output / "student.keras")
    write_text(output / "history.json", json.dumps(history, indent=2) + "\n")
    result = Distilled(
        setting=dataclasses.replace(setting, scale=splits.scale),
        data=splits.describe(),
        num_params={
            "teacher": teacher.count_params(),
            "student": student.count_params(),
        },
        history=history,
        rows=_files(setting, path, student, splits, output, progress),
        seconds=round(time.perf_counter() - started, 1),
        machine=machine(),
    )
    write_text(output / "results.json", result.to_json() + "\n")
    return result


def _train(
    setting: DistillSetting,
    teacher: keras.Model,
    student: keras.Model,
    splits: keras_kd.data.Splits,
    output: Path,
    progress: Progress,
) -> dict[str, list[float]]:
    distiller = keras_kd.Distiller(
        teacher,
        student,
        alpha=setting.alpha,
        temperature=setting.temperature,
        teacher_output=setting.teacher_output,
        student_output=setting.student_output,
        agreement=True,
    )
    recipe = Recipe(
        setting.learning_rate, setting.epochs, len(splits.train), progress
    )
    return recipe.fit(
        distiller,
        splits.train,
        "student",
        validation=splits.validation,
        output=setting.student_output,
        logs=loggers(output, "history"),
    )


def _files(
    setting: DistillSetting,
    teacher: Path,
    student: keras.Model,
    splits: keras_kd.data.Splits,
    output: Path,
    progress: Progress,
) -> tuple[Row, ...]:
    """Write the student's files and measure them."""
    with progress.stage("export and verify"):
        checks = keras_kd.export.tflite_files(
            student,
            {
                kind: output / f"student_{kind}.tflite"
                for kind in setting.quantization
            },
            calibration=splits.train.map(lambda x, y: x),
            verify=splits.test,
        )
    files = {"teacher": teacher, "student": output / "student.keras"}
    files |= {kind: Path(check.path) for kind, check in checks.items()}
    return measure(
        files,
        checks,
        splits.test,
        teacher,
        progress,
        teacher_output=setting.teacher_output,
        student_output=kind_of(student),
    )
