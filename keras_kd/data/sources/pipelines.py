"""A `tf.data.Dataset` or `PyDataset` of batches, as `fit` takes them."""

from collections.abc import Iterable
from typing import Any
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf

from keras_kd.core.checks import requirement
from keras_kd.data.sources import arrays
from keras_kd.data.sources.source import Part
from keras_kd.data.sources.source import Source
from keras_kd.data.sources.streams import chosen
from keras_kd.data.sources.streams import shuffled

Pipeline: TypeAlias = tf.data.Dataset | keras.utils.PyDataset


def read_pipelines(
    pipelines: dict[str, Pipeline], kind: str | None, limit: int
) -> Source:
    """Read pipelines once, and keep their examples if they fit in memory.

    Args:
        pipelines: Part to pipeline of batches of `(x, y)`.
        kind: The kind of data; `None` finds it.
        limit: Most bytes to keep.

    Raises:
        ValueError: If a pipeline is endless, empty, or gives no pairs.
    """
    read = {part: _read(pipe, limit) for part, pipe in pipelines.items()}
    every, names = arrays.labels_of([found.labels for found in read.values()])
    labels = dict(zip(read, every, strict=True))
    source = arrays.looked_at(
        "pipelines",
        {part: arrays.inputs_of(found.x) for part, found in read.items()},
        {part: labels[part][: found.count] for part, found in read.items()},
        names,
        kind,
    )
    for part, found in read.items():
        if found.cut:
            source.parts[part] = _streamed(
                pipelines[part], found.labels, labels[part]
            )
    return source


class _Read:
    """What one pass over a pipeline gave.

    Attributes:
        x: Inputs, of the first batch alone if there were too many.
        count: Number of these.
        labels: Labels of all examples.
        cut: Whether there were too many.
    """

    def __init__(self, steps: Iterable[Any], limit: int) -> None:
        xs: list[Any] = []
        ys: list[np.ndarray] = []
        held = 0
        self.cut = False
        for step in steps:
            x, y = keras.tree.map_structure(np.asarray, _pair(step))
            ys.append(y)
            held += sum(leaf.nbytes for leaf in keras.tree.flatten(x))
            if held > limit and xs:
                self.cut, xs = True, xs[:1]
            if not self.cut:
                xs.append(x)
        if not ys:
            raise _refused("an empty pipeline")
        self.x = keras.tree.map_structure(
            lambda *leaves: np.concatenate(leaves), *xs
        )
        self.labels = np.concatenate(ys)
        self.count = len(ys[0]) if self.cut else len(self.labels)


def _read(pipeline: Pipeline, limit: int) -> _Read:
    if isinstance(pipeline, keras.utils.PyDataset):
        if pipeline.num_batches is None:
            raise _refused("an endless PyDataset")
        steps: Iterable[Any] = (
            pipeline[index] for index in range(pipeline.num_batches)
        )
        return _Read(steps, limit)
    if int(pipeline.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise _refused("an endless pipeline (it repeats)")
    return _Read(_batched(pipeline).as_numpy_iterator(), limit)


def _batched(dataset: tf.data.Dataset) -> tf.data.Dataset:
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) < 2:
        raise _refused(spec)
    return dataset.batch(64) if spec[1].shape.rank == 0 else dataset


def _streamed(
    pipeline: Pipeline, given: np.ndarray, labels: np.ndarray
) -> Part:
    """Return a part that is read anew in each pass.

    Args:
        pipeline: The pipeline.
        given: The labels that it gave.
        labels: These as class numbers or targets.
    """
    if isinstance(pipeline, keras.utils.PyDataset):
        spec = keras.tree.map_structure(
            lambda leaf: tf.TensorSpec(
                (None, *np.shape(leaf)[1:]), np.asarray(leaf).dtype
            ),
            _pair(pipeline[0]),
        )
        batches = tf.data.Dataset.from_generator(
            lambda: map(_pair, map(pipeline.__getitem__, range(len(pipeline)))),
            output_signature=spec,
        )
    else:
        batches = _batched(pipeline).map(lambda x, y, *rest: (x, y))
    examples = batches.unbatch()

    def read(rows: np.ndarray, seed: int | None) -> tf.data.Dataset:
        kept = chosen(examples, rows, len(labels))
        before = tf.data.Dataset.from_tensor_slices((given[rows], labels[rows]))
        pairs = tf.data.Dataset.zip(kept, before).map(_same)
        return shuffled(pairs, len(rows), seed)

    known = labels if labels.dtype == np.int32 else None
    return Part(len(labels), read, labels=known)


def _same(pair: Any, before: Any) -> Any:
    """Return an example; fail if its label is not that of the first pass."""
    (x, y), (given, label) = pair, before
    same = tf.debugging.Assert(
        tf.reduce_all(tf.equal(y, given)),
        [
            "The pipeline gives its examples in another order than before. "
            "Remove its `shuffle`: `load` shuffles."
        ],
    )
    with tf.control_dependencies([same]):
        return keras.tree.map_structure(tf.identity, x), label


def _pair(step: Any) -> tuple[Any, Any]:
    if not isinstance(step, tuple) or len(step) < 2:
        raise _refused(step)
    return step[0], step[1]


def _refused(received: Any) -> ValueError:
    return ValueError(
        requirement(
            "load",
            "source",
            "a finite pipeline of batches `(x, y)`",
            received,
        )
    )
