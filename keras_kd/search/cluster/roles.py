"""The role of this process in a search, read from the environment."""

import os

from keras_kd.search.keras_tuner_internals import environment
from keras_kd.search.oracles import state


def is_chief() -> bool:
    """Whether this process is the chief of a distributed search."""
    return bool(environment.is_chief_oracle())


def is_worker() -> bool:
    """Whether this process is one of the workers."""
    return bool(
        environment.has_chief_oracle() and not environment.is_chief_oracle()
    )


def may_overwrite(folder: str | os.PathLike[str]) -> bool:
    """Whether this process may delete an earlier search.

    A worker may not: it would delete its own chief's search.

    Raises:
        RuntimeError: If another process searches in the folder.
    """
    if is_worker():
        return False
    if state.exists(folder):
        with state.locked(folder):
            pass
    return True
