"""A teacher for the searches of this folder, trained once."""

from pathlib import Path

import filelock
import keras

import keras_kd


def trained(
    splits: keras_kd.data.Splits, path: Path, epochs: int
) -> keras.Model:
    """Return the teacher at `path`, trained now if it is not there.

    Of several processes one trains it, the others wait: they must all have
    the same.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(f"{path}.lock"):
        if not path.exists():
            keras.utils.set_random_seed(0)
            teacher = keras_kd.students.convnet(
                splits.input_shape, splits.num_classes
            )
            teacher.compile(
                keras.optimizers.Adam(2e-3),
                loss=keras.losses.SparseCategoricalCrossentropy(
                    from_logits=True
                ),
            )
            teacher.fit(splits.train, epochs=epochs, shuffle=False, verbose=0)
            unfinished = path.with_name(f"unfinished_{path.name}")
            teacher.save(unfinished)
            unfinished.rename(path)
    return keras_kd.teachers.load(path)
