"""The job of `keras-kd quickstart`: from a teacher to verified files."""

import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from keras_kd.core.checks import requirement
from keras_kd.core.files import check_writable
from keras_kd.core.progress import Progress
from keras_kd.jobs.data import load_data
from keras_kd.jobs.machine import machine
from keras_kd.jobs.measuring import Row
from keras_kd.jobs.measuring import measure
from keras_kd.jobs.training import Recipe
from keras_kd.jobs.training import save_keras

if TYPE_CHECKING:
    import keras

    from keras_kd.data import Splits
    from keras_kd.export import Verification

QUANTIZATIONS = ("float32", "float16", "dynamic_range", "int8")
LARGEST_SHARE = 0.25


@dataclasses.dataclass(frozen=True)
class QuickstartSetting:
    """The settings of a run.

    Attributes:
        dataset: Name for `keras_kd.data.load`.
        labels: Number of labelled images for the student that is trained
            without a teacher; `None` gives all labels to both students.
        epochs: Epochs of each training run.
        max_train: Training images to keep; `None` keeps all.
        width: The student's width; the teacher's is 1.
        seed: Seed of the weights, the order and the labelled images.
        batch_size: Examples per step.
        learning_rate: Adam's first learning rate; it decays along a cosine.
        temperature: Temperature of `SoftTargets`.
        alpha: Weight of the distillation part, if labels are used too.
    """

    dataset: str
    labels: int | None
    epochs: int
    max_train: int | None = None
    width: float = 0.375
    seed: int = 0
    batch_size: int = 64
    learning_rate: float = 2e-3
    temperature: float = 1.0
    alpha: float = 0.9


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The results of a run.

    Attributes:
        setting: The settings.
        sentences: The settings and the models, in words.
        data: Description of the data set.
        num_params: Number of parameters of each model.
        steps: Steps of each training run.
        rows: The measurements, one row per file.
        seconds: Duration of the job.
        machine: The machine and versions.
        histories: Value of each measure after each epoch, by model.
    """

    setting: QuickstartSetting
    sentences: tuple[str, ...]
    data: dict[str, Any]
    num_params: dict[str, int]
    steps: int
    rows: tuple[Row, ...]
    seconds: float
    machine: dict[str, str]
    histories: dict[str, dict[str, list[float]]] = dataclasses.field(
        default_factory=dict
    )

    def to_json(self) -> str:
        """Return everything as JSON text."""
        return json.dumps(
            dataclasses.asdict(self), indent=2, ensure_ascii=False
        )


def quickstart(
    setting: QuickstartSetting, output: Path, progress: Progress
) -> Outcome:
    """Run the whole job.

    Args:
        setting: The settings.
        output: Folder for `teacher.keras`, `student_alone.keras`,
            `student.keras`, `saved_model/` and one `.tflite` file per
            quantization.
        progress: Shows the progress.

    Raises:
        ValueError: If the settings cannot be met: an unknown data set, more
            labels than images, a student above a quarter of the teacher.
        OSError: If the folder cannot be written to.
        ExportMismatchError: If a file does not behave like the student.

    Example:
    >>> import keras_kd
    >>> setting = keras_kd.jobs.QuickstartSetting(
    ...     "digits", labels=100, epochs=20)
    >>> setting.batch_size
    64
    """
    import keras

    from keras_kd import students

    started = time.perf_counter()
    check_writable(output / "student.keras")
    keras.utils.set_random_seed(setting.seed)
    splits = load(setting)
    teacher = students.convnet(splits.input_shape, splits.num_classes)
    student = students.shrink(teacher, width=setting.width)
    check_size(teacher, student, setting.width)
    alone = keras.models.clone_model(student)
    alone.set_weights(student.get_weights())
    models = {
        "teacher": teacher,
        "student alone": alone,
        "student distilled": student,
    }
    histories = train(setting, splits, models, progress)
    files = {
        "teacher": output / "teacher.keras",
        "student alone": output / "student_alone.keras",
        "student distilled": output / "student.keras",
    }
    for name, model in models.items():
        save_keras(model, files[name])
    checks = export(student, splits, output, progress)
    files |= {name: Path(check.path) for name, check in checks.items()}
    rows = measure(files, checks, splits.test, files["teacher"], progress)
    return Outcome(
        setting=setting,
        sentences=sentences(setting, splits, models),
        data=splits.describe(),
        num_params={
            name: model.count_params() for name, model in models.items()
        },
        steps=setting.epochs * len(splits.train),
        histories=histories,
        rows=rows,
        seconds=round(time.perf_counter() - started, 1),
        machine=machine(),
    )


def load(setting: QuickstartSetting, *, again: bool = False) -> "Splits":
    """Load the data; a second load has the same order as the first."""
    from keras_kd import data

    # The convnet of a quick start is for small images.
    small = data.Taker("quickstart", shape=(64, 64, None))
    return load_data(
        setting.dataset,
        small if Path(setting.dataset).exists() else None,
        kind="images",
        quiet=again,
        batch_size=setting.batch_size,
        seed=setting.seed,
        max_train=setting.max_train,
    )


def few_labels(setting: QuickstartSetting, splits: "Splits") -> Any:
    """Return endless full batches of the few labelled images."""
    from keras_kd import data

    count = setting.labels
    if count is None or count > splits.num_train:
        raise ValueError(
            requirement(
                "quickstart",
                "labels",
                f"at most the {splits.num_train} training images, or 'all'",
                count,
            )
        )
    x, y = next(iter(splits.train.unbatch().batch(count)))
    chosen = data.from_arrays(
        x, y, batch_size=count, shuffle=True, seed=setting.seed
    )
    return chosen.unbatch().repeat().batch(setting.batch_size)


def check_size(
    teacher: "keras.Model", student: "keras.Model", width: float
) -> None:
    """Refuse a student with more than a quarter of the teacher's weights."""
    share = student.count_params() / teacher.count_params()
    if share > LARGEST_SHARE:
        raise ValueError(
            requirement(
                "quickstart",
                "width",
                "small enough for a student of at most a quarter of the "
                "teacher",
                width,
                f"It gives {share:.0%}. Use 0.5 or less.",
            )
        )


def train(
    setting: QuickstartSetting,
    splits: "Splits",
    models: dict[str, "keras.Model"],
    progress: Progress,
) -> dict[str, dict[str, list[float]]]:
    """Train the teacher, the student alone, and the distilled student."""
    import keras_kd

    teacher, alone, student = models.values()
    recipe = Recipe(
        setting.learning_rate, setting.epochs, len(splits.train), progress
    )
    if setting.labels is None:
        # Each student gets its own pipeline, so that both see the same order.
        own_data, distilled_data = (
            load(setting, again=True).train for _ in range(2)
        )
        alpha = setting.alpha
    else:
        own_data = few_labels(setting, splits)
        distilled_data = splits.train.map(lambda x, y: x)
        alpha = 1.0
    distiller = keras_kd.Distiller(
        teacher, student, alpha=alpha, temperature=setting.temperature
    )
    return {
        "teacher": recipe.fit(teacher, splits.train, "teacher"),
        "student alone": recipe.fit(alone, own_data, "student alone"),
        "student distilled": recipe.fit(
            distiller, distilled_data, "student distilled", labels=alpha < 1
        ),
    }


def export(
    student: "keras.Model", splits: "Splits", output: Path, progress: Progress
) -> dict[str, "Verification"]:
    """Export and verify every format; return the checks by row name."""
    from keras_kd import export

    with progress.stage("export and verify", 2) as stage:
        saved = export.saved_model(
            student, output / "saved_model", verify=splits.test
        )
        stage.reach(1)
        files = export.tflite_files(
            student,
            {kind: output / f"student_{kind}.tflite" for kind in QUANTIZATIONS},
            calibration=splits.train.map(lambda x, y: x),
            verify=splits.test,
        )
    tflite = {f"TFLite {kind}": check for kind, check in files.items()}
    return {"SavedModel": saved, **tflite}


def sentences(
    setting: QuickstartSetting,
    splits: "Splits",
    models: dict[str, "keras.Model"],
) -> tuple[str, ...]:
    """Return sentences that explain the table: data, models, labels."""
    teacher, alone, _ = (model.count_params() for model in models.values())
    steps = setting.epochs * len(splits.train)
    if setting.labels is None:
        how = (
            "All labels: teacher and both students learn from all "
            f"{splits.num_train:,} labelled images,",
            "the students in the same order.",
        )
    else:
        how = (
            f"Few labels: the student alone learns from {setting.labels:,} "
            "labelled images, the distilled one without labels,",
            f"from the teacher's outputs on all {splits.num_train:,} images. "
            "The teacher learned from all their labels.",
        )
    return (
        f"{setting.dataset}: {splits.num_train:,} training and "
        f"{splits.num_test:,} test images; {steps:,} steps for each model.",
        f"Parameters: teacher {teacher:,}, student {alone:,} "
        f"({alone / teacher:.1%}), same first weights alone and distilled.",
        *how,
    )
