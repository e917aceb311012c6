"""Decides whether a stored search is the same as the current one."""

import inspect
from pathlib import Path
from typing import Any

from keras_kd.search.oracles import state

SEARCH = "search.json"
_KIND = "keras_kd search"
# Constructor arguments that are compared separately, or may change between
# two sessions.
_NOT_COMPARED = (
    "self",
    "objective",
    "hyperparameters",
    "seed",
    "max_trials",
    "max_retries_per_trial",
    "max_consecutive_failed_trials",
)


def describe(oracle: Any) -> dict[str, Any]:
    """Return the content of `search.json` for an oracle."""
    return {
        "kind": _KIND,
        "version": 1,
        "oracle": oracle.algorithm.__name__,
        "objective": _objective(oracle.objective),
        "arguments": _arguments(oracle),
        "seed": oracle.seed,
        "budget": oracle.budget.to_dict() if oracle.budget else None,
        "max_trials": oracle.max_trials,
        "space": oracle.hyperparameters.get_config()["space"],
    }


def read(folder: Path) -> dict[str, Any]:
    """Return the content of a project's `search.json`.

    Raises:
        RuntimeError: If it is missing, damaged, or from another version.
    """
    path = folder / SEARCH
    try:
        content: dict[str, Any] = state.read_json(path)
    except (FileNotFoundError, ValueError) as error:
        raise RuntimeError(
            f"`{folder}` holds a search whose `{SEARCH}` is missing or "
            "damaged: it was not made by `StudentTuner`, or a file was "
            "lost. Restore it, or choose another `project_name`."
        ) from error
    if content.get("kind") != _KIND or content.get("version") != 1:
        raise RuntimeError(
            f"`{path}` was written by another version. Go on with the "
            "version that began the search, or choose another "
            "`project_name`."
        )
    return content


def check(stored: dict[str, Any], oracle: Any, space: list[Any]) -> None:
    """Refuse to resume a search whose settings changed.

    New hyperparameters and another number of trials are allowed.

    Args:
        stored: What `read` returned.
        oracle: The oracle of this session, before it is restored.
        space: Every hyperparameter of the stored search, including those
            that trials added.

    Raises:
        ValueError: Names what differs.
    """
    current = describe(oracle)
    differing = [
        f"{name}: was {stored[name]!r}, is {current[name]!r}"
        for name in ("oracle", "objective", "budget")
        if stored[name] != current[name]
    ]
    if oracle.seed_given is not None and oracle.seed_given != stored["seed"]:
        differing.append(
            f"seed: was {stored['seed']!r}, is {oracle.seed_given!r}"
        )
    if stored["oracle"] == current["oracle"]:
        old, new = stored["arguments"], current["arguments"]
        differing += [
            f"{name}: was {old.get(name)!r}, is {new.get(name)!r}"
            for name in sorted(old.keys() | new.keys())
            if name not in oracle.arguments_from_search
            and old.get(name) != new.get(name)
        ]
    differing += _space_differences(stored["space"], space, oracle)
    if differing:
        raise ValueError(
            f"The search in `{oracle._project_dir}` was begun with other "
            f"settings: {'; '.join(differing)}. Use those it was begun "
            "with, choose another `project_name`, or throw it away with "
            "`overwrite=True`."
        )


def union(space: list[Any], other: list[Any]) -> list[Any]:
    """Return the hyperparameters of two spaces, each once."""
    known = _by_name(space)
    new = _by_name(other)
    return space + [new[key] for key in new if key not in known]


def _space_differences(
    declared: list[Any], known: list[Any], oracle: Any
) -> list[str]:
    current = _by_name(oracle.hyperparameters.get_config()["space"])
    before = _by_name(known)
    differing = [
        f"hyperparameter {name!r}: was {_show(before[name, conditions])}, "
        f"is {_show(entry)}"
        for (name, conditions), entry in current.items()
        if before.get((name, conditions), entry) != entry
    ]
    if oracle.space_declared:
        differing += [
            f"hyperparameter {name!r}: was {_show(entry)}, is not there"
            for (name, conditions), entry in _by_name(declared).items()
            if (name, conditions) not in current
        ]
    return differing


def _by_name(space: list[Any]) -> dict[tuple[str, str], Any]:
    """Index hyperparameters by their name and conditions."""
    return {
        (entry["config"]["name"], repr(entry["config"]["conditions"])): entry
        for entry in space
    }


def _show(entry: dict[str, Any]) -> str:
    arguments = ", ".join(
        f"{name}={value!r}"
        for name, value in entry["config"].items()
        if name not in ("name", "conditions") and value is not None
    )
    return f"{entry['class_name']}({arguments})"


def _objective(objective: Any) -> Any:
    parts = getattr(objective, "objectives", [objective])
    return [[part.name, part.direction] for part in parts]


def _arguments(oracle: Any) -> dict[str, Any]:
    """Return the constructor arguments that are attributes of the oracle."""
    names = inspect.signature(oracle.algorithm.__init__).parameters
    found = {
        name: getattr(oracle, name)
        for name in names
        if name not in _NOT_COMPARED and hasattr(oracle, name)
    }
    return {
        name: value
        for name, value in found.items()
        if value is None or isinstance(value, (bool, int, float, str))
    }
