"""The settings and results of `keras-kd quickstart`."""

import dataclasses
import json
from typing import Any

from keras_kd.cli.measuring import Row


@dataclasses.dataclass(frozen=True)
class Setting:
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
    temperature: float = 4.0
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
    """

    setting: Setting
    sentences: tuple[str, ...]
    data: dict[str, Any]
    num_params: dict[str, int]
    steps: int
    rows: tuple[Row, ...]
    seconds: float
    machine: dict[str, str]

    def to_json(self) -> str:
        """Return everything as JSON text."""
        return json.dumps(
            dataclasses.asdict(self), indent=2, ensure_ascii=False
        )
