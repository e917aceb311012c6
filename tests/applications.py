"""The classifiers of keras.applications."""

import inspect

import keras

# Read from the module, so that a new one is tested by itself.
NAMES = sorted(
    name
    for name, member in vars(keras.applications).items()
    if inspect.isfunction(member) and name[0].isupper()
)
