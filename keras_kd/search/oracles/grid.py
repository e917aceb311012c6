"""Grid search that can be resumed."""

from typing import Any

from keras_kd.search.keras_tuner_internals import LinkedList
from keras_kd.search.oracles.search_oracle import SearchOracle


class GridOracle(SearchOracle):
    """Saves the position of KerasTuner's grid search.

    KerasTuner does not save the order of the combinations, nor the trials
    whose next combination was not proposed yet; without them the search
    cannot be resumed.
    """

    _ordered_ids: Any
    _populate_next: list[str]

    def get_state(self) -> dict[str, Any]:
        """Return the state with the grid's position."""
        return super().get_state() | {
            "ordered_ids": _members(self._ordered_ids),
            "populate_next": self._populate_next,
        }

    def set_state(self, content: dict[str, Any]) -> None:
        """Restore the state that `get_state` returned."""
        super().set_state(content)
        self._ordered_ids = LinkedList()
        for trial_id in content["ordered_ids"]:
            self._ordered_ids.insert(trial_id)
        self._populate_next = list(content["populate_next"])

    def _compare(self, a: dict[str, Any], b: dict[str, Any]) -> Any:
        return super()._compare(self._filled(a), self._filled(b))

    def _get_next_combination(self, values: dict[str, Any]) -> Any:
        return super()._get_next_combination(self._filled(values))

    def _filled(self, values: dict[str, Any]) -> dict[str, Any]:
        """Add the default of each hyperparameter that has no value.

        KerasTuner fails on trials that ran before it was declared.
        """
        hps = self.get_space()
        hps.values = dict(values)
        for hp in hps.space:
            if hps.is_active(hp):
                hps.values.setdefault(hp.name, hp.default)
        filled: dict[str, Any] = hps.values
        return filled


def _members(linked: Any) -> list[str]:
    """Return the members of a linked list in order."""
    members = []
    index = linked._next_index[None]
    while index is not None:
        members.append(linked._memory[index])
        index = linked._next_index[index]
    return members
