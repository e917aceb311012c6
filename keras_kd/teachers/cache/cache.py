"""The teacher cache: built once, joined to any data set."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from keras_kd.core.checks import requirement
from keras_kd.core.errors import StaleCacheError
from keras_kd.core.output_kinds import output_keys
from keras_kd.core.taps import Tapped
from keras_kd.teachers.cache import builder
from keras_kd.teachers.cache import fingerprint
from keras_kd.teachers.cache import join
from keras_kd.teachers.cache.manifest import teacher_differences
from keras_kd.teachers.cache.settings import Settings
from keras_kd.teachers.cache.store import Store
from keras_kd.teachers.cache.store import symbolic
from keras_kd.teachers.cache.views import Augment

_READ = ("layers", "output")  # entries that do not identify the teacher


class TeacherCache:
    """A teacher's outputs, computed once and found by example content.

    Choose it if a student trains for more than an epoch or two: an epoch
    then costs no forward pass of the teacher. `TeacherCache.build` and
    `open` return one. Give it to a `Distiller` as the teacher, and train on
    `cache.join(dataset)`.

    The data may be shuffled, repeated, filtered or re-batched, before or
    after the join: an example is found by a 128-bit hash of its bytes. With
    another dtype, scale or padding it is another example, and an example
    that is not stored is an error.

    A record for each example and view stores:

    - dense logits in float32: exact. In float16: the difference to the row's
      maximum, and the maximum in float32; a logit that is `d` below the
      maximum is off by at most `d / 2048 + 3e-8`.
    - `top_k`: the k largest log-probabilities, their classes (2 bytes, 4
      above 65,536 classes) and the logarithm of the mass `r` of the other
      classes: 4 + 4k bytes. The training step gives each other class
      `log(r / (classes - k))`. At temperature 1 the k probabilities are
      exact and the others right on average; at a temperature T above 1 the
      evenly spread mass, `(classes - k) ** (1 - 1 / T) * r ** (1 / T)`
      before normalization, is larger than the true mass. Losses of raw
      logits, such as `LogitsMSE`, see log-probabilities.

    For part i of n the folder holds `part-i-of-n.json` (a manifest with
    checksums) and shards of records, which are written atomically: a killed
    build can be resumed. xxh3 checksums detect damage, not malice.

    Attributes:
        path: The folder.
        spec: Symbolic float32 outputs of a batch, as `Tapped`.
        kind_by_key: What each output is, by its name or index, if it is not
            the logits of classes.
        source: Name of the teacher in joined data.

    Args:
        path: The folder of a cache.
        augment: The augmentation the cache was built with, if any.
        partial: Whether parts may be missing.

    Raises:
        FileNotFoundError: If there is no cache.
        StaleCacheError: If it is damaged or has another augmentation.

    Example:
    >>> import tempfile
    >>> import numpy as np
    >>> import keras_kd
    >>> x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    >>> teacher = keras_kd.students.mlp((4,), 3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = keras_kd.TeacherCache.build(
    ...         folder, teacher, x, dtype="float32", verbose=0)
    ...     shuffled = cache.join(x[::-1])
    >>> stored = shuffled["keras_kd_teacher"]["logits"]
    >>> live = teacher.predict(x[::-1], verbose=0)
    >>> len(cache), bool(abs(stored - live).max() < 1e-6)
    (6, True)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        augment: Augment | None = None,
        *,
        partial: bool = False,
    ) -> None:
        self.path = Path(path)
        self._store = Store(path, partial=partial)
        self._augment = augment
        identity = self._store.identity
        made = fingerprint.of_function(augment)
        if augment is not None and made != identity.augment:
            raise StaleCacheError(
                f"The teacher cache `{self.path}` was built with another "
                f"`augment`: {identity.augment}. Received: {made}. Its source "
                "changed; give the former function, or build again."
            )
        logits = symbolic(identity.outputs, "logits")
        features = symbolic(identity.outputs, "features") or {}
        self.spec = Tapped(logits, logits, features)
        self.source = identity.source()
        kinds = identity.teacher.get("kinds", [])
        # Unknown kinds are those of classes.
        self.kind_by_key = dict(zip(output_keys(logits), kinds, strict=False))

    @classmethod
    def build(  # noqa: PLR0913 - the public contract
        cls,
        path: str | os.PathLike[str],
        teacher: Any,
        dataset: Any,
        *,
        top_k: int | None = None,
        dtype: str = "float16",
        layers: Iterable[str] = (),
        views: int = 1,
        augment: Augment | None = None,
        seed: int = 0,
        batch_size: int | None = None,
        shard: tuple[int, int] = (0, 1),
        shard_size: int | None = None,
        teacher_output: Any = None,
        teacher_input: Any = None,
        teacher_id: str | None = None,
        verbose: str | int = "auto",
    ) -> "TeacherCache":
        """Run the teacher over a data set once and store its outputs.

        A killed build resumes when it is run again. A build on more data
        adds the new examples. Equal examples are stored once.

        Args:
            path: Folder of the cache; created if it does not exist.
            teacher: A built `keras.Model`, a `keras_kd.teachers.Ensemble`, or
                any function from a batch of NumPy inputs to outputs.
            dataset: What `fit` takes: a `tf.data.Dataset`, batched or not, a
                `PyDataset`, or arrays. Labels are not read. The data set
                must be batched if the teacher is not a Keras model or
                `teacher_input` is a function.
            top_k: Store the k most likely classes. Defaults to all.
            dtype: `"float16"` or `"float32"`.
            layers: Layers whose outputs are stored too, for hint losses. A
                function returns them in a dict, besides `"logits"`.
            views: Augmented views of each example, at least 1.
            augment: `augment(x, seed)` for one unbatched example and a seed
                of two int32, made of TensorFlow operations.
            seed: Seed of the augmentation.
            batch_size: Examples per teacher batch. Defaults to the data
                set's batch size, or 64 if it has none.
            shard: `(i, n)`: build part i of n, each in its own process.
            shard_size: Examples per file. Defaults to 16,384, or as many as
                fit into 64 MiB.
            teacher_output: `"logits"`, `"probabilities"`, `"binary_logits"`,
                `"binary_probabilities"`, `"numbers"` or `"embedding"`, if
                neither a model's layers nor its loss tell; required for a
                function.
            teacher_input: Applied to x before the teacher: a function, or a
                key of a dict x.
            teacher_id: A name that identifies the teacher, instead of a hash
                of its weights; required for a function.
            verbose: 0 for silence; otherwise progress on standard error.

        Returns:
            The opened cache; parts that are not built yet are missing.

        Raises:
            OSError: If the folder cannot be written to or the disk is full;
                finished shards are kept.
            RuntimeError: If another builder is working on this part.
            StaleCacheError: If the folder holds a cache of something else.
            TypeError: If an argument has the wrong type.
            ValueError: If an argument is out of range, or the teacher's
                outputs are of unknown kind, not finite, too large for
                float16, or not the probabilities that a function's
                `teacher_output` says.
        """
        settings = Settings(
            top_k=top_k,
            dtype=dtype,
            layers=(layers,) if isinstance(layers, str) else tuple(layers),
            views=views,
            augment=augment,
            seed=seed,
            batch_size=batch_size,
            shard=shard,
            shard_size=shard_size,
            teacher_output=teacher_output,
            teacher_input=teacher_input,
            teacher_id=teacher_id,
        )
        builder.build(path, teacher, dataset, settings, verbose)
        return cls(path, augment, partial=True)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        teacher: Any = None,
        augment: Augment | None = None,
    ) -> "TeacherCache":
        """Open a cache: check its manifests, shard sizes and keys.

        Stored outputs are checked when they are first read, see `join`.

        Args:
            path: Folder of the cache.
            teacher: A model, an ensemble, or a `teacher_id`. If given, the
                cache must be of this teacher.
            augment: The augmentation the cache was built with, if any.

        Raises:
            FileNotFoundError: If there is no cache.
            StaleCacheError: If a manifest, a size or keys are damaged, or it
                lacks parts, has another teacher or augmentation, or was
                written by a newer version.
        """
        cache = cls(path, augment)
        if teacher is not None:
            cache._check_teacher(teacher)
        return cache

    def join(self, dataset: Any, *, seed: int = 0) -> Any:
        """Add the stored outputs to the inputs of a data set.

        A `tf.data.Dataset` is joined while it runs, two batches ahead; batch
        it before the join. If all outputs take at most 64 MiB in float32,
        they are held in memory, and an example that was found once is found
        again without Python. This does not apply to text, nor to a cache
        with `augment` or several views. With several views, each epoch draws
        one view of each example at random, and the student sees that view.

        The checksum of each file of the cache is compared once, when an
        output in it is first read: here for arrays and for what is held in
        memory, otherwise while the data runs.

        Args:
            dataset: A `tf.data.Dataset`, batched or not, a `PyDataset`, or
                arrays: `x`, `(x, y)` or `(x, y, sample_weight)`.
            seed: Seed of the choice of views.

        Returns:
            The same kind of data set, with joined `x` and unchanged labels
            and weights. For arrays all logits are held in memory.

        Raises:
            TypeError: If `dataset` is none of these.
            StaleCacheError: If a file of the cache is damaged or changed
                after opening; on reading, if it is found then.
            ValueError: If its examples differ in shape or dtype from the
                cache's; on reading, if an example is not stored.
        """
        if self._store.identity.augment and self._augment is None:
            raise ValueError(
                requirement(
                    "TeacherCache.open",
                    "augment",
                    "the function the cache was built with",
                    None,
                    "The join applies it to what the student sees.",
                )
            )
        joiner = join.Joiner(self._store, self._augment)
        if isinstance(dataset, tf.data.Dataset):
            return join.pipeline(joiner, dataset, seed)
        if isinstance(dataset, keras.utils.PyDataset):
            return join.JoinedPyDataset(joiner, dataset, seed)
        return join.arrays(joiner, dataset, seed)

    def verify(self) -> None:
        """Read every byte again and compare all checksums at once.

        Raises:
            StaleCacheError: Names the shards that are damaged.
        """
        self._store.verify()

    def info(self) -> dict[str, Any]:
        """Return a summary of the cache, as JSON values."""
        store = self._store
        return {
            "examples": len(store),
            "complete": store.complete,
            "parts": len(store.manifests),
            "shards": sum(len(m.shards) for m in store.manifests),
            "size_bytes": store.size_bytes,
            "bytes_per_example": store.size_bytes / max(len(store), 1),
            **store.identity.to_json(),
        }

    def __len__(self) -> int:
        """Number of stored examples."""
        return len(self._store)

    def __repr__(self) -> str:
        return f"<TeacherCache {self.path}: {len(self):,} examples>"

    def __reduce__(self) -> Any:
        return type(self), (self.path, self._augment)

    def _check_teacher(self, teacher: Any) -> None:
        is_name = isinstance(teacher, str)
        wanted = fingerprint.of_teacher(
            None if is_name else teacher, teacher if is_name else None
        )
        stored = self._store.identity.teacher
        mine = {k: v for k, v in stored.items() if k not in _READ}
        differences = teacher_differences(mine, wanted)
        if differences:
            raise StaleCacheError(
                f"The teacher cache `{self.path}` is of another teacher: "
                f"{'; '.join(differences)}. Build again in another folder, or "
                "open it with the teacher it was built with."
            )
