"""Training and `.keras` files, for the commands that train or load."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from keras_kd.core.checks import requirement
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
        validation: Any = None,
        output: str | None = None,
        logs: Sequence[Any] = (),
    ) -> dict[str, list[float]]:
        """Compile and train a model.

        Args:
            model: A classifier, or a `Distiller`.
            dataset: Batches, repeated as often as needed.
            label: Name of the stage.
            labels: Whether `dataset` has labels, as class numbers.
            validation: Batches to measure the model on after each epoch.
            output: What the model returns, if its layers do not tell.
            logs: Callbacks that log the training.

        Returns:
            The value of each measure after each epoch.
        """
        steps = self.epochs * self.steps_per_epoch
        loss = accuracy = None
        if labels:
            loss, accuracy = task_of(getattr(model, "student", model), output)
        model.compile(
            adam(self.learning_rate, steps),
            loss=loss,
            metrics=None if accuracy is None else [accuracy],
        )
        with self.progress.stage(label, steps) as stage:
            history = model.fit(
                dataset.repeat(),
                validation_data=validation,
                epochs=self.epochs,
                steps_per_epoch=self.steps_per_epoch,
                verbose=0,
                shuffle=False,
                callbacks=[stage.callback(self.steps_per_epoch), *logs],
            )
        return {
            name: [float(value) for value in values]
            for name, values in history.history.items()
        }


def adam(learning_rate: float, steps: int) -> "keras.optimizers.Optimizer":
    """Return Adam, whose learning rate decays to 0 along a cosine."""
    import keras

    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    return keras.optimizers.Adam(rate)


def task_of(
    model: "keras.Model", output: str | None = None, *, subject: str = "distill"
) -> tuple[Any, Any]:
    """Return the loss and the accuracy that fit a classifier's head.

    Args:
        model: A model whose labels are class numbers.
        output: What it returns, if its layers do not tell.
        subject: The job, for messages.

    Raises:
        ValueError: If its layers do not tell what it returns, or it returns
            no classes.
    """
    import keras

    from keras_kd.core.output_kinds import is_classes
    from keras_kd.core.taps import Tap

    tap = Tap(
        model,
        output_kind=output,
        subject=subject,
        role="student",
        strict=False,
    )
    if len(tap.kinds) == 1:
        # The labels are classes, so a single linear unit is their logit.
        one = keras.tree.flatten(tap.spec.predictions)[0].shape[-1] == 1
        tap.settle(like={None: "binary_logits" if one else "logits"})
    tap.check()
    kind = str(tap.kinds[0])
    if len(tap.kinds) > 1 or not is_classes(kind):
        raise ValueError(
            requirement(
                subject,
                "student",
                "a classifier of one output, as the data set's labels are "
                "classes",
                model,
                f"It returns {', '.join(map(str, tap.kinds))}. Distil it in "
                "Python: `keras_kd.Distiller(teacher, student)`.",
            )
        )
    from_logits = kind.endswith("logits")
    if kind.startswith("binary"):
        threshold = 0.0 if from_logits else 0.5
        return (
            keras.losses.BinaryCrossentropy(from_logits=from_logits),
            keras.metrics.BinaryAccuracy("accuracy", threshold=threshold),
        )
    return (
        keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits),
        keras.metrics.SparseCategoricalAccuracy("accuracy"),
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
