"""One pass over a data set: hash, run the teacher on new examples, store."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.core.batches import batches
from keras_kd.core.progress import Progress
from keras_kd.core.progress import Stage
from keras_kd.teachers.cache import hashing
from keras_kd.teachers.cache import teacher_runner
from keras_kd.teachers.cache import views
from keras_kd.teachers.cache.settings import Settings
from keras_kd.teachers.cache.structure import Leaf
from keras_kd.teachers.cache.structure import describe
from keras_kd.teachers.cache.structure import dtype_name
from keras_kd.teachers.cache.writer import PartWriter

_SUBJECT = "TeacherCache.build"


class Queue:
    """A queue of new examples that wait for the teacher."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, Any]] = []

    def __len__(self) -> int:
        return sum(len(keys) for keys, _ in self._parts)

    def push(self, keys: np.ndarray, x: Any) -> None:
        """Add examples at the end."""
        self._parts.append((keys, x))

    def pop(self, count: int) -> tuple[np.ndarray, Any]:
        """Take at most `count` examples from the front."""
        if len(self._parts) > 1:
            keys = np.concatenate([keys for keys, _ in self._parts])
            x = keras.tree.map_structure(
                lambda *leaves: np.concatenate(leaves),
                *[x for _, x in self._parts],
            )
            self._parts = [(keys, x)]
        ((keys, x),) = self._parts
        left = keys[count:], _cut(x, slice(count, None))
        self._parts = [left] if len(left[0]) else []
        return keys[:count], _cut(x, slice(count))


class Builder:
    """Fills a part of a cache.

    The teacher sees batches of `batch_size` new examples, and no batch
    crosses the end of a shard. So a build that was killed and resumed writes
    the same bytes.

    Args:
        writer: An open `PartWriter`.
        run: Runs the teacher on a batch; see `teacher_runner.make`.
        augment: `augment(x, seed)`, or `None`.
        num_views: Views of each example.
        seed: Seed of the augmentation.
    """

    def __init__(
        self,
        writer: PartWriter,
        run: teacher_runner.Run,
        augment: views.Augment | None = None,
        num_views: int = 1,
        seed: int = 0,
    ) -> None:
        self._writer = writer
        self._run = run
        self._make_view = views.maker(augment) if augment else None
        self._num_views = num_views
        self._seed = seed
        self._queue = Queue()

    def feed(self, x: Any, batch_size: int) -> int:
        """Store the new examples of a batch; return the batch's size."""
        keys = hashing.keys(x)
        rows = self._writer.claim(keys)
        if len(rows) == len(keys):
            self._queue.push(keys, x)
        elif len(rows):
            self._queue.push(keys[rows], _cut(x, rows))
        self._drain(batch_size, leave=batch_size)
        return len(keys)

    def finish(self, batch_size: int) -> None:
        """Store the examples still in the queue, and end the part."""
        self._drain(batch_size, leave=1)
        self._writer.finish()

    def _drain(self, batch_size: int, leave: int) -> None:
        while len(self._queue):
            room = min(batch_size, self._writer.room)
            if len(self._queue) < min(room, leave):
                return
            keys, x = self._queue.pop(room)
            self._writer.append(keys, [*self._outputs(keys, x)])

    def _outputs(self, keys: np.ndarray, x: Any) -> Iterator[dict[str, Any]]:
        if self._make_view is None:
            yield self._run(x)
            return
        for view in range(self._num_views):
            numbers = np.full(len(keys), view)
            seeds = views.seeds(self._seed, keys, numbers)
            yield self._run(self._make_view(x, seeds))


def build(
    path: str | os.PathLike[str],
    teacher: Any,
    dataset: Any,
    settings: Settings,
    verbose: str | int = "auto",
) -> None:
    """Build one part of a cache; see `TeacherCache.build`."""
    settings.check_teacher(teacher)
    run, kinds = teacher_runner.make(
        teacher,
        settings.layers,
        settings.teacher_output,
        settings.teacher_input,
    )
    size = settings.batch_size
    data = batched(dataset, teacher, settings.teacher_input, size)
    # `batches` checks the data set; `example_of` expects a valid one.
    steps = batches(data, size or 64, subject=_SUBJECT)
    identity = settings.identity(teacher, kinds, example_of(data))
    with PartWriter(
        path, identity, settings.shard, settings.shard_size
    ) as writer:
        builder = Builder(
            writer, run, settings.augment, settings.views, settings.seed
        )
        total = num_steps(data, size or 64)
        with _stage(total or 1) if verbose else nullcontext() as stage:
            _feed_all(builder, steps, size, stage, total)


@contextmanager
def _stage(total: int) -> Iterator[Stage]:
    with Progress() as progress, progress.stage("teacher cache", total) as one:
        yield one


def _feed_all(
    builder: Builder,
    steps: Iterator[Any],
    size: int | None,
    stage: Stage | None,
    total: int | None,
) -> None:
    started = time.perf_counter()
    seen = 0
    for step, (x, _, _) in enumerate(steps):
        size = size or len(keras.tree.flatten(x)[0])
        seen += builder.feed(x, size)
        if stage is not None:
            rate = seen / (time.perf_counter() - started)
            note = f"{seen:,} examples, {rate:,.0f}/s"
            stage.reach(step + 1 if total else 0, note)
    builder.finish(size or 64)


def batched(
    dataset: Any, teacher: Any, teacher_input: Any, batch_size: int | None
) -> Any:
    """Return the data set, batched if its rank shows single examples.

    The rank that the teacher expects is unknown if it is not a Keras model
    or `teacher_input` is a function; then the data set must be batched.
    """
    if not isinstance(dataset, tf.data.Dataset):
        return dataset
    x_spec = inputs_of(dataset.element_spec)
    if teacher_runner.missing_axes(teacher, teacher_input, x_spec) == 1:
        dataset = dataset.batch(batch_size or 64)
    return dataset.prefetch(2)


def inputs_of(element: Any) -> Any:
    """Return the `x` of a data set's element, as Keras unpacks it."""
    return element[0] if isinstance(element, tuple) else element


def example_of(dataset: Any) -> Any:
    """Describe one example of a batched data set, reading at most a batch."""
    if isinstance(dataset, tf.data.Dataset):
        return keras.tree.map_structure(
            lambda spec: Leaf(
                tuple(spec.shape.as_list()[1:]), dtype_name(spec.dtype)
            ),
            inputs_of(dataset.element_spec),
        )
    if isinstance(dataset, keras.utils.PyDataset):
        dataset = dataset[0]
    return describe(inputs_of(dataset))


def num_steps(dataset: Any, batch_size: int) -> int | None:
    """Return the number of batches, or `None` if it is unknown."""
    if isinstance(dataset, tf.data.Dataset):
        count = int(dataset.cardinality())
        return count if count > 0 else None
    if isinstance(dataset, keras.utils.PyDataset):
        return dataset.num_batches
    examples = len(keras.tree.flatten(inputs_of(dataset))[0])
    return -(-examples // batch_size)


def _cut(x: Any, rows: Any) -> Any:
    return keras.tree.map_structure(lambda leaf: leaf[rows], x)
