"""Hyperband that plans its rounds with the epochs of the search."""

from typing import Any

from keras_kd.search.oracles.search_oracle import SearchOracle


class HyperbandOracle(SearchOracle):
    """Gives KerasTuner's Hyperband the `epochs` of `search`.

    A student over budget scores below every student that fits, so it is
    promoted to the next round only after all of them.
    """

    max_epochs: int
    _brackets: list[Any]

    def set_epochs(self, epochs: int) -> None:
        """Plan the brackets for at most this many epochs per trial.

        Args:
            epochs: The `epochs` of `search`; ignored if the user gave
                `max_epochs`.

        Raises:
            ValueError: If trials were already planned with another number.
        """
        if not self.arguments_from_search or epochs == self.max_epochs:
            return
        if self.trials:
            raise ValueError(
                f"The search in `{self._project_dir}` was begun with "
                f"epochs={self.max_epochs}, by which Hyperband planned its "
                f"rounds. Received: epochs={epochs}. Use those it was begun "
                "with, or choose another `project_name`."
            )
        self.max_epochs = epochs
        self._current_bracket = self._get_num_brackets() - 1
        self._brackets = []
        self._start_new_bracket()
