"""From a student to `.tflite` files that nobody has checked yet.

The LiteRT converter can crash or hang, so it runs in a process of its own:

- `parent` runs here: it writes the student as a SavedModel, hands the
  process a job and says in one sentence why a job failed;
- `process` starts that process, waits for it, stops and replaces it;
- `program` is all that runs in it: it alone touches `tf.lite`;
- `result` opens what came out and checks that it is what was asked for.

`trace` writes the SavedModel, with the student's arithmetic set to float32 by
`precision` and its loops laid out by `recurrent`.
"""

from keras_kd.export.conversion.parent import convert_student
from keras_kd.export.conversion.process import Converter

__all__ = ["Converter", "convert_student"]
