"""What a tuner itself remembers, and when a search is read again."""

import warnings
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from keras_kd.search.oracles import state


class Saving(keras_tuner.Tuner):
    """A KerasTuner tuner whose own file is whole, and read when it should be.

    Attributes:
        loss_is_told: Whether the task's loss was told from the data, and is
            to be remembered.
    """

    loss_is_told = False

    def on_search_begin(self) -> None:
        """Save, so that a kill in the first trial is resumed too."""
        super().on_search_begin()
        self.save()

    def reload_if_killed_early(self) -> None:
        """Read a search whose tuner was killed before it saved anything."""
        saved = Path(self._get_tuner_fname()).exists()
        if state.exists(self.project_dir) and not saved:
            self.reload()

    def reload(self) -> None:
        """Read the search back.

        Raises:
            RuntimeError: If it cannot be read.
            ValueError: If it was begun with other settings.
        """
        # Declared anew, so that a changed space is noticed.
        self._populate_initial_space()
        if not self._is_worker():
            self.oracle.reload()
        path = Path(self._get_tuner_fname())
        try:
            self.set_state(state.read_json(path))
        except FileNotFoundError:
            return
        except ValueError:
            warnings.warn(
                f"`{path}` is damaged. The task's loss is told from the data "
                "again; everything else is kept elsewhere.",
                stacklevel=2,
            )

    def save(self) -> None:
        """Save the search to its folder, every file whole or not at all."""
        if not self._is_worker():
            self.oracle.save()
        state.write_json(Path(self._get_tuner_fname()), self.get_state())

    def get_state(self) -> dict[str, Any]:
        """Return what the tuner decided by itself: the task's loss."""
        loss = self.hypermodel.loss if self.loss_is_told else None
        return {"loss": keras.saving.serialize_keras_object(loss)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take what `get_state` returned."""
        if state.get("loss") is not None and self.hypermodel.loss is None:
            self.loss_is_told = True
            self.hypermodel.loss = keras.saving.deserialize_keras_object(
                state["loss"]
            )
