"""Imports TensorFlow without its log lines."""

import logging
import sys

from keras_kd.core.native_output import without_lines


def load_tensorflow() -> None:
    """Import TensorFlow and Keras; show what they print only on failure.

    TensorFlow 2.21 writes to the file descriptor before it reads its log
    level, so `TF_CPP_MIN_LOG_LEVEL` does not silence those lines. It writes
    one more when it looks for a GPU and finds none. Warnings of abseil's logger
    are about calls of TensorFlow Datasets, not of the user.
    """
    if "tensorflow" in sys.modules:
        return
    with without_lines(""):
        import keras
        import tensorflow as tf

        del keras
        tf.config.list_physical_devices()
        tf.get_logger().setLevel("ERROR")
        logging.getLogger("absl").setLevel("ERROR")
