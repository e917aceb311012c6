"""Tables: `.csv` and `.jsonl` with a label, and a text or numbers."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from keras_kd.core.checks import nearest
from keras_kd.core.checks import requirement
from keras_kd.core.words import counted
from keras_kd.data.sources.arrays import array_part
from keras_kd.data.sources.arrays import bad_rows
from keras_kd.data.sources.arrays import labels_of
from keras_kd.data.sources.arrays import mean_bytes
from keras_kd.data.sources.source import Source
from keras_kd.data.sources.source import listed

SUFFIXES = (".csv", ".jsonl")
_LABELS = ("label", "class", "target", "category", "y", "intent", "species")
_TEXTS = ("text", "sentence", "review", "utterance", "content", "message")


def read_table(path: Path, kind: str | None, label: str | None) -> Source:
    """Read a table of texts or numbers.

    Args:
        path: A `.csv` file with a header, or a `.jsonl` file of objects.
        kind: `"text"` or `"numbers"`; `None` finds it.
        label: Name of the column of the labels; `None` finds it.

    Raises:
        ValueError: If it is empty, or its columns do not tell.
    """
    columns = _columns(path)
    label = _label_column(path, columns, label)
    numbers = {
        name: values
        for name, column in columns.items()
        if name != label and (values := _numbers(column)) is not None
    }
    texts = [name for name in columns if name not in (*numbers, label)]
    if kind is None:
        kind = "text" if texts else "numbers"
    x: Any
    if kind == "text":
        name = _text_column(path, texts, [n for n in columns if n != label])
        x = np.array([str(text or "") for text in columns[name]], object)
        notes = [f"Texts are in the column {name!r}, labels in {label!r}."]
        shape: tuple[int, ...] = ()
    else:
        if texts:
            raise _unfit(
                path,
                f"The columns {listed(texts)} hold no numbers. Remove or "
                "encode them, or say kind='text'.",
            )
        if not numbers:
            raise _unfit(path, f"It has no column but {label!r}.")
        x = np.stack(list(numbers.values()), axis=1)
        notes = [f"Labels are in the column {label!r}."]
        shape = x.shape[1:]
    y = np.array(["" if v is None else str(v) for v in columns[label]])
    missing = [f"row {i + 1}" for i, text in enumerate(y) if not text]
    problems = bad_rows(x)
    if missing:
        problems.append(
            f"{counted(len(missing), 'missing label')}: {listed(missing)}"
        )
    (labels,), names = labels_of([y])
    return Source(
        name=str(path),
        kind=kind,
        parts={"train": array_part(x, labels)},
        class_names=names,
        shape=shape,
        item_bytes=mean_bytes(x) if kind == "text" else None,
        numbered=names == tuple(map(str, range(len(names)))),
        notes=notes,
        problems=problems,
    )


def _columns(path: Path) -> dict[str, list[Any]]:
    """Return the columns by name; a cell without a value is `None` or ''."""
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            names = list(reader.fieldnames or [])
    else:
        rows, names = [], []
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise _unfit(path, f"Line {number}: {error}.") from error
            if not isinstance(row, dict):
                raise _unfit(path, f"Line {number} is no object.")
            rows.append(row)
        names = list(dict.fromkeys(name for row in rows for name in row))
    if not rows:
        raise _unfit(path, "It has no rows.")
    wrong = [f"row {i}" for i, row in enumerate(rows, 1) if None in row]
    if wrong:
        raise _unfit(path, f"More cells than column names in {listed(wrong)}.")
    return {name: [row.get(name) for row in rows] for name in names}


def _label_column(
    path: Path, columns: dict[str, list[Any]], label: str | None
) -> str:
    if label is not None:
        if label not in columns:
            raise ValueError(
                requirement(
                    "load",
                    "label",
                    f"a column of `{path}`: {listed(columns)}",
                    label,
                    nearest(label, columns),
                )
            )
        return label
    found = [name for name in columns if name.strip().lower() in _LABELS]
    if len(found) != 1:
        raise ValueError(
            requirement(
                "load",
                "label",
                f"the name of the column of labels in `{path}`",
                None,
                f"The columns are {listed(columns)}.",
            )
        )
    return found[0]


def _text_column(path: Path, texts: list[str], others: list[str]) -> str:
    known = [name for name in texts if name.strip().lower() in _TEXTS]
    for found in (known, texts, others):
        if len(found) == 1:
            return found[0]
    raise _unfit(
        path,
        f"The columns {listed(texts or others)} may hold the text. Call one "
        f"of them {_TEXTS[0]!r}.",
    )


def _numbers(column: list[Any]) -> np.ndarray | None:
    """Return a column as numbers, NaN for empty cells, or `None`."""
    try:
        return np.array(
            [np.nan if v in (None, "") else float(v) for v in column],
            np.float32,
        )
    except (TypeError, ValueError):
        return None


def _unfit(path: Path, received: str) -> ValueError:
    return ValueError(
        requirement(
            "load",
            "source",
            "a table with a column of labels, and a column of texts or "
            "columns of numbers",
            str(path),
            received,
        )
    )
