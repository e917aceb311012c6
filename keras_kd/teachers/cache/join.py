"""Joins a teacher's stored outputs to the `x` of a data set."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_kd.core.checks import requirement
from keras_kd.core.packed_inputs import pack
from keras_kd.core.packed_inputs import unpack
from keras_kd.teachers.cache import graph_lookup
from keras_kd.teachers.cache import hashing
from keras_kd.teachers.cache import structure
from keras_kd.teachers.cache import views
from keras_kd.teachers.cache.builder import inputs_of
from keras_kd.teachers.cache.store import Store
from keras_kd.teachers.cache.structure import Leaf

_SUBJECT = "TeacherCache.join"


class Joiner:
    """Looks up the stored outputs of batches.

    Args:
        store: The opened cache.
        augment: The augmentation the cache was built with, or `None`.
    """

    def __init__(self, store: Store, augment: views.Augment | None) -> None:
        self.store = store
        self.augment = augment
        self.make_view = None if augment is None else views.maker(augment)
        self._identity = store.identity
        self.source = store.identity.source()

    def find(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the keys and positions of a batch.

        Raises:
            ValueError: Names the first example that is not in the cache.
        """
        keys = hashing.keys(x)
        positions = self.store.index.find(keys)
        missing = np.flatnonzero(positions < 0)
        if len(missing):
            first = int(missing[0])
            advice = (
                "Build the cache on this data set too: it adds what is new. "
                "Augmentation goes after the join, or into `augment=`."
                if self.store.complete
                else "The build did not end: run it again, it goes on."
            )
            raise ValueError(
                f"The teacher cache `{self.store.folder}` has no outputs for "
                f"example {first} of a batch of {len(keys)} "
                f"({len(missing)} are missing), whose hash is "
                f"{hashing.show_key(keys[first])}. {advice}"
            )
        return keys, positions

    def outputs(self, x: Any, number: int) -> tuple[dict[str, Any], np.ndarray]:
        """Return the outputs of a batch, and the seeds of the views.

        Args:
            x: A NumPy batch.
            number: Seed of the choice of views.
        """
        keys, positions = self.find(x)
        chosen = np.zeros(len(keys), int)
        if self._identity.views > 1:
            chosen = views.draw(number, len(keys), self._identity.views)
        found = self.store.read(positions, chosen)
        found["ids"] = positions.astype(np.int64)
        if self.augment is None:
            return found, np.zeros((len(keys), 2), np.int32)
        return found, views.seeds(self._identity.seed, keys, chosen)

    def check(self, example: Any) -> None:
        """Check that examples of a data set can be in the cache.

        Raises:
            ValueError: If dtypes or shapes differ.
        """
        mine = keras.tree.flatten(self._identity.example)
        other = keras.tree.flatten(example)
        if len(mine) != len(other) or not all(map(structure.fits, mine, other)):
            raise ValueError(
                requirement(
                    _SUBJECT,
                    "dataset",
                    "of the examples the cache was built on: "
                    f"{structure.show(mine)}",
                    structure.show(other),
                    "An example is found by its bytes: the same values in "
                    "another type are another example.",
                )
            )


def arrays(joiner: Joiner, dataset: Any, seed: int) -> Any:
    """Join NumPy data: `x`, `(x, y)` or `(x, y, sample_weight)`."""
    if joiner.store.identity.views > 1:
        raise ValueError(
            requirement(
                _SUBJECT,
                "dataset",
                "a tf.data.Dataset or a PyDataset for a cache of several "
                "views: arrays would show one view in every epoch",
                "arrays",
                "Use `tf.data.Dataset.from_tensor_slices(arrays).batch(64)`.",
            )
        )
    x = keras.tree.map_structure(np.asarray, _plain(dataset))
    joiner.check(structure.describe(x))
    packed = join_batch(joiner, x, seed)
    return (packed, *dataset[1:]) if isinstance(dataset, tuple) else packed


def join_batch(joiner: Joiner, x: Any, number: int) -> dict[str, Any]:
    """Join one NumPy batch."""
    found, seeds = joiner.outputs(x, number)
    if joiner.make_view is not None:
        x = joiner.make_view(x, seeds)
    return _packed(joiner, keras.tree.map_structure(_fitting, x), found)


def _packed(joiner: Joiner, x: Any, outputs: dict[str, Any]) -> dict[str, Any]:
    """Pack a batch, or one example, with the name of its teacher."""
    empty = outputs["ids"][..., None][..., :0]
    return pack(x, outputs | {joiner.source: empty})


def _fitting(leaf: Any) -> Any:
    """Return an array as Keras fits it: text as a tensor, not as objects."""
    return tf.constant(leaf) if leaf.dtype.kind in "OSU" else leaf


def pipeline(
    joiner: Joiner, dataset: tf.data.Dataset, seed: int
) -> tf.data.Dataset:
    """Join a `tf.data.Dataset`, batched or not, inside its pipeline."""
    one = _is_single(joiner, _plain(dataset.element_spec))
    # The outputs of no examples have the structure, dtypes and shapes of a
    # batch's outputs.
    outputs = joiner.store.encoding.decode(
        np.empty(0, joiner.store.encoding.record)
    )
    outputs["ids"] = np.empty(0, np.int64)
    flat = keras.tree.flatten(outputs)
    in_graph = None
    if graph_lookup.fits(joiner.store):
        in_graph = graph_lookup.GraphLookup(
            joiner.store, lambda x: joiner.find(x)[1]
        )
    drawn = joiner.store.identity.views > 1
    augment = joiner.augment
    augmented = augment is not None
    types = [tf.int32] * augmented + [leaf.dtype for leaf in flat]

    def look_up(*arrays: np.ndarray) -> list[np.ndarray]:
        number, leaves = (arrays[0], arrays[1:]) if drawn else (0, arrays)
        batch = [leaf[None] for leaf in leaves] if one else list(leaves)
        found, seeds = joiner.outputs(batch, int(number))
        values = [seeds] * augmented + keras.tree.flatten(found)
        return [value[0] for value in values] if one else values

    def attach(element: Any, *number: Any) -> Any:
        x = inputs_of(element)
        leaves = keras.tree.flatten(x)
        if in_graph:
            values = keras.tree.flatten(
                in_graph([leaf[None] for leaf in leaves] if one else leaves)
            )
            values = [value[0] for value in values] if one else values
        else:
            values = tf.numpy_function(
                look_up, [*number, *leaves], types, stateful=False
            )
        batch = () if one else (leaves[0].shape[0],)
        if augment is not None:
            seeds, *values = values
            seeds.set_shape((*batch, 2))
            x = (
                augment(x, seeds)
                if one
                else views.augment_batch(augment, x, seeds)
            )
        for value, leaf in zip(values, flat, strict=True):
            value.set_shape((*batch, *leaf.shape[1:]))
        found = keras.tree.pack_sequence_as(outputs, values)
        packed = _packed(joiner, x, found)
        if isinstance(element, tuple):
            return (packed, *element[1:])
        return packed

    if drawn:
        # Each epoch draws new views.
        numbers = tf.data.Dataset.random(
            seed=seed, rerandomize_each_iteration=True
        )
        joined = tf.data.Dataset.zip((dataset, numbers)).map(attach)
    else:
        # `map` unpacks tuples, also those of one part.
        whole = isinstance(dataset.element_spec, tuple)
        joined = dataset.map(
            lambda *parts: attach(parts if whole else parts[0])
        )
    # No parallel look-ups: they would only wait for Python's lock.
    return joined if one else joined.prefetch(2)


class JoinedPyDataset(keras.utils.PyDataset):
    """A `PyDataset` whose batches are joined when they are read.

    Args:
        joiner: Looks up the stored outputs.
        dataset: The data set to join.
        seed: Seed of the choice of views.
    """

    def __init__(
        self, joiner: Joiner, dataset: keras.utils.PyDataset, seed: int
    ) -> None:
        super().__init__(
            workers=dataset.workers,
            use_multiprocessing=dataset.use_multiprocessing,
            max_queue_size=dataset.max_queue_size,
        )
        self._joiner = joiner
        self._dataset = dataset
        self._seed = seed
        self._epoch = 0

    @property
    def num_batches(self) -> int | None:
        """Number of batches of the original data set."""
        return self._dataset.num_batches

    def __getitem__(self, index: int) -> Any:
        batch = self._dataset[index]
        x = keras.tree.map_structure(np.asarray, _plain(batch))
        self._joiner.check(structure.describe(x))
        number = (self._seed * 1_000_003 + self._epoch) * 1_000_003 + index
        packed = join_batch(self._joiner, x, number % 2**63)
        return (packed, *batch[1:]) if isinstance(batch, tuple) else packed

    def on_epoch_begin(self) -> None:
        """Call the original data set's hook."""
        self._dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Call the original data set's hook; then draw new views."""
        self._dataset.on_epoch_end()
        self._epoch += 1


def _plain(element: Any) -> Any:
    """Return the `x` of an element, which must not be joined already."""
    x, outputs = unpack(inputs_of(element))
    if outputs is not None:
        joined = bool(set(outputs) & {"logits", "features"})
        raise ValueError(
            requirement(
                _SUBJECT,
                "dataset",
                "plain data",
                "joined data" if joined else "numbered data",
                "It is joined to a teacher's outputs already: join the data "
                "set that it was made from."
                if joined
                else "The join numbers the examples itself: leave out "
                "`number_examples`.",
            )
        )
    return x


def _is_single(joiner: Joiner, x_spec: Any) -> bool:
    """Tell from their rank whether elements are single examples."""
    specs = keras.tree.flatten(x_spec)
    if not all(isinstance(spec, tf.TensorSpec) for spec in specs):
        raise TypeError(
            requirement(_SUBJECT, "dataset", "made of dense tensors", x_spec)
        )
    mine = keras.tree.flatten(joiner.store.identity.example)
    one = bool(specs) and specs[0].shape.rank == len(mine[0].shape)
    joiner.check(
        [
            Leaf(
                tuple(spec.shape.as_list()[0 if one else 1 :]),
                structure.dtype_name(spec.dtype),
            )
            for spec in specs
        ]
    )
    return one
