"""Training and `.keras` files, for the commands that train or load."""

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
    """Trains with Adam, whose learning rate decays to 0 along a cosine.

    Attributes:
        learning_rate: Learning rate at the first step.
        epochs: Number of epochs.
        steps_per_epoch: Steps per epoch.
        progress: Shows each training run as a stage.
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
            dataset: Batches, repeated as often as needed.
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
    """Save a model's structure and weights to a file atomically.

    The optimizer's state is left out; it would triple the file's size.
    """
    # Unlike `clone_model`, `from_config` drops what `compile` set.
    bare = type(model).from_config(model.get_config())
    bare.set_weights(model.get_weights())
    with staged(path) as scratch:
        bare.save(scratch)


def load_student(path: Path) -> "keras.Model":
    """Load a student from a `.keras` file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or needs a user's code to load.
    """
    from keras_kd import teachers

    if not path.exists():
        raise FileNotFoundError(
            f"No student at `{path}`. Give the path of a `.keras` file."
        )
    return teachers.load(path)
