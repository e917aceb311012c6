"""The settings of a build, checked before anything runs."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import keras

from keras_kd.core.checks import check_choice
from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement
from keras_kd.core.output_kinds import is_classes
from keras_kd.teachers.cache import fingerprint
from keras_kd.teachers.cache.manifest import DTYPES
from keras_kd.teachers.cache.manifest import Identity
from keras_kd.teachers.cache.views import Augment
from keras_kd.teachers.cache.writer import check_part

_SUBJECT = "TeacherCache.build"


@dataclass(frozen=True)
class Settings:
    """The arguments of `TeacherCache.build`, which documents them in full.

    Attributes:
        top_k: Number of classes stored, or `None` for all.
        dtype: `"float16"` or `"float32"`.
        layers: Layers stored besides the logits.
        views: Augmented views of each example.
        augment: `augment(x, seed)`, or `None`.
        seed: Seed of the augmentation.
        batch_size: Examples per teacher batch.
        shard: Number of this part and number of parts.
        shard_size: Examples per file.
        teacher_output: The kind of the teacher's outputs.
        teacher_input: Function or key applied to x before the teacher.
        teacher_id: A name that identifies the teacher.

    Raises:
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range.
    """

    top_k: int | None
    dtype: str
    layers: tuple[str, ...]
    views: int
    augment: Augment | None
    seed: int
    batch_size: int | None
    shard: tuple[int, int]
    shard_size: int | None
    teacher_output: Any
    teacher_input: Any
    teacher_id: str | None

    def __post_init__(self) -> None:
        check_choice(_SUBJECT, "dtype", self.dtype, DTYPES)
        check_integer(_SUBJECT, "views", self.views, low=1)
        check_integer(_SUBJECT, "seed", self.seed, low=0)
        for name in ("top_k", "batch_size", "shard_size"):
            if getattr(self, name) is not None:
                check_integer(_SUBJECT, name, getattr(self, name), low=1)
        check_part(self.shard)
        if self.augment is not None and not callable(self.augment):
            raise TypeError(
                requirement(
                    _SUBJECT, "augment", "a function (x, seed)", self.augment
                )
            )
        if self.augment is None and self.views > 1:
            raise ValueError(
                requirement(
                    _SUBJECT,
                    "views",
                    "1 without `augment`",
                    self.views,
                    "Give `augment=`, a function of one example and a seed.",
                )
            )

    def _check_top_k(self, kinds: Iterable[str | None]) -> None:
        other = [kind for kind in kinds if kind and not is_classes(kind)]
        if self.top_k is not None and other:
            raise ValueError(
                requirement(
                    _SUBJECT,
                    "top_k",
                    f"None for a teacher that returns {other[0]}",
                    self.top_k,
                    "Only classes have likeliest ones.",
                )
            )

    def check_teacher(self, teacher: Any) -> None:
        """Check at once what a function needs: it tells nothing by itself.

        Raises:
            ValueError: If both its kind of output and its name are missing.
        """
        known = isinstance(teacher, keras.Model) or hasattr(teacher, "bind")
        told = self.teacher_output is not None or self.teacher_id is not None
        if callable(teacher) and not known and not told:
            raise ValueError(
                f"`{_SUBJECT}` needs `teacher_output` and `teacher_id` for a "
                "teacher that is not a Keras model: what it returns, and a "
                "name that changes when the teacher does. Received: "
                "teacher_output=None, teacher_id=None. Use for example "
                'teacher_output="logits", teacher_id="resnet50-2026-01".'
            )

    def identity(
        self, teacher: Any, kinds: list[str | None], example: Any
    ) -> Identity:
        """Return the identity of the cache that these settings build.

        Args:
            teacher: The teacher, of any kind.
            kinds: What each of its outputs is.
            example: Structure of `Leaf` of one example.

        Raises:
            ValueError: If a function has no `teacher_id`.
        """
        extra = {
            "layers": sorted(self.layers),
            # JSON turns tuples into lists; so does the stored identity.
            "output": json.loads(json.dumps(self.teacher_output)),
        }
        self._check_top_k(kinds)
        # Caches of classes are the same in version 0.1.0.
        if set(kinds) - {None, "logits", "probabilities"}:
            extra["kinds"] = kinds
        return Identity(
            teacher=fingerprint.of_teacher(teacher, self.teacher_id) | extra,
            example=example,
            dtype=self.dtype,
            top_k=self.top_k,
            views=self.views,
            seed=self.seed,
            augment=fingerprint.of_function(self.augment),
            teacher_input=fingerprint.of_function(self.teacher_input),
        )
