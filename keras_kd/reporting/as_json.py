"""The numbers of a report as JSON."""

import dataclasses
import json
import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from keras_kd.reporting import counting
from keras_kd.reporting.contents import Contents
from keras_kd.reporting.contents import Section
from keras_kd.reporting.predictions import Predictions


def as_json(contents: Contents, parts: Sequence[Section]) -> str:
    """Return the numbers of a page as JSON; the pictures are left out."""
    values = {
        "title": contents.title,
        "ship": contents.ship,
        "words": {
            part.title: [*part.words, *(one.sentence for one in part.figures)]
            for part in parts
        },
        "evaluations": {
            name: json.loads(one.to_json())
            for name, one in contents.evaluations.items()
        },
        "histories": contents.histories,
        "objective": contents.objective,
        "trials": contents.trials,
        "predictions": _counted(contents, contents.predictions),
        "verifications": {
            name: plain(one) for name, one in contents.verifications.items()
        },
        "rounding": {
            name: [plain(one) for one in losses]
            for name, losses in contents.rounding.items()
        },
        "made": contents.made,
    }
    return json.dumps(_finite(values), indent=2, default=_number) + "\n"


def _counted(contents: Contents, found: Predictions | None) -> Any:
    if found is None:
        return None
    values: dict[str, Any] = {
        "disagreements": [
            {
                "index": one.index,
                "distance": one.distance,
                "label": one.label,
                "teacher": one.teacher.tolist(),
                "student": one.student.tolist(),
            }
            for one in found.disagreements
        ]
    }
    if found.labels is not None:
        values["reliability"] = {
            name: {
                key: value.tolist()
                for key, value in counting.reliability(
                    found.confidences[name], choices == found.labels
                )
                ._asdict()
                .items()
            }
            for name, choices in found.choices.items()
        }
        counted = counting.errors(
            found.labels,
            found.choices[contents.teacher],
            found.choices[contents.student],
            found.num_classes,
        )._asdict()
        new = counted.pop("new")
        values["errors"] = counted | {
            "new": [
                [int(row), int(column), int(new[row, column])]
                for row, column in zip(*new.nonzero(), strict=True)
            ]
        }
    return values


def _finite(value: Any) -> Any:
    """Replace what JSON does not know, NaN and infinities, by null."""
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _number(value: Any) -> Any:
    """Return a NumPy number as Python's, anything else as text."""
    return value.item() if hasattr(value, "item") else str(value)


def plain(value: Any) -> dict[str, Any]:
    """Return a dataclass or a mapping as a dict."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return dict(value)
