"""One converter's process for all the exports of a process.

Starting one takes 3 seconds of TensorFlow's imports, a conversion half a
second. `tests/export/test_process.py` tests the process itself.
"""

import contextlib

import pytest


@contextlib.contextmanager
def one_converter():
    """Give all exports the same converter, until the end."""
    from keras_kd.export import layer_errors
    from keras_kd.export.conversion import parent
    from keras_kd.export.conversion.process import Converter
    from keras_kd.search.cost import ledger

    class Shared(Converter):
        """Outlives the exports that it does."""

        def close(self):
            pass

    shared = Shared()
    with pytest.MonkeyPatch.context() as patch:
        for module in (parent, layer_errors, ledger):
            patch.setattr(module, "Converter", lambda: shared)
        yield
    Converter.close(shared)
