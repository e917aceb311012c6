"""Hyperband whose longest training is that of the search."""

from typing import Any

from keras_kd.search.oracles.search_oracle import SearchOracle


class HyperbandOracle(SearchOracle):
    """Gives KerasTuner's Hyperband the `epochs` of `search`.

    A student over budget is promoted to the next round only when all that
    fit were: its score is below theirs.
    """

    max_epochs: int
    _brackets: list[Any]

    def set_epochs(self, epochs: int) -> None:
        """Plan the brackets for at most so many epochs a trial.

        Args:
            epochs: What `search` was given; ignored when `max_epochs` was.

        Raises:
            ValueError: If trials were already planned for other epochs.
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
