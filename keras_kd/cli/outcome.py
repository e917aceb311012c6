"""What a quickstart is asked for, and what it gives."""

import dataclasses
import json
from typing import Any

from keras_kd.cli.measuring import Row


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a run does.

    Attributes:
        dataset: Name for `keras_kd.data.load`.
        labels: Labelled images that the student alone sees; `None` gives
            all labels to both students.
        epochs: Epochs of each training.
        max_train: Training images to keep; `None` keeps all.
        width: The student's width, the teacher's being 1.
        seed: Seed of the weights, the order and the labelled images.
        batch_size: Examples a step.
        learning_rate: Adam's, at the start of a cosine.
        temperature: Of `SoftTargets`.
        alpha: Weight of the distillation part where labels are used too.
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
    """What a run gave.

    Attributes:
        setting: What was asked for.
        sentences: The setting and the models, in words.
        data: The data set.
        num_params: Parameters of each model.
        steps: Steps of each training.
        rows: One a file.
        seconds: Duration of the job.
        machine: Where it ran.
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
