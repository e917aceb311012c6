"""The classifiers of keras.applications, some of them or all."""

import inspect
import os

import keras
import pytest

# Read from the module, so that a new one is tested by itself.
NAMES = sorted(
    name
    for name, member in vars(keras.applications).items()
    if inspect.isfunction(member) and name[0].isupper()
)


def all_when_asked(quick, reason):
    """Return all names as parameters; others than `quick` wait to be asked."""
    asked = os.environ.get("KERAS_KD_APPLICATIONS") == "all"
    reason = f"{reason}: set KERAS_KD_APPLICATIONS=all"
    return [
        pytest.param(
            name,
            marks=pytest.mark.skipif(
                name not in quick and not asked, reason=reason
            ),
        )
        for name in NAMES
    ]
