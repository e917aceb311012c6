"""Every room imports this first: it fails where Keras is not on TensorFlow.

Without it, the first error is about an attribute of a trainer, far from its
cause.
"""

import keras

if (received := keras.config.backend()) != "tensorflow":
    raise ImportError(
        "`keras_kd` needs Keras on TensorFlow, on which it trains and writes "
        f"files. Received: Keras on {received!r}. Set "
        "`KERAS_BACKEND=tensorflow` in the environment before Keras is "
        'imported, or `"backend": "tensorflow"` in `~/.keras/keras.json`. '
        "Models saved by another backend load as they are."
    )
