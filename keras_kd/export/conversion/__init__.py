"""Converts a student to `.tflite` files, which `verify` then checks.

The LiteRT converter can crash or hang, so it runs in a child process:

- `parent` runs in the user's process: it writes the student as a SavedModel,
  sends the child process a job and raises a one-sentence error if it fails;
- `process` holds the child process, one for all exports of a program;
- `program` runs in the child process and is the only user of `tf.lite`;
- `result` opens the converted file and checks that it has the types that were
  asked for.

`trace` writes the SavedModel, after `precision` has set the student's
arithmetic to float32 and `recurrent` has unrolled its loops where needed.
"""

from keras_kd.export.conversion.parent import convert_student
from keras_kd.export.conversion.process import converter

__all__ = ["convert_student", "converter"]
