"""What a saved `.keras` file may hold opens wherever `keras_kd` was imported.

Keras finds a custom class only once the module that registers it has been
imported. `import keras_kd` imports nothing, so that the command line answers
`--help` at once. Keras's registry is told instead where to look for the names
that it lacks: the first `keras_kd>...` that it is asked for imports the rooms
that define such classes.
"""

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_ROOMS = ("distiller", "losses", "quantization")
_PREFIX = "keras_kd>"


def find_when_asked() -> None:
    """Extend Keras's registry: now, or as soon as Keras is imported."""
    if "keras" in sys.modules:
        _extend_registry()
    else:
        sys.meta_path.insert(0, _AfterKeras())


class _Registry(dict[str, Any]):
    """Keras's registry, which imports a class of ours when it is asked for."""

    def __contains__(self, name: object) -> bool:
        if super().__contains__(name):
            return True
        if not (isinstance(name, str) and name.startswith(_PREFIX)):
            return False
        for room in _ROOMS:
            importlib.import_module(f"keras_kd.{room}")
        if not super().__contains__(name):
            self._register_again(name)
        return super().__contains__(name)

    def _register_again(self, name: str) -> None:
        """Find a class that was removed, as by `clear()`."""
        attribute = name.removeprefix(_PREFIX)
        for module in list(sys.modules.values()):
            if module.__name__.startswith("keras_kd."):
                found = vars(module).get(attribute)
                if isinstance(found, type):
                    self[name] = found


class _AfterKeras(importlib.abc.MetaPathFinder):
    """Extends the registry at the end of `import keras`."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return Keras's own spec, with one more thing to do."""
        if fullname != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_extend(module: ModuleType) -> None:
            execute(module)
            _extend_registry()

        spec.loader.exec_module = execute_and_extend  # type: ignore[method-assign]
        return spec


def _extend_registry() -> None:
    from keras_kd.core.keras_internals import registry_module

    module = registry_module()
    if not isinstance(module.GLOBAL_CUSTOM_OBJECTS, _Registry):
        module.GLOBAL_CUSTOM_OBJECTS = _Registry(module.GLOBAL_CUSTOM_OBJECTS)
