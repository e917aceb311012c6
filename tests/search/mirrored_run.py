"""A search whose trials run on two logical CPUs: `mirrored_run.py FOLDER N`."""

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from small_searches import data
from small_searches import dense
from small_searches import make_tuner

X, Y = data()


def search(folder, num_replicas):
    strategy = None
    if num_replicas > 1:
        (cpu,) = tf.config.list_physical_devices("CPU")
        logical = [tf.config.LogicalDeviceConfiguration()] * num_replicas
        tf.config.set_logical_device_configuration(cpu, logical)
        strategy = tf.distribute.MirroredStrategy(
            [f"CPU:{index}" for index in range(num_replicas)]
        )
    keras.utils.set_random_seed(0)
    pipeline = tf.data.Dataset.from_tensor_slices((X, Y)).batch(16)
    tuner = make_tuner(
        folder,
        dense(16, name="teacher"),
        objective="val_loss",
        max_trials=1,
        distribution_strategy=strategy,
    )
    tuner.search(pipeline, validation_data=pipeline, epochs=2, verbose=0)
    (candidate,) = tuner.results
    np.savez(f"{folder}/best.npz", *tuner.best_student().get_weights())
    Path(folder, "result.json").write_text(
        json.dumps([candidate.status, candidate.objective])
    )


if __name__ == "__main__":
    search(sys.argv[1], int(sys.argv[2]))
