"""Folders of images, recordings or texts with a folder a class."""

import os
from collections import Counter
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import xxhash

from keras_kd.core.checks import requirement
from keras_kd.core.words import counted
from keras_kd.data.sources.formats import FORMATS
from keras_kd.data.sources.formats import Format
from keras_kd.data.sources.source import Part
from keras_kd.data.sources.source import Source
from keras_kd.data.sources.source import listed

# What a folder above the classes may be called.
PART_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_KIND_OF_SUFFIX = {
    suffix: kind for kind, form in FORMATS.items() for suffix in form.suffixes
}


class _File(NamedTuple):
    path: Path
    part: str
    label: int


class _Looked(NamedTuple):
    """What reading a file once showed: a hash and facts, or an error."""

    digest: int = 0
    facts: Any = None
    error: str = ""


def read_folder(path: Path, kind: str | None) -> Source:
    """Look at every file of a folder once.

    Args:
        path: The folder: a folder a class, or `train`, `validation` and
            `test` with a folder a class in each.
        kind: One of `FORMATS`, or `None` for the kind of most files.

    Raises:
        ValueError: If it has no folders, or no files that can be read.
    """
    parts = _parts(path)
    classes = {part: _folders(folder) for part, folder in parts.items()}
    if not classes["train"]:
        raise _refused(path, _found_instead(parts["train"]))
    names = tuple(folder.name for folder in classes["train"])
    found = {
        (part, folder.name): list(_files(folder))
        for part, folders in classes.items()
        for folder in folders
    }
    suffixes = Counter(
        file.suffix.lower() for files in found.values() for file in files
    )
    kind = kind or _most_frequent_kind(path, suffixes)
    form = FORMATS[kind]
    problems = []
    files = []
    for (part, name), paths in found.items():
        shown = name if len(parts) == 1 else f"{parts[part].name}/{name}"
        mine = [p for p in paths if p.suffix.lower() in form.suffixes]
        if not mine:
            problems.append(f"the class folder {shown}/ has no {form.plural}")
        elif name not in names:
            problems.append(f"{shown}/ is no class of the training part")
        else:
            files += [_File(p, part, names.index(name)) for p in mine]
    looked = _look(files, form)
    unreadable = [
        f"{file.path.relative_to(path)} ({look.error})"
        for file, look in zip(files, looked, strict=True)
        if look.error
    ]
    if unreadable:
        problems.append(
            f"{counted(len(unreadable), 'unreadable file')}: "
            f"{listed(unreadable)}"
        )
    good = [i for i, look in enumerate(looked) if not look.error]
    files, looked = [files[i] for i in good], [looked[i] for i in good]
    facts = form.summarize([look.facts for look in looked])
    return Source(
        name=str(path),
        kind=kind,
        parts={
            part: _part(path, part, files, looked, facts.decode)
            for part in parts
            if any(file.part == part for file in files)
        },
        class_names=names,
        shape=facts.shape,
        sizes=facts.sizes,
        range=(255.0, 0.0) if kind == "images" else None,
        scale="0..1" if kind == "images" else None,
        item_bytes=facts.item_bytes,
        notes=[*facts.notes, *_left_out(suffixes, form)],
        problems=problems,
    )


def _parts(path: Path) -> dict[str, Path]:
    """Return the folder of each part."""
    folders = _folders(path)
    parts = {folder.name.lower(): folder for folder in folders}
    if not any(PART_NAMES.get(name) == "train" for name in parts):
        return {"train": path}
    others = [name for name in parts if name not in PART_NAMES]
    named = [PART_NAMES[name] for name in parts if name in PART_NAMES]
    if others or len(set(named)) < len(named):
        raise ValueError(
            requirement(
                "load",
                "source",
                "a folder of classes, or one of `train`, `validation` and "
                "`test`",
                str(path),
                f"It has {listed(sorted(parts))}. Move what is no part out "
                "of it, and keep one folder a part.",
            )
        )
    found = {PART_NAMES[name]: folder for name, folder in parts.items()}
    return {part: found[part] for part in sorted(found)}


def _folders(path: Path) -> list[Path]:
    return sorted(
        child
        for child in path.iterdir()
        if child.is_dir() and not child.name.startswith((".", "__"))
    )


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and below it, sorted."""
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(place, name)


def _most_frequent_kind(path: Path, suffixes: Counter[str]) -> str:
    kinds: Counter[str] = Counter()
    for suffix, count in suffixes.items():
        if suffix in _KIND_OF_SUFFIX:
            kinds[_KIND_OF_SUFFIX[suffix]] += count
    if not kinds:
        have = listed(sorted(suffixes)) or "no files"
        raise _refused(path, f"The folders in it hold {have}.")
    return kinds.most_common(1)[0][0]


def _left_out(suffixes: Counter[str], form: Format) -> list[str]:
    others = {s or "no suffix": n for s, n in suffixes.items()}
    for suffix in form.suffixes:
        others.pop(suffix, None)
    if not others:
        return []
    shown = listed(f"{n} {suffix}" for suffix, n in sorted(others.items()))
    return [
        f"Files of other kinds are not read: {shown}. Only "
        f"{listed(form.suffixes)} are."
    ]


def _look(files: list[_File], form: Format) -> list[_Looked]:
    """Read and decode every file once, on all cores."""

    def look(file: _File) -> _Looked:
        try:
            content = file.path.read_bytes()
            with tf.device("CPU:0"):
                facts = form.look(content)
        except (OSError, ValueError, tf.errors.OpError) as error:
            return _Looked(error=_reason(error))
        return _Looked(xxhash.xxh3_64_intdigest(content), facts)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(look, files))


def _reason(error: Exception) -> str:
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    # TensorFlow puts the operation and the device around its own words.
    text = text.rpartition("}} ")[2].partition(" [Op:")[0]
    return text.splitlines()[0][:80].rstrip(".")


def _part(
    root: Path,
    part: str,
    files: list[_File],
    looked: list[_Looked],
    decode: Callable[[Any], Any],
) -> Part:
    mine = [i for i, file in enumerate(files) if file.part == part]
    paths = np.array([str(files[i].path) for i in mine])
    labels = np.array([files[i].label for i in mine], np.int32)

    def read(rows: np.ndarray, seed: int | None) -> tf.data.Dataset:
        pairs = tf.data.Dataset.from_tensor_slices((paths[rows], labels[rows]))
        if seed is not None:  # paths are small: all of them are shuffled
            pairs = pairs.shuffle(len(rows), seed=seed)
        return pairs.map(
            lambda path, label: (decode(tf.io.read_file(path)), label),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )

    return Part(
        count=len(mine),
        read=read,
        labels=labels,
        names=lambda row: os.path.relpath(paths[row], root),
        hashes=np.array([looked[i].digest for i in mine], np.uint64),
    )


def _found_instead(path: Path) -> str:
    count = sum(1 for _ in _files(path))
    return f"It has {counted(count, 'file')} and no folders."


def _refused(path: Path, received: str) -> ValueError:
    known = "; ".join(
        f"{form.plural}: {', '.join(form.suffixes)}"
        for form in FORMATS.values()
    )
    return ValueError(
        requirement(
            "load",
            "source",
            f"a folder with a folder a class and files in each ({known})",
            str(path),
            received,
        )
    )
