"""The settings and results of `compress`."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

import keras_kd
from keras_kd.core.checks import check_number
from keras_kd.core.checks import requirement
from keras_kd.evaluation.npu import Compiled
from keras_kd.jobs.machine import machine
from keras_kd.jobs.measuring import Row
from keras_kd.jobs.plan import Plan
from keras_kd.reporting.measures import far_behind
from keras_kd.search.candidate import Candidate


@dataclasses.dataclass(frozen=True)
class CompressSetting:
    """The settings of `compress`, as they are written to `setting.json`.

    Attributes:
        teacher: The teacher's file; `None` for a model of Python.
        dataset: Name or path for `keras_kd.data.load`; `None` for arrays or
            a dataset.
        budget: The arguments of the `keras_kd.Budget`; empty for the
            smallest student within `max_accuracy_loss`.
        max_accuracy_loss: Points of accuracy that the file may lose.
        minutes: Time for the whole; `None` for as long as it takes.
        student: `"shrink"`, or a family of `keras_kd.students`.
        trials: Students that the search trains; `None` to plan them.
        epochs: Epochs of the full training; `None` to plan them.
        batch_size: Examples per step.
        learning_rate: Adam's first learning rate; it decays along a cosine.
        max_train: Training examples to keep; `None` keeps all.
        seed: Seed of the proposals, the weights and the order.
        scale: Range of the pixels; `None` finds the teacher's.
        kind: Kind of the data; `None` finds it.
        label: Column of the labels of a table; `None` finds it.
        teacher_output: What the teacher returns; `None` if its file tells.
    """

    teacher: str | None
    dataset: str | None
    budget: Mapping[str, Any]
    max_accuracy_loss: float | None = None
    minutes: float | None = None
    student: str = "shrink"
    trials: int | None = None
    epochs: int | None = None
    batch_size: int = 64
    learning_rate: float = 2e-3
    max_train: int | None = None
    seed: int = 0
    scale: str | None = None
    kind: str | None = None
    label: str | None = None
    teacher_output: str | None = None


@dataclasses.dataclass(frozen=True)
class Compressed:
    """What `compress` made.

    Attributes:
        path: The file to ship.
        student: The student in it, as a Keras model.
        rows: Measurements on test examples that nothing else has seen: the
            teacher, the student, the file.
        report_path: The report; `None` without the extra `report`.
        values: The hyperparameters of the student: alpha, temperature,
            width.
        trials: All trials of the search.
        plan: What was planned.
        data: Description of the data.
        setting: The settings.
        shortfall: What the file misses of what was asked; "" if nothing.
        seconds: Duration of this run.
        npu: The file compiled for the `target`, beside the file; `None`
            without one.
    """

    path: Path
    student: keras.Model
    rows: tuple[Row, ...]
    report_path: Path | None
    values: dict[str, Any]
    trials: tuple[Candidate, ...]
    plan: Plan
    data: dict[str, Any]
    setting: CompressSetting
    shortfall: str
    seconds: float
    npu: Compiled | None = None

    @property
    def evaluations(self) -> dict[str, keras_kd.Evaluation]:
        """What was measured, by the name of the row; the teacher first."""
        return {
            row.model: keras_kd.Evaluation(**row.evaluation or {})
            for row in self.rows
        }

    @property
    def verification(self) -> keras_kd.export.Verification:
        """The comparison of the file with the student."""
        return keras_kd.export.Verification(**self.rows[-1].verification or {})

    def answer(self) -> str:
        """Return whether to ship the file, with its cost and its worth."""
        teacher, *_, file = self.evaluations.values()
        taken = f"{file.size_bytes:,} bytes"
        if teacher.size_bytes and file.size_bytes:
            share = file.size_bytes / teacher.size_bytes
            taken += f" ({share:.1%} of the teacher)"
        if file.latency_ms_p50 is not None:
            taken += f" and {file.latency_ms_p50:.2g} ms an example here"
        kept = ""
        if teacher.accuracy is not None and file.accuracy is not None:
            kept = (
                f", with {file.accuracy:.1%} accuracy on "
                f"{file.num_examples:,} test examples (teacher: "
                f"{teacher.accuracy:.1%})"
            )
        if self.npu is not None:
            kept += (
                f". `{self.npu.path}` for {self.npu.target} takes "
                f"{self.npu.sram_bytes:,} bytes of SRAM there and an estimated "
                f"{self.npu.milliseconds:.2g} ms, with "
                f"{self.npu.npu_share:.0%} of the operators on the NPU"
            )
        if far_behind(file, teacher):
            return (
                f"`{self.path}` is far behind its teacher: {taken}{kept}. "
                "Train longer, or take a larger student, before you ship it."
            )
        return f"Ship `{self.path}`: {taken}{kept}."

    def to_json(self) -> str:
        """Return everything but the student as JSON text."""
        content = {
            "path": str(self.path),
            "report_path": self.report_path and str(self.report_path),
            "values": self.values,
            "setting": dataclasses.asdict(self.setting),
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "trials": [dataclasses.asdict(trial) for trial in self.trials],
            "plan": dataclasses.asdict(self.plan),
            "data": self.data,
            "shortfall": self.shortfall,
            "seconds": self.seconds,
            "npu": self.npu
            and dataclasses.asdict(self.npu) | {"path": str(self.npu.path)},
            "machine": machine(),
        }
        return json.dumps(content, indent=2, ensure_ascii=False)


def make_setting(
    teacher: Any,
    data: Any,
    *,
    size_bytes: Any = None,
    latency_ms: Any = None,
    arena_bytes: Any = None,
    target: str | None = None,
    max_accuracy_loss: float | None = None,
    **options: Any,
) -> CompressSetting:
    """Return checked settings; see `compress`.

    Raises:
        ImportError: If a `target` is given and Vela is not installed.
        ValueError: If there is neither a budget nor a largest loss, or the
            `target` has no limit.
    """
    limits = {
        "size_bytes": size_bytes,
        "latency_ms": latency_ms,
        "arena_bytes": arena_bytes,
    }
    limits = {name: value for name, value in limits.items() if value}
    if not limits and max_accuracy_loss is None:
        raise ValueError(
            "`compress` needs to know what is wanted: `size_bytes`, "
            "`latency_ms`, `arena_bytes` or `max_accuracy_loss`. Received: "
            "none. Give for example `size_bytes='100kB'`."
        )
    if max_accuracy_loss is not None:
        check_number(
            "compress", "max_accuracy_loss", max_accuracy_loss, low=0, high=100
        )
    if options.get("minutes") is not None:
        check_number("compress", "minutes", options["minutes"], above=0)
    if target is not None and not limits:
        raise ValueError(
            requirement(
                "compress",
                "target",
                "given with a limit",
                target,
                "Give for example `latency_ms='2ms'`, as estimated for it.",
            )
        )
    budget = {}
    if limits:
        parsed = keras_kd.Budget.parse(
            **limits, target=target, quantization="int8"
        )
        budget = parsed.to_dict()
    return CompressSetting(
        teacher=_path(teacher),
        dataset=_path(data),
        budget=budget,
        max_accuracy_loss=max_accuracy_loss,
        **options,
    )


def _path(given: Any) -> str | None:
    return str(given) if isinstance(given, str | os.PathLike) else None
