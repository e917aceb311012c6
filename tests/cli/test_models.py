"""The user's own classes and files."""

import sys

import keras
import pytest

from keras_kd import teachers
from keras_kd.cli.models import import_classes
from keras_kd.core.keras_internals import registry_module
from keras_kd.jobs.models import load_student

MODULE = """
import keras

@keras.saving.register_keras_serializable("{package}")
class Known(keras.layers.Layer):
    def call(self, x):
        return 2 * x

class Unregistered(keras.layers.Layer):
    def call(self, x):
        return 3 * x
"""


@pytest.mark.parametrize("how", ["module", "file"])
@pytest.mark.parametrize("name", ["Known", "Unregistered"])
def test_custom_layers_load_once_their_module_is_imported(
    tmp_path, monkeypatch, how, name
):
    module = f"layers_of_{how}_{name}"
    (tmp_path / f"{module}.py").write_text(MODULE.format(package=module))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    layer = getattr(__import__(module), name)
    keras.Sequential([keras.Input((2,)), layer()]).save("own.keras")
    # As in a new process.
    registry = registry_module().GLOBAL_CUSTOM_OBJECTS
    monkeypatch.delitem(registry, f"{module}>{name}", raising=False)
    before = dict(registry)
    del sys.modules[module]
    with pytest.raises(ValueError, match=rf"{name}\. Import .*`--import"):
        teachers.load("own.keras")
    import_classes([module if how == "module" else f"{module}.py"])
    outputs = teachers.load("own.keras")(keras.ops.ones((1, 2)))
    assert float(outputs[0, 0]) == {"Known": 2.0, "Unregistered": 3.0}[name]
    for key in registry.keys() - before.keys():
        del registry[key]


@pytest.mark.parametrize("name", ["no_such_module", "gone.py"])
def test_a_module_that_is_not_there_is_named(name):
    with pytest.raises(ImportError, match=f"`--import {name}` needs"):
        import_classes([name])


def test_a_missing_student_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No student at `.*a\.keras`"):
        load_student(tmp_path / "a.keras")
