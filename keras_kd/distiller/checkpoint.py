"""What a Distiller saves, and what it becomes when loaded."""

import functools
from typing import Any

import keras

from keras_kd.core.schedules import to_config
from keras_kd.distiller.arguments import saved_input


class Saving:
    """Saves student, losses and settings, never the teacher."""

    def export(self: Any, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Export the student; the arguments are `keras.Model.export`'s."""
        self.student.export(filepath, *args, **kwargs)

    def save(self: Any, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Save to a `.keras` file; the arguments are `keras.Model.save`'s.

        Raises:
            ValueError: If an input function is not registered with Keras.
                An older file of that name is then still there.
        """
        # Keras empties the file before it asks for the config.
        self._saved_inputs()
        super().save(filepath, *args, **kwargs)  # type: ignore[misc]

    def _saved_inputs(self: Any) -> dict[str, Any]:
        given = {k: v for k, v in self._inputs.items() if v is not None}
        return {name: saved_input(how, name) for name, how in given.items()}

    def get_config(self: Any) -> dict[str, Any]:
        """Return what makes this Distiller again, without its teacher.

        Raises:
            ValueError: If an input function is not registered with Keras.
        """
        save = keras.saving.serialize_keras_object
        weight = self.student_loss_weight
        return {
            "name": self.name,
            "student": save(self.student),
            "losses": [save(loss) for loss in self.distillation_losses],
            "alpha": to_config(self.alpha),
            "student_loss_weight": None
            if weight is None
            else to_config(weight),
            **self._settings,
            **self._saved_inputs(),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> Any:
        """Make a Distiller whose teacher is `None`."""
        load = functools.partial(
            keras.saving.deserialize_keras_object,
            custom_objects=custom_objects,
        )
        config = dict(config)
        student = load(config.pop("student"))
        losses = [load(loss) for loss in config.pop("losses")]
        for name in ("teacher_input", "student_input"):
            if isinstance(config.get(name), dict):
                config[name] = load(config[name])
        make: Any = cls
        return make(None, student, losses, **config)

    def compile_from_config(self: Any, config: dict[str, Any]) -> None:
        """Compile again from the saved settings and build the optimizer."""
        config = keras.saving.deserialize_keras_object(config)
        self.compile(**config)
        self.optimizer.build(self.trainable_variables)
