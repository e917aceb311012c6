"""Saves the random generators of an oracle as JSON."""

import random
from typing import Any

import numpy as np


def states(holder: Any) -> dict[str, Any]:
    """Return the state of every random generator among the attributes.

    KerasTuner's Bayesian oracle draws its optimizer's starting points from a
    generator that it does not save, so a resumed search would propose
    different trials.
    """
    found: dict[str, Any] = {}
    for name, value in vars(holder).items():
        if isinstance(value, np.random.RandomState):
            found[name] = _lists(value.get_state(legacy=False))
        elif isinstance(value, np.random.Generator):
            found[name] = _lists(value.bit_generator.state)
        elif isinstance(value, random.Random):
            found[name] = _lists(value.getstate())
    return found


def restore(holder: Any, found: dict[str, Any]) -> None:
    """Restore every generator to the state that `states` returned."""
    for name, content in found.items():
        value = getattr(holder, name)
        if isinstance(value, np.random.RandomState):
            value.set_state(_arrays(content))
        elif isinstance(value, np.random.Generator):
            value.bit_generator.state = _arrays(content)
        else:
            version, numbers, gauss = content
            value.setstate((version, tuple(numbers), gauss))


def _lists(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _lists(value) for name, value in content.items()}
    if isinstance(content, tuple):
        return [_lists(value) for value in content]
    return content.tolist() if isinstance(content, np.ndarray) else content


def _arrays(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _arrays(value) for name, value in content.items()}
    if isinstance(content, list):
        return np.array(content, np.uint64)
    return content
