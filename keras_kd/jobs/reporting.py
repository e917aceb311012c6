"""The job of `keras-kd report`: the page of a run, from what the run left."""

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Callable
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from keras_kd.core.checks import requirement
from keras_kd.jobs.data import load_data
from keras_kd.jobs.logs import read_table
from keras_kd.jobs.machine import machine
from keras_kd.jobs.models import load_student
from keras_kd.jobs.models import load_teacher

if TYPE_CHECKING:
    import keras

    from keras_kd.data import Splits
    from keras_kd.export import Verification
    from keras_kd.jobs.compressed import Compressed
    from keras_kd.jobs.compressed import CompressSetting

PAGE = "report.html"
# A smaller file that loses no more than this is preferred.
_CLOSE = 0.01
# Left out of the table of how a run was made: the page shows them elsewhere.
_SHOWN = ("rows", "trials", "histories", "history", "test", "front")


def report(
    folder: str | os.PathLike[str], *, without_data: bool = False
) -> Path:
    """Write `report.html` into the folder of a run.

    The file to ship is the smallest of those whose accuracy is within one
    percentage point of the best exported file's.

    Args:
        folder: What `quickstart`, `distill` or `search` wrote to.
        without_data: Whether to show only what `results.json` tells. By
            default the data and the models are loaded again, for everything
            that is about single examples.

    Returns:
        The page.

    Raises:
        FileNotFoundError: If there is no `results.json`, or a model that it
            names is gone.
        ValueError: If it is from an earlier version, or of `compress`, which
            writes the page itself.
        ImportError: If the extra `report` is not installed.

    Example:
    >>> import keras_kd
    >>> try:
    ...     keras_kd.jobs.report("gone")
    ... except FileNotFoundError as error:
    ...     print(error)
    No `results.json` in `gone`. Give the folder that `quickstart`, `distill`
    or `search` wrote to.
    """
    import keras_kd
    from keras_kd.export import Verification

    folder = Path(folder)
    results = _read(folder)
    paths = {row["model"]: _found(folder, row) for row in results["rows"]}
    checks = {
        row["model"]: Verification(
            **row["verification"] | {"path": str(paths[row["model"]])}
        )
        for row in results["rows"]
        if row["verification"] is not None
    }
    evaluations = {
        row["model"]: keras_kd.Evaluation(**row["evaluation"])
        for row in results["rows"]
    }
    ship = _smallest_good(evaluations, checks)
    seen = {}
    if not without_data:
        seen = _with_data(results["setting"], paths, checks, ship)
    return keras_kd.report(
        folder / PAGE,
        evaluations,
        title=f"Distillation report: {results['setting']['dataset']}",
        ship=ship,
        histories=_histories(folder, results),
        trials=results.get("trials"),
        class_names=results["data"]["class_names"],
        verifications=checks,
        made=_made(results, paths),
        **seen,
    )


def report_on_run(folder: Path) -> Path | None:
    """Write the page at the end of a run, whose files are there already.

    Returns:
        The page; `None` if something prevents it, which is said.
    """
    return _attempt(lambda: report(folder), f"`keras-kd report {folder}`")


def report_on_compressed(
    result: "Compressed",
    setting: "CompressSetting",
    teacher: "keras.Model",
    splits: "Splits",
) -> Path | None:
    """Write the page of a result of `compress` beside its file.

    Args:
        result: The result.
        setting: What was asked for.
        teacher: The teacher.
        splits: The data.

    Returns:
        The page; `None` if something prevents it, which is said.
    """
    import keras_kd

    rows = list(result.evaluations)
    ship = rows[-1]

    def write() -> Path:
        return keras_kd.report(
            result.path.parent / PAGE,
            result.evaluations,
            title=f"Distillation report: {setting.data}",
            ship=ship,
            histories={
                "full training": read_table(result.path.parent / "full.csv")
            },
            trials=result.trials,
            dataset=splits.test,
            models=dict(
                zip(rows, (teacher, result.student, result.path), strict=True)
            ),
            class_names=splits.class_names,
            verifications={ship: result.verification},
            rounding=_rounding(
                result.verification, result.student, splits, ship
            ),
            made={
                "setting": dataclasses.asdict(setting),
                "student": result.values,
                "shortfall": result.shortfall or None,
                "plan": dataclasses.asdict(result.plan),
                "data": result.data,
                "machine": machine(),
                "sha256": {result.path.name: _sha256(result.path)},
            },
        )

    return _attempt(write, "the same `compress`")


def _attempt(write: Callable[[], Path], again: str) -> Path | None:
    try:
        return write()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        sys.stderr.write(
            f"warning: {PAGE} was not written: {error} Then make it with "
            f"{again}.\n"
        )
        return None


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "results.json"
    if not path.exists():
        raise FileNotFoundError(
            f"No `results.json` in `{folder}`. Give the folder that "
            "`quickstart`, `distill` or `search` wrote to."
        )
    results = json.loads(path.read_text("utf-8"))
    if "rows" not in results:
        raise ValueError(
            requirement(
                "report",
                "folder",
                "of a run of `quickstart`, `distill` or `search`",
                str(folder),
                "`compress` writes the page itself: call it again with the "
                "same arguments, and it resumes at the end.",
            )
        )
    if any("evaluation" not in row for row in results["rows"]):
        raise ValueError(
            requirement(
                "report",
                "folder",
                "of a run of this version",
                str(folder),
                "Its `results.json` has no whole evaluations. Run the command "
                "again.",
            )
        )
    return dict(results)


def _found(folder: Path, row: Mapping[str, Any]) -> Path:
    """Return where a row's file is; the folder may have been moved."""
    path = Path(row["path"])
    beside = folder / path.name
    return beside if beside.exists() else path


def _smallest_good(
    evaluations: Mapping[str, Any], checks: Mapping[str, "Verification"]
) -> str:
    files = [row for row in checks if evaluations[row].accuracy is not None]
    best = max(evaluations[row].accuracy for row in files)
    good = [r for r in files if evaluations[r].accuracy >= best - _CLOSE]
    return min(good, key=lambda row: evaluations[row].size_bytes)


def _histories(
    folder: Path, results: Mapping[str, Any]
) -> dict[str, dict[str, list[float]]]:
    if "histories" in results:
        return dict(results["histories"])
    path = folder / "history.json"
    if not path.exists():
        return {}
    return {"student": json.loads(path.read_text("utf-8"))}


def _with_data(
    setting: Mapping[str, Any],
    paths: Mapping[str, Path],
    checks: Mapping[str, "Verification"],
    ship: str,
) -> dict[str, Any]:
    """Return the arguments of `report` that need the data and the models."""
    rows = list(paths)
    # The last Keras model is the student that the files were made from.
    student = [row for row in rows if row not in checks][-1]
    used = {row: paths[row] for row in (rows[0], student, ship)}
    missing = [str(path) for path in used.values() if not path.exists()]
    if missing:
        raise FileNotFoundError(
            f"`report` needs {' and '.join(missing)}, which the run wrote or "
            "read. Put them back, or set `without_data`."
        )
    teacher = load_teacher(paths[rows[0]], setting.get("teacher_output"))
    splits = _splits(setting, teacher, paths[rows[0]])
    model = load_student(paths[student])
    return {
        "dataset": splits.test,
        "models": {rows[0]: teacher, student: model, ship: paths[ship]},
        "rounding": _rounding(checks[ship], model, splits, ship),
    }


def _splits(
    setting: Mapping[str, Any], teacher: "keras.Model", file: Path
) -> "Splits":
    return load_data(
        setting["dataset"],
        teacher,
        file=file,
        quiet=True,
        # Teachers of `quickstart` are trained on images from 0 to 1.
        scale=setting.get("scale", "0..1"),
        kind=setting.get("kind"),
        label=setting.get("label"),
        batch_size=setting["batch_size"],
        seed=setting["seed"],
        max_train=setting["max_train"],
    )


def _rounding(
    check: "Verification", student: "keras.Model", splits: "Splits", row: str
) -> dict[str, Any]:
    from keras_kd import export
    from keras_kd.export.kinds import KINDS

    if splits.test is None or not KINDS[check.kind].rounds:
        return {}
    images = splits.test.map(lambda x, y: x)
    try:
        return {row: export.rounding(check.path, student, images)}
    except RuntimeError as error:
        # The converter refuses a twin in float32: the rest of the page stands.
        sys.stderr.write(
            f"warning: no layers of {row} in the report: {error}\n"
        )
        return {}


def _made(
    results: Mapping[str, Any], paths: Mapping[str, Path]
) -> dict[str, Any]:
    made = {key: value for key, value in results.items() if key not in _SHOWN}
    made["sentences"] = " ".join(results.get("sentences", ())) or None
    made["choice of the file"] = (
        f"the smallest within {100 * _CLOSE:.0f} point of the most accurate"
    )
    files = {path for path in paths.values() if path.is_file()}
    made["sha256"] = {path.name: _sha256(path) for path in sorted(files)}
    return made


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
