"""Measures files, all with the same code."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any

from keras_kd.core.progress import Progress

if TYPE_CHECKING:
    import keras

    from keras_kd.export import Verification


@dataclass(frozen=True)
class Row:
    """One measured file.

    Attributes:
        model: Name of the model or file.
        path: The file or folder.
        accuracy: Share of test images with the right class.
        agreement: Share of test images on which the file and the teacher
            pick the same class.
        size_bytes: Size of the file or folder.
        latency_ms_p50: Median time for one image.
        latency_ms_p95: 95th percentile of the time for one image.
        largest_difference: Largest difference of an output from the trained
            student's; `None` if the file was not exported.
        evaluation: Everything that `keras_kd.evaluate` found.
        verification: Everything that the export found; `None` if the file was
            not exported.
    """

    model: str
    path: str
    accuracy: float | None
    agreement: float | None
    size_bytes: int | None
    latency_ms_p50: float | None
    latency_ms_p95: float | None
    largest_difference: float | None = None
    evaluation: dict[str, Any] | None = None
    verification: dict[str, Any] | None = None


def measure(  # noqa: PLR0913 (what is measured, and what is known of it)
    names: Mapping[str, Path],
    checks: Mapping[str, "Verification"],
    dataset: Any,
    teacher: Path,
    progress: Progress,
    *,
    teacher_output: str | None = None,
    student_output: str | None = None,
    models: Mapping[str, "keras.Model"] | None = None,
) -> tuple[Row, ...]:
    """Measure every file in one pass, all with the same code.

    Args:
        names: Path of each file, by the name in its row.
        checks: The verification of each exported file, by name.
        dataset: Batches of test images and labels.
        teacher: The teacher's file.
        progress: Shows the progress.
        teacher_output: What the teacher returns, if its file does not tell.
        student_output: The same for the other files.
        models: Models that are in memory, by name; the others' files are
            loaded.

    Returns:
        One row per file, in the order of `names`.
    """
    from keras_kd.evaluation.one_pass import Subject
    from keras_kd.evaluation.one_pass import evaluate_all

    loaded = models or {}
    opened = {name: loaded.get(name, path) for name, path in names.items()}
    guide = next((opened[n] for n in names if names[n] == teacher), teacher)
    subjects = [
        Subject(
            opened[name], teacher_output if path == teacher else student_output
        )
        for name, path in names.items()
    ]
    # The last step measures latency.
    total = max(int(dataset.cardinality()), 0) + 1
    with progress.stage("load back and measure", total) as stage:
        evaluations = evaluate_all(
            subjects,
            dataset,
            guide,
            teacher_output=teacher_output,
            watch=stage.reach,
        )
    rows = []
    for (name, path), found in zip(names.items(), evaluations, strict=True):
        check = checks.get(name)
        if check is not None:
            found = replace(found, arena_bytes=check.arena_bytes)
        rows.append(
            Row(
                model=name,
                path=str(path),
                accuracy=found.accuracy,
                agreement=found.agreement,
                size_bytes=found.size_bytes,
                latency_ms_p50=found.latency_ms_p50,
                latency_ms_p95=found.latency_ms_p95,
                largest_difference=(
                    check.max_abs_difference if check else None
                ),
                evaluation=json.loads(found.to_json()),
                verification=asdict(check) if check else None,
            )
        )
    return tuple(rows)
