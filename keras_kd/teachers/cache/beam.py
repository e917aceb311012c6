"""Builds a cache with Apache Beam, for data sets too big for one machine."""

import json
import os
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement
from keras_kd.core.imports import optional
from keras_kd.teachers.cache import hashing
from keras_kd.teachers.cache import structure
from keras_kd.teachers.cache import teacher_runner
from keras_kd.teachers.cache import views
from keras_kd.teachers.cache.builder import inputs_of
from keras_kd.teachers.cache.manifest import Identity
from keras_kd.teachers.cache.settings import Settings
from keras_kd.teachers.cache.writer import PartWriter

_SUBJECT = "BuildTeacherCache"
try:
    beam: Any = optional("apache_beam", "beam", f"`{_SUBJECT}`")
except ImportError:  # raised when a transform is made
    beam = None
DoFn: Any = getattr(beam, "DoFn", object)
PTransform: Any = getattr(beam, "PTransform", object)

Outputs = tuple[np.ndarray, list[dict[str, Any]]]


class BuildTeacherCache(PTransform):
    """A Beam transform from examples to a teacher cache, on any runner.

    Choose it for data sets that one machine cannot process;
    `TeacherCache.build` is simpler, and `shard=(i, n)` divides it among a few
    machines. Each worker loads the teacher once and runs it on batches; the
    outputs are grouped by part, and each part has one writer. The files are
    those of `TeacherCache.build`, up to the order of the examples. Run the
    pipeline again after a failure: finished shards are kept.

    Args:
        path: Folder of the cache, at the same path on every worker: a shared
            or mounted file system that can rename and lock files.
        make_teacher: A function without arguments that loads the teacher: a
            Keras model, an `Ensemble`, or a function from a batch to
            outputs. It is called once at construction, to check the teacher,
            and once on every worker.
        num_parts: Number of parts; one worker writes each. Defaults to 1.
        batch_size: Examples per teacher batch. Defaults to 64.
        top_k, dtype, layers, views, augment, seed, shard_size,
            teacher_output, teacher_input, teacher_id: As in
            `TeacherCache.build`.

    Shapes:
        Input: a bounded `PCollection` of examples, without a batch axis: `x`
        as the student's data has it (NumPy, or a dict or list of arrays), or
        a tuple whose first element is `x`.

    Returns:
        A `PCollection` of `(part, number of its examples)`.

    Raises:
        ImportError: If Apache Beam is not installed.
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range, or the teacher does not
            fit; when the pipeline runs, if examples differ in shape or
            dtype.

    Example:
    >>> import apache_beam as beam  # doctest: +SKIP
    >>> import numpy as np
    >>> import keras_kd
    >>> from keras_kd.teachers.cache.beam import BuildTeacherCache
    >>> with beam.Pipeline() as pipeline:  # doctest: +SKIP
    ...     pipeline | beam.Create(list(np.eye(6, 4))) | BuildTeacherCache(
    ...         "cache/", lambda: keras_kd.teachers.load("teacher.keras"))
    >>> len(keras_kd.TeacherCache.open("cache/"))  # doctest: +SKIP
    5
    """

    def __init__(  # noqa: PLR0913 - the arguments of TeacherCache.build
        self,
        path: str | os.PathLike[str],
        make_teacher: Callable[[], Any],
        *,
        num_parts: int = 1,
        batch_size: int = 64,
        top_k: int | None = None,
        dtype: str = "float16",
        layers: Iterable[str] = (),
        views: int = 1,
        augment: views.Augment | None = None,
        seed: int = 0,
        shard_size: int | None = None,
        teacher_output: Any = None,
        teacher_input: Any = None,
        teacher_id: str | None = None,
    ) -> None:
        optional("apache_beam", "beam", f"`{_SUBJECT}`")
        super().__init__()
        check_integer(_SUBJECT, "num_parts", num_parts, low=1)
        if not callable(make_teacher) or isinstance(make_teacher, keras.Model):
            raise TypeError(
                requirement(
                    _SUBJECT,
                    "make_teacher",
                    "a function that loads the teacher",
                    make_teacher,
                    "For example `lambda: keras_kd.teachers.load(path)`.",
                )
            )
        self._path = os.path.abspath(path)
        self._num_parts = num_parts
        self._make_teacher = make_teacher
        self._settings = Settings(
            top_k=top_k,
            dtype=dtype,
            layers=(layers,) if isinstance(layers, str) else tuple(layers),
            views=views,
            augment=augment,
            seed=seed,
            batch_size=batch_size,
            shard=(0, num_parts),
            shard_size=shard_size,
            teacher_output=teacher_output,
            teacher_input=teacher_input,
            teacher_id=teacher_id,
        )
        teacher = make_teacher()
        _, kinds = _runner(teacher, self._settings)
        self._settings.check_teacher(teacher)
        self._identity = self._settings.identity(teacher, kinds, example=None)

    def expand(self, examples: Any) -> Any:
        """Add the steps to a pipeline."""
        size = self._settings.batch_size
        batches = (
            examples
            | "Batch" >> beam.BatchElements(size, size)
            | "Stack" >> beam.Map(_stack)
        )
        # The shapes and dtypes of examples, for every part's manifest.
        kinds = batches | beam.Map(_kind) | "Kinds" >> beam.Distinct()
        outputs = batches | "Run the teacher" >> beam.ParDo(
            _RunTeacher(self._make_teacher, self._settings)
        )
        # Write parts without examples as well.
        parts = examples.pipeline | beam.Create(
            [(number, None) for number in range(self._num_parts)]
        )
        return (
            (outputs, parts)
            | beam.Flatten()
            | beam.GroupByKey()
            | "Write"
            >> beam.ParDo(
                _WritePart(self._path, self._identity, self._settings),
                beam.pvalue.AsList(kinds),
            )
        )


class _RunTeacher(DoFn):
    """Runs the teacher on a batch and splits the outputs by part."""

    def __init__(
        self, make_teacher: Callable[[], Any], settings: Settings
    ) -> None:
        self._make_teacher = make_teacher
        self._settings = settings

    def setup(self) -> None:
        """Load the teacher, once per worker."""
        settings = self._settings
        self._run, _ = _runner(self._make_teacher(), settings)
        self._make_view = (
            views.maker(settings.augment) if settings.augment else None
        )

    def process(self, x: Any) -> Iterator[tuple[int, Outputs]]:
        """Yield each part with the keys of its examples and their outputs."""
        keys = hashing.keys(x)
        seen = [self._run(view) for view in self._views(keys, x)]
        parts = hashing.parts(keys, self._settings.shard[1])
        for part in np.unique(parts).tolist():
            rows = np.flatnonzero(parts == part)
            yield part, (keys[rows], _rows(seen, rows))

    def _views(self, keys: np.ndarray, x: Any) -> Iterator[Any]:
        if self._make_view is None:
            yield x
            return
        for view in range(self._settings.views):
            numbers = np.full(len(keys), view)
            seeds = views.seeds(self._settings.seed, keys, numbers)
            yield self._make_view(x, seeds)


class _WritePart(DoFn):
    """Writes the files of a part from all its outputs."""

    def __init__(
        self, path: str, identity: Identity, settings: Settings
    ) -> None:
        self._path = path
        self._identity = identity
        self._settings = settings

    def process(
        self,
        element: tuple[int, Iterable[Outputs | None]],
        kinds: list[str],
    ) -> Iterator[tuple[int, int]]:
        """Write one part, keeping the shards that an earlier run wrote."""
        number, groups = element
        examples = [structure.from_json(json.loads(kind)) for kind in kinds]
        if len(examples) != 1:
            shown = " and ".join(sorted(map(structure.show, examples)))
            raise ValueError(
                f"`{_SUBJECT}` needs examples of one shape and type. "
                f"Received: {shown or 'no example'}. Pad, crop or convert "
                "them before."
            )
        with PartWriter(
            self._path,
            replace(self._identity, example=examples[0]),
            (number, self._settings.shard[1]),
            self._settings.shard_size,
        ) as writer:
            for keys, seen in filter(None, groups):
                rows = writer.claim(keys)
                if len(rows):
                    writer.append(keys[rows], _rows(seen, rows))
            writer.finish()
            yield number, len(writer)


def _runner(
    teacher: Any, settings: Settings
) -> tuple[teacher_runner.Run, list[str | None]]:
    return teacher_runner.make(
        teacher,
        settings.layers,
        settings.teacher_output,
        settings.teacher_input,
    )


def _stack(elements: list[Any]) -> Any:
    examples = [inputs_of(element) for element in elements]
    return keras.tree.map_structure(lambda *leaves: np.stack(leaves), *examples)


def _kind(x: Any) -> str:
    """Return the shapes and dtypes of a batch's examples as text."""
    return json.dumps(structure.to_json(structure.describe(x)), sort_keys=True)


def _rows(outputs: Any, rows: np.ndarray) -> Any:
    return keras.tree.map_structure(lambda leaf: leaf[rows], outputs)
