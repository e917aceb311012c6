"""The machine and the versions that results depend on."""

import platform


def machine() -> dict[str, str]:
    """Return the machine and the versions that the numbers depend on."""
    import keras
    import tensorflow as tf

    import keras_kd

    return {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "keras_kd": keras_kd.__version__,
    }
