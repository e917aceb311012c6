"""What the commands that train have in common."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from keras_kd.core.files import staged
from keras_kd.core.progress import Progress

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: Adam, its rate falling to 0 along a cosine.

    Attributes:
        learning_rate: Rate at the first step.
        epochs: Epochs.
        steps_per_epoch: Steps of one epoch.
        progress: Where each training is shown as a stage.
    """

    learning_rate: float
    epochs: int
    steps_per_epoch: int
    progress: Progress

    def fit(
        self,
        model: "keras.Model",
        dataset: Any,
        label: str,
        *,
        labels: bool = True,
    ) -> None:
        """Compile and train a model.

        Args:
            model: A classifier that returns logits, or a `Distiller`.
            dataset: Batches; repeated as often as the steps need.
            label: Name of the stage.
            labels: Whether `dataset` has labels, as class numbers.
        """
        import keras

        steps = self.epochs * self.steps_per_epoch
        rate = keras.optimizers.schedules.CosineDecay(self.learning_rate, steps)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(
            keras.optimizers.Adam(rate),
            loss=loss if labels else None,
            metrics=["accuracy"] if labels else None,
        )
        with self.progress.stage(label, steps) as stage:
            model.fit(
                dataset.repeat(),
                epochs=self.epochs,
                steps_per_epoch=self.steps_per_epoch,
                verbose=0,
                shuffle=False,
                callbacks=[stage.callback(self.steps_per_epoch)],
            )


def save_keras(model: "keras.Model", path: Path) -> None:
    """Save weights and structure, whole once the file has its name.

    The optimizer's state, three times the weights, is left out.
    """
    # Unlike `clone_model`, this leaves `compile` behind.
    bare = type(model).from_config(model.get_config())
    bare.set_weights(model.get_weights())
    with staged(path) as scratch:
        bare.save(scratch)


def load_student(path: Path) -> "keras.Model":
    """Load a student from a `.keras` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or needs code of yours to load.
    """
    from keras_kd import teachers

    if not path.exists():
        raise FileNotFoundError(
            f"No student at `{path}`. Give the path of a `.keras` file."
        )
    return teachers.load(path)
