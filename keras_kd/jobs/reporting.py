"""The job of `keras-kd report`: the page of a run, from what the run left."""

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any
from typing import NamedTuple

from keras_kd.core.checks import requirement
from keras_kd.jobs.data import load_data
from keras_kd.jobs.logs import read_table
from keras_kd.jobs.models import load_student
from keras_kd.jobs.models import load_teacher

if TYPE_CHECKING:
    import keras

    from keras_kd.data import Splits
    from keras_kd.export import Verification

PAGE = "report.html"
# A smaller file that loses no more than this is preferred.
_CLOSE = 0.01
# Left out of the table of how a run was made: the page shows them elsewhere.
_SHOWN = (
    "rows",
    "trials",
    "histories",
    "history",
    "test",
    "front",
    "path",
    "report_path",
)


class Loaded(NamedTuple):
    """What a run still holds when it writes its page.

    Attributes:
        teacher: The teacher.
        student: The student that the files were made from.
        splits: The data.
    """

    teacher: "keras.Model"
    student: "keras.Model"
    splits: "Splits"


def report(
    folder: str | os.PathLike[str],
    *,
    data: Any = None,
    without_data: bool = False,
    loaded: Loaded | None = None,
) -> Path:
    """Write `report.html` into the folder of a run.

    The file to ship is the smallest of those whose accuracy is within one
    percentage point of the best exported file's.

    Args:
        folder: What `quickstart`, `distill`, `search` or `compress` wrote
            to.
        data: What `keras_kd.data.load` takes. Needed only if the data was
            moved, or given to `compress` as arrays or a dataset.
        without_data: Whether to show only what `results.json` tells. By
            default the data and the models are loaded again, for everything
            that is about single examples.
        loaded: The models and the data, if the run still holds them.

    Returns:
        The page.

    Raises:
        FileNotFoundError: If there is no `results.json`, or a model that it
            names is gone.
        ValueError: If it is from an earlier version, or the run had its
            data from Python and `data` is not given.
        ImportError: If the extra `report` is not installed.

    Example:
    >>> import keras_kd
    >>> try:
    ...     keras_kd.jobs.report("gone")
    ... except FileNotFoundError as error:
    ...     print(str(error).partition(". ")[0])
    No `results.json` in `gone`
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
        # The last Keras model is the student that the files were made from.
        student = [row for row in paths if row not in checks][-1]
        used = {row: paths[row] for row in (next(iter(paths)), student, ship)}
        loaded = loaded or _load(results["setting"], list(used.values()), data)
        seen = _with_data(loaded, used, checks[ship])
    return keras_kd.report(
        folder / PAGE,
        evaluations,
        title=f"Distillation report: {Path(results['data']['name']).name}",
        ship=ship,
        histories=_histories(folder, results),
        trials=results.get("trials"),
        class_names=results["data"]["class_names"],
        verifications=checks,
        made=_made(results, paths),
        **seen,
    )


def report_on_run(folder: Path, loaded: Loaded | None = None) -> Path | None:
    """Write the page at the end of a run, whose files are there already.

    Args:
        folder: What the run wrote to.
        loaded: The models and the data, if the run still holds them.

    Returns:
        The page; `None` if something prevents it, which is said.
    """
    try:
        return report(folder, loaded=loaded)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        sys.stderr.write(
            f"warning: {PAGE} was not written: {error} Then make it with "
            f"`keras-kd report {folder}`.\n"
        )
        return None


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "results.json"
    if not path.exists():
        raise FileNotFoundError(
            f"No `results.json` in `{folder}`. Give the folder that "
            "`quickstart`, `distill`, `search` or `compress` wrote to."
        )
    results = json.loads(path.read_text("utf-8"))
    if not all("evaluation" in row for row in results.get("rows", [{}])):
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
    if path.exists():
        return {"student": json.loads(path.read_text("utf-8"))}
    longest = read_table(folder / "full.csv")
    return {"full training": longest} if longest else {}


def _load(setting: Mapping[str, Any], files: list[Path], data: Any) -> Loaded:
    """Load the models and the data of a run again.

    Args:
        setting: The settings of the run.
        files: The teacher, the student and the file to ship.
        data: The data, if not that of the settings.
    """
    missing = [str(path) for path in files if not path.exists()]
    if missing:
        raise FileNotFoundError(
            f"`report` needs {' and '.join(missing)}, which the run wrote or "
            "read. Put them back, or set `without_data`."
        )
    source = setting["dataset"] if data is None else data
    if source is None:
        raise ValueError(
            "`report` needs `data`: the run was given arrays or a dataset, "
            "which its folder does not hold. Received: data=None. Give the "
            "same again, or set `without_data`."
        )
    teacher = load_teacher(files[0], setting.get("teacher_output"))
    splits = load_data(
        source,
        teacher,
        file=files[0],
        quiet=True,
        # Teachers of `quickstart` are trained on images from 0 to 1.
        scale=setting.get("scale", "0..1"),
        kind=setting.get("kind"),
        label=setting.get("label"),
        batch_size=setting["batch_size"],
        seed=setting["seed"],
        max_train=setting["max_train"],
    )
    return Loaded(teacher, load_student(files[1]), splits)


def _with_data(
    loaded: Loaded, used: Mapping[str, Path], check: "Verification"
) -> dict[str, Any]:
    """Return the arguments of `report` that need the data and the models."""
    test = loaded.splits.test
    *_, ship = used
    models = (loaded.teacher, loaded.student, used[ship])
    return {
        "dataset": test,
        "models": dict(zip(used, models, strict=True)),
        "rounding": _rounding(check, loaded.student, loaded.splits, ship),
    }


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
    if sum(row["verification"] is not None for row in results["rows"]) > 1:
        made["choice of the file"] = (
            f"the smallest within {100 * _CLOSE:.0f} point of the most accurate"
        )
    files = {path for path in paths.values() if path.is_file()}
    made["sha256"] = {path.name: _sha256(path) for path in sorted(files)}
    return made


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
