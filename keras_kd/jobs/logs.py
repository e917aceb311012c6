"""What a training writes while it runs: a table and TensorBoard's events."""

import csv
import importlib.util
import shutil
from pathlib import Path
from typing import Any

FOLDER = "logs"


def loggers(output: Path, name: str) -> list[Any]:
    """Return the callbacks that log a training.

    Args:
        output: Folder for `<name>.csv`, one row an epoch, and, where
            TensorBoard is installed, `logs/<name>`.
        name: Name of the training.
    """
    import keras

    table = keras.callbacks.CSVLogger(str(output / f"{name}.csv"), append=True)
    return [table, *events(output, name)]


def events(output: Path, name: str) -> list[Any]:
    """Return TensorBoard's callback, or nothing where it is not installed."""
    import keras

    if importlib.util.find_spec("tensorboard") is None:
        return []
    folder = str(output / FOLDER / name)
    return [keras.callbacks.TensorBoard(folder, write_graph=False)]


def remove_logs(output: Path, name: str) -> None:
    """Remove what an earlier training of the same name logged."""
    (output / f"{name}.csv").unlink(missing_ok=True)
    shutil.rmtree(output / FOLDER / name, ignore_errors=True)


def read_table(path: Path) -> dict[str, list[float]]:
    """Return a training's table as Keras's `History` has it."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        name: [float(row[name]) for row in rows]
        for name in (rows[0] if rows else ())
        if name != "epoch" and all(row[name] for row in rows)
    }
