"""Imports TensorFlow without its log lines."""

import os
import sys
import tempfile


def load_tensorflow() -> None:
    """Import TensorFlow and Keras; show what they print only on failure.

    TensorFlow 2.21 writes to the file descriptor before it reads its log
    level, so `TF_CPP_MIN_LOG_LEVEL` does not silence those lines. It writes
    one more when it looks for a GPU and finds none.
    """
    if "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            import keras
            import tensorflow as tf

            del keras
            tf.config.list_physical_devices()
            tf.get_logger().setLevel("ERROR")
        except BaseException:
            written.seek(0)
            os.write(terminal, written.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
