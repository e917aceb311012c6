"""The manifest of a cache's part: a JSON file with a checksum."""

import json
import os
import re
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from pathlib import Path
from typing import Any

import xxhash

from keras_kd.core.errors import StaleCacheError
from keras_kd.core.files import write_bytes
from keras_kd.core.packed_inputs import SOURCE
from keras_kd.teachers.cache import structure

FORMAT = "keras_kd.TeacherCache"
VERSION = 1
DTYPES = ("float16", "float32")
_PART_NAME = re.compile(r"part-(\d{1,6})-of-(\d{1,6})\.json")


@dataclass(frozen=True)
class Identity:
    """What identifies a cache; all its parts and shards share it.

    Attributes:
        teacher: Fingerprint of the teacher; see `fingerprint`.
        example: Structure of `Leaf` of one example.
        outputs: Structure of `Leaf` of the outputs stored for one example
            and view; `None` until the first batch was run.
        dtype: `"float16"` or `"float32"`.
        top_k: Number of classes stored, or `None` for all.
        views: Augmented views of each example.
        seed: Seed of the augmentation.
        augment: Fingerprint of the augmentation, or `None`.
        teacher_input: Fingerprint of the function or key applied to x before
            the teacher, or `None`.
    """

    teacher: dict[str, Any]
    example: Any
    outputs: Any = None
    dtype: str = "float16"
    top_k: int | None = None
    views: int = 1
    seed: int = 0
    augment: str | None = None
    teacher_input: str | None = None

    def digest(self) -> bytes:
        """Return a hash of 16 bytes."""
        return xxhash.xxh3_128_digest(_render(self.to_json()))

    def source(self) -> str:
        """Return the name of the teacher that joined data carries.

        It does not depend on what is stored, nor on the examples: data may
        be joined to several caches of one teacher.
        """
        teacher = {k: v for k, v in self.teacher.items() if k != "layers"}
        content = _render([teacher, self.teacher_input])
        return SOURCE + xxhash.xxh3_128_hexdigest(content)

    def to_json(self) -> dict[str, Any]:
        """Return the attributes as JSON values."""
        content = dict(vars(self))
        content["example"] = structure.to_json(self.example)
        if self.outputs is not None:
            content["outputs"] = structure.to_json(self.outputs)
        return content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Identity":
        """Return the identity that `to_json` converted."""
        identity = cls(**content)
        counts = [identity.views, identity.seed, identity.top_k or 1]
        if identity.dtype not in DTYPES or {*map(type, counts)} != {int}:
            raise ValueError("dtype, views, seed or top_k are no such thing")
        outputs = content["outputs"]
        return replace(
            identity,
            example=structure.from_json(content["example"]),
            outputs=None if outputs is None else structure.from_json(outputs),
        )

    def differences(self, other: "Identity") -> list[str]:
        """List the differing attributes as `name: value, not other value`."""
        found = []
        for name, value in vars(self).items():
            others = getattr(other, name)
            if name == "outputs" and (value is None or others is None):
                continue
            if name == "teacher":
                found += teacher_differences(value, others)
            elif value != others:
                found.append(f"{name}: {_short(value)}, not {_short(others)}")
        return found


@dataclass(frozen=True)
class Shard:
    """One file of records.

    Attributes:
        name: File name inside the cache's folder.
        examples: Number of examples.
        size_bytes: Exact size of the file.
        key_hash: xxh3 of its header and keys.
        file_hash: xxh3 of the whole file.
    """

    name: str
    examples: int
    size_bytes: int
    key_hash: str
    file_hash: str


@dataclass(frozen=True)
class Manifest:
    """The shards of part `part[0]` of `part[1]`.

    Attributes:
        identity: Identity of the cache.
        part: Number of the part and number of parts.
        complete: Whether the builder saw the whole data set.
        shards: In the order they were written.
    """

    identity: Identity
    part: tuple[int, int] = (0, 1)
    complete: bool = False
    shards: list[Shard] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name of the manifest's file."""
        return f"{part_name(self.part)}.json"


def part_name(part: tuple[int, int]) -> str:
    """Return the prefix of the names of a part's files."""
    return f"part-{part[0]}-of-{part[1]}"


def part_of(path: Path) -> tuple[int, int] | None:
    """Read the part from a manifest's name, `None` for other files."""
    match = _PART_NAME.fullmatch(path.name)
    return (int(match[1]), int(match[2])) if match else None


def write(folder: Path, manifest: Manifest) -> None:
    """Write a manifest atomically."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "identity": manifest.identity.to_json(),
        "part": list(manifest.part),
        "complete": manifest.complete,
        "shards": [asdict(shard) for shard in manifest.shards],
    }
    write_bytes(folder / manifest.name, _signed(content))


def read(path: str | os.PathLike[str]) -> Manifest:
    """Read a manifest and check every byte of it.

    Raises:
        StaleCacheError: If it is damaged, not a manifest, or was written by
            a newer version.
    """
    file = Path(path)
    raw = file.read_bytes()
    try:
        content = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _damaged(file, "it is not JSON") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise _damaged(file, "it is not the manifest of a teacher cache")
    version = content.get("version")
    if type(version) is int and version > VERSION:
        raise StaleCacheError(
            f"`{file}` is of version {version}, newer than {VERSION}, the "
            "newest that this keras_kd reads. Upgrade keras_kd."
        )
    content.pop("checksum", None)
    if raw != _signed(content):
        raise _damaged(file, "its checksum does not match")
    try:
        manifest = _parse(content)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(file, str(error)) from error
    if file.name != manifest.name:
        raise _damaged(file, f"it is `{manifest.name}` under another name")
    return manifest


def teacher_differences(
    mine: dict[str, Any], other: dict[str, Any]
) -> list[str]:
    """List what differs between two fingerprints of teachers."""
    alike = mine.get("kind") == other.get("kind")
    names = sorted({*mine, *other}) if alike else ["kind"]
    return [
        f"the teacher's {name}: {_short(mine.get(name))}, not "
        f"{_short(other.get(name))}"
        for name in names
        if mine.get(name) != other.get(name)
    ]


def _parse(content: dict[str, Any]) -> Manifest:
    part = tuple(content["part"])
    if [type(number) for number in part] != [int, int]:
        raise ValueError("`part` is not two numbers")
    if type(content["complete"]) is not bool:
        raise ValueError("`complete` is neither true nor false")
    shards = []
    for number, entry in enumerate(content["shards"]):
        shard = Shard(**entry)
        # No other name is allowed: a path could lead out of the folder.
        if shard.name != shard_name((part[0], part[1]), number):
            raise ValueError(f"`{shard.name}` is not the name of its shard")
        sizes = shard.examples, shard.size_bytes
        if any(type(size) is not int or size < 1 for size in sizes):
            raise ValueError(f"`{shard.name}` has no size")
        shards.append(shard)
    return Manifest(
        Identity.from_json(content["identity"]),
        (part[0], part[1]),
        content["complete"],
        shards,
    )


def shard_name(part: tuple[int, int], number: int) -> str:
    """Return the file name of a part's shard."""
    return f"{part_name(part)}-{number:05d}.shard"


def _signed(content: dict[str, Any]) -> bytes:
    checksum = xxhash.xxh3_128_hexdigest(_render(content))
    text = json.dumps(
        content | {"checksum": checksum}, indent=1, sort_keys=True
    )
    return f"{text}\n".encode()


def _render(content: Any) -> bytes:
    return json.dumps(content, sort_keys=True).encode()


def _damaged(file: Path, reason: str) -> StaleCacheError:
    return StaleCacheError(
        f"The teacher cache's manifest `{file}` is damaged: {reason}. Delete "
        "the folder and build the cache again."
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
