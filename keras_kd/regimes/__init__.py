"""Regimes: how several students are trained, in turn or together.

Each is a loop over Distillers that your own function makes, so every loss,
option and data set of a `Distiller` works in it.

A model can also teach itself (Zhang et al. 2019, arXiv:1905.08094): a head
after a middle layer learns from the last head. The teacher is then a model of
the same layers whose last output stands in both places.

>>> import keras
>>> import numpy as np
>>> import keras_kd
>>> image = keras.Input((8,))
>>> middle = keras.layers.Dense(6, "relu")(image)
>>> last = keras.layers.Dense(3)(keras.layers.Dense(6, "relu")(middle))
>>> early = keras.layers.Dense(3)(middle)
>>> student = keras.Model(image, {"last": last, "early": early})
>>> teacher = keras.Model(image, {"last": last, "early": last})
>>> distiller = keras_kd.Distiller(
...     teacher, student, keras_kd.losses.SoftTargets(3.0, output="early"),
...     alpha=0.3)
>>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
>>> distiller.compile("adam", loss={"last": loss, "early": loss})
>>> x, y = np.ones((4, 8), "float32"), np.array([0, 1, 2, 0])
>>> history = distiller.fit(x, {"last": y, "early": y}, verbose=0)
>>> print(sorted(history.history))
['early_loss', 'last_loss', 'loss', 'soft_targets', 'student_loss']
"""

from keras_kd.core import tensorflow_only  # noqa: F401
from keras_kd.regimes.chains import born_again
from keras_kd.regimes.chains import teacher_assistants
from keras_kd.regimes.mutual import mutual

__all__ = ["born_again", "mutual", "teacher_assistants"]
