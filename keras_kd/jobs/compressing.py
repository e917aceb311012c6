"""From a teacher and data to the file to ship: `compress`."""

import contextlib
import dataclasses
import functools
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner

import keras_kd
from keras_kd.core.errors import OverBudgetError
from keras_kd.core.files import check_writable
from keras_kd.core.files import staged
from keras_kd.core.files import write_text
from keras_kd.core.progress import Progress
from keras_kd.evaluation.npu import Compiled
from keras_kd.evaluation.npu import compiled
from keras_kd.jobs.begun import check_begun
from keras_kd.jobs.begun import to_json
from keras_kd.jobs.clock import Clock
from keras_kd.jobs.clock import StopInTime
from keras_kd.jobs.compressed import Compressed
from keras_kd.jobs.compressed import CompressSetting
from keras_kd.jobs.compressed import make_setting
from keras_kd.jobs.data import load_for
from keras_kd.jobs.int8_file import Int8File
from keras_kd.jobs.int8_file import accuracy_of
from keras_kd.jobs.int8_file import best_int8_file
from keras_kd.jobs.int8_file import runtimes_for
from keras_kd.jobs.logs import events
from keras_kd.jobs.logs import loggers
from keras_kd.jobs.measuring import Row
from keras_kd.jobs.measuring import measure
from keras_kd.jobs.models import kind_of
from keras_kd.jobs.models import load_teacher
from keras_kd.jobs.plan import Plan
from keras_kd.jobs.plan import make_plan
from keras_kd.jobs.plan import measure_pace
from keras_kd.jobs.reporting import Loaded
from keras_kd.jobs.reporting import report_on_run
from keras_kd.jobs.students import FAMILIES
from keras_kd.jobs.students import MakeStudent
from keras_kd.jobs.students import student_builder
from keras_kd.jobs.texts import behind_vocabulary
from keras_kd.jobs.training import adam
from keras_kd.jobs.training import save_keras
from keras_kd.jobs.training import task_of
from keras_kd.jobs.watched_tuner import WatchedTuner
from keras_kd.search import Candidate
from keras_kd.search.trials.space import WIDTH

_AWARE_EPOCHS = 0.2  # share of the full training
# Shares of the time for training, at which the search ends, and the rest.
_SEARCHED, _TRAINED = 0.7, 1.0
# Later, there is no time to trace and export a second student.
_MAY_RETRY = 0.9
_MOST_PROPOSALS = 4  # per student that is trained
_TIMED_WIDTH = 0.25
_MAY_DIFFER = ("teacher", "minutes", "max_accuracy_loss")
_FOLDERS = ("teacher_cache", "trials", "full", "logs")


def compress(  # noqa: PLR0913 (the public contract)
    teacher: keras.Model | str | os.PathLike[str],
    data: Any,
    *,
    size_bytes: int | str | None = None,
    latency_ms: float | str | None = None,
    arena_bytes: int | str | None = None,
    target: str | None = None,
    max_accuracy_loss: float | None = None,
    minutes: float | None = None,
    output: str | os.PathLike[str] = "compressed",
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> Compressed:
    """Turn a teacher and data into a verified file within a budget.

    The teacher's outputs are cached; alpha, temperature and width are
    searched under the budget; the best student is trained at full length and
    exported as int8. If the file loses more than half a point of the
    student's accuracy, the student is trained on with int8 arithmetic
    simulated, and the better file is kept. Choices are made on validation
    examples; test examples are only used for the final measurements.

    If it is stopped or killed, the same call resumes it.

    Args:
        teacher: A `keras.Model`, or the path of a `.keras` file.
        data: What `keras_kd.data.load` takes.
        size_bytes: Maximum size of the file: a number, or text such as
            `"100kB"`.
        latency_ms: Maximum time for one example on this machine: a number,
            or text such as `"5ms"`.
        arena_bytes: Maximum bytes of the arena of TFLite Micro: a number, or
            text such as `"40kB"`. The file is then also verified in that
            runtime. Needs the extra `micro`.
        target: An NPU, such as `"ethos-u55-128"`: `latency_ms` is then the
            estimate of its compiler Vela (see `keras_kd.Budget`), and the
            compiled file is written beside the plain one. Needs the extra
            `micro`.
        max_accuracy_loss: Points of accuracy, of 100, that the file may lose
            against the teacher. Without another limit the smallest student
            within it is taken.
        minutes: Time for this call. The job plans the examples, trials and
            epochs from the pace that it measures; the result is the best by
            then. Trainings end at a step, so that there is time for one
            export, the measurements and the report, as a first export
            foretells. It takes longer by as much as that estimate is wrong
            and, where the time does not suffice for more, until one student
            has learned for a step and is exported. Defaults to as long as
            20 trials take.
        output: Folder for the file, the Keras student, the report and what
            is needed to resume.
        overwrite: Whether to delete an earlier result in `output`.
        progress: Shows the progress. Defaults to standard error.
        **options: Other attributes of `CompressSetting`: `student`,
            `trials`, `epochs`, `batch_size`, `learning_rate`, `max_train`,
            `seed`, `scale`, `kind`, `label`, `teacher_output`.

    Returns:
        The `Compressed` result.

    Raises:
        ImportError: If a package of an extra is missing.
        OverBudgetError: If no student fits the budget.
        ExportMismatchError: If no file behaves like its student.
        TypeError: If an option is unknown.
        ValueError: If no limit is given, the data does not fit the teacher,
            or `output` was begun with other settings.
        OSError: If the folder cannot be written to.

    Example:
    >>> import keras_kd
    >>> try:
    ...     keras_kd.compress("teacher.keras", "digits")
    ... except ValueError as error:
    ...     print(str(error)[-38:])
    Give for example `size_bytes='100kB'`.
    """
    setting = make_setting(
        teacher,
        data,
        size_bytes=size_bytes,
        latency_ms=latency_ms,
        arena_bytes=arena_bytes,
        target=target,
        max_accuracy_loss=max_accuracy_loss,
        minutes=minutes,
        **options,
    )
    if not isinstance(teacher, keras.Model):
        teacher = load_teacher(Path(teacher), setting.teacher_output)
    with contextlib.ExitStack() as stack:
        shown = progress or stack.enter_context(Progress())
        job = Job(setting, teacher, data, Path(output), shown)
        return job.run(overwrite=overwrite)


class Job:
    """One run of `compress`, its parts in the order in which they happen.

    Args:
        setting: The settings.
        teacher: The teacher.
        data: What `keras_kd.data.load` takes.
        output: The folder.
        progress: Shows the progress.
    """

    def __init__(
        self,
        setting: CompressSetting,
        teacher: keras.Model,
        data: Any,
        output: Path,
        progress: Progress,
    ) -> None:
        self.setting = setting
        self.output = output
        self._progress = progress
        self._clock = Clock(setting.minutes)
        check_writable(output / "student.keras")
        keras.utils.set_random_seed(setting.seed)
        self._given = teacher, data
        self._use(setting)
        self._build: MakeStudent = student_builder(
            setting.student, self.teacher, self.splits
        )

    def _use(self, setting: CompressSetting, *, quiet: bool = False) -> None:
        """Load the data as a setting says."""
        teacher, data = self._given
        splits = load_for(setting, data, teacher, quiet=quiet)
        self._numbered = behind_vocabulary(teacher, splits)
        self.teacher, self.splits, _ = self._numbered

    def plan(self) -> Plan:
        """Return what will be done; measured once for a folder."""
        path = self.output / "plan.json"
        if path.exists():
            return Plan(**json.loads(path.read_text("utf-8")))
        self._check_possible()
        student = self._build(_TIMED_WIDTH)
        with tempfile.TemporaryDirectory() as folder:
            pace = measure_pace(
                self.teacher,
                student,
                self.splits,
                _loss_of(student),
                lambda: keras_kd.export.tflite(
                    student,
                    Path(folder, "student.tflite"),
                    "int8",
                    calibration=self.splits.train.map(lambda x, y: x),
                    verify=False,
                ),
            )
        return make_plan(
            pace,
            num_train=self.splits.num_train,
            seconds=self._clock.left(),
            trials=self.setting.trials,
            full_epochs=self.setting.epochs,
        )

    def run(self, *, overwrite: bool) -> Compressed:
        """Do everything; see `compress`."""
        self._begin(overwrite)
        plan = self.plan()
        sys.stderr.write(plan.sentence(self._clock.left()) + "\n")
        write_text(self.output / "plan.json", _json(dataclasses.asdict(plan)))
        self._clock.reserve = plan.finish
        if plan.max_train is not None:
            fewer = dataclasses.replace(self.setting, max_train=plan.max_train)
            self._use(fewer, quiet=True)
        with self._progress.stage("teacher"):
            cache = keras_kd.TeacherCache.build(
                self.output / "teacher_cache",
                self.teacher,
                self.splits.train,
                teacher_output=self.setting.teacher_output,
                verbose=0,
            )
        search = self._search(cache, plan)
        best = self._choose(search)
        values = dict(best.values)
        student = self._train_fully(cache, plan, search, best)
        made = best_int8_file(
            student,
            self.output / "student_int8.tflite",
            self.splits,
            functools.partial(self._train_on, cache, plan, values),
            self._progress,
            runtimes_for(self.setting.budget),
            is_late=functools.partial(self._clock.is_over, _MAY_RETRY),
        )
        save_keras(made.student, self.output / "student.keras")
        rows = self._measure(made, self._progress)
        result = Compressed(
            path=Path(made.check.path),
            student=made.student,
            rows=rows,
            report_path=None,
            values=values,
            trials=tuple(search.results),
            plan=plan,
            data=self.splits.describe(),
            setting=self.setting,
            shortfall=self._shortfall(rows),
            seconds=round(self._clock.seconds(), 1),
            npu=self._on_npu(Path(made.check.path)),
        )
        self._write(result)
        with self._progress.stage("report"):
            loaded = Loaded(self.teacher, made.student, self.splits)
            page = report_on_run(self.output, loaded)
        result = dataclasses.replace(result, report_path=page)
        self._write(result)
        return result

    def _write(self, result: Compressed) -> None:
        write_text(self.output / "results.json", result.to_json() + "\n")

    def _on_npu(self, path: Path) -> Compiled | None:
        """Compile the file for the NPU, if the budget is of one."""
        target = self.setting.budget.get("target")
        return compiled(path, target) if target else None

    def _check_possible(self) -> None:
        """Refuse a budget that the narrowest student does not fit.

        Raises:
            OverBudgetError: Says by how much it is over.
        """
        if not self.setting.budget:
            return
        budget = keras_kd.Budget.from_dict(self.setting.budget)
        try:
            budget.check(self._build(WIDTH.low))
        except OverBudgetError as error:
            families = FAMILIES[self.splits.kind]
            raise OverBudgetError(
                f"Even the narrowest student, of width {WIDTH.low}, is over "
                f"the budget: {error.reason}. Raise the budget, or choose "
                f"another family of students: {', '.join(families)}.",
                measurement=error.measurement,
                violation=error.violation,
                reason=error.reason,
            ) from error

    def _begin(self, overwrite: bool) -> None:
        """Start a folder, or go on with one of the same settings."""
        path = self.output / "setting.json"
        if overwrite:
            for name in _FOLDERS:
                shutil.rmtree(self.output / name, ignore_errors=True)
            for name in (
                "plan.json",
                "chosen.json",
                "full.csv",
                "results.json",
            ):
                (self.output / name).unlink(missing_ok=True)
        else:
            check_begun(
                path,
                self.setting,
                _MAY_DIFFER,
                "result",
                "`output`, or set `overwrite=True`.",
            )
        write_text(path, to_json(self.setting))
        self._teacher_file = (
            self._numbered.save(self.output) or self._save_teacher()
        )

    def _save_teacher(self) -> Path:
        """Return the teacher's file; write that of a model of Python."""
        if self.setting.teacher is not None:
            return Path(self.setting.teacher)
        path = self.output / "teacher.keras"
        try:
            with staged(path) as scratch:
                self.teacher.save(scratch)
        except (NotImplementedError, TypeError, ValueError) as error:
            sys.stderr.write(
                "warning: the teacher was not saved, and `keras-kd report` "
                f"needs it: {error}\n"
            )
        return path

    def _tuner(
        self, cache: Any, project: str, trials: int, epochs: int, **given: Any
    ) -> WatchedTuner:
        steps = epochs * len(self.splits.train)
        budget = self.setting.budget
        # KerasTuner prints to standard output when it resumes a search.
        with contextlib.redirect_stdout(io.StringIO()):
            return WatchedTuner(
                cache,
                self._build,
                budget=keras_kd.Budget.from_dict(budget) if budget else None,
                objective="val_accuracy",
                max_trials=trials,
                optimizer=adam(self.setting.learning_rate, steps),
                seed=self.setting.seed,
                directory=str(self.output),
                project_name=project,
                **given,
            )

    def _run(
        self,
        tuner: WatchedTuner,
        label: str,
        *,
        trials: int,
        epochs: int,
        until: float,
        logs: list[Any],
    ) -> None:
        """Search until enough students were trained, or it is late."""
        is_late = self._clock.is_over
        with self._progress.stage(label, tuner.steps(epochs, trials)) as stage:
            tuner.watch(stage, lambda n: n == trials or is_late(until))
            tuner.search(
                self.splits.train,
                validation_data=self.splits.validation,
                callbacks=[StopInTime(self._clock, until), *logs],
                epochs=epochs,
                shuffle=False,
                verbose=0,
            )

    def _search(self, cache: Any, plan: Plan) -> WatchedTuner:
        """Search; a search whose result was chosen is over."""
        # Students over the budget cost little and do not count.
        most = _MOST_PROPOSALS * plan.trials
        tuner = self._tuner(cache, "trials", most, plan.trial_epochs)
        if not (self.output / "chosen.json").exists():
            self._run(
                tuner,
                "search",
                trials=plan.trials,
                epochs=plan.trial_epochs,
                until=_SEARCHED,
                logs=events(self.output, "trials"),
            )
        return tuner

    def _choose(self, tuner: WatchedTuner) -> Candidate:
        """Return the best trial, or the smallest that is good enough."""
        path = self.output / "chosen.json"
        if path.exists():
            chosen = json.loads(path.read_text("utf-8"))["trial_id"]
            return next(c for c in tuner.results if c.trial_id == chosen)
        best = tuner.best_candidate()
        loss = self.setting.max_accuracy_loss
        if not self.setting.budget and loss is not None:
            least = accuracy_of(self.teacher, self.splits) - loss / 100
            front = tuner.pareto_front("size_bytes")
            enough = (c for c in front if (c.objective or 0.0) >= least)
            best = next(enough, best)
        write_text(path, _json({"trial_id": best.trial_id}))
        return best

    def _train_fully(
        self, cache: Any, plan: Plan, search: WatchedTuner, best: Candidate
    ) -> keras.Model:
        """Train the student of a trial at full length, in one more search.

        Without time for it, the trial's own student is returned.
        """
        trained = search.oracle.get_trial(best.trial_id)
        if self._clock.is_over(_TRAINED):
            return search.load_model(trained).student
        fixed = keras_tuner.HyperParameters()
        for name in ("alpha", "temperature", "width"):
            if name in best.values:
                fixed.Fixed(name, best.values[name])
        tuner = self._tuner(
            cache,
            "full",
            1,
            plan.full_epochs,
            tuner="random",
            hyperparameters=fixed,
        )
        self._run(
            tuner,
            "full training",
            trials=1,
            epochs=plan.full_epochs,
            until=_TRAINED,
            logs=loggers(self.output, "full"),
        )
        longer = tuner.best_candidate()
        if (longer.objective or 0.0) >= (best.objective or 0.0):
            return tuner.best_student()
        return search.load_model(trained).student

    def _train_on(
        self,
        cache: keras_kd.TeacherCache,
        plan: Plan,
        values: Mapping[str, Any],
        student: keras.Model,
    ) -> None:
        """Train a student that computes in int8 for a fifth of the epochs."""
        epochs = max(1, round(_AWARE_EPOCHS * plan.full_epochs))
        steps = len(self.splits.train)
        distiller = keras_kd.Distiller(
            cache,
            student,
            alpha=values["alpha"],
            temperature=values["temperature"],
        )
        distiller.compile(
            keras.optimizers.Adam(self.setting.learning_rate / 10),
            loss=_loss_of(student),
        )
        label = "training with int8 arithmetic"
        with self._progress.stage(label, epochs * steps) as stage:
            distiller.fit(
                cache.join(self.splits.train),
                epochs=epochs,
                verbose=0,
                shuffle=False,
                callbacks=[
                    stage.callback(steps),
                    StopInTime(self._clock, _TRAINED),
                ],
            )

    def _measure(self, made: Int8File, progress: Progress) -> tuple[Row, ...]:
        """Measure teacher, student and file on the test examples."""
        files = {
            "teacher": self._teacher_file,
            "student": self.output / "student.keras",
            "TFLite int8": Path(made.check.path),
        }
        return measure(
            files,
            {"TFLite int8": made.check},
            self.splits.test,
            self._teacher_file,
            progress,
            teacher_output=self.setting.teacher_output,
            student_output=kind_of(made.student),
            models={"teacher": self.teacher, "student": made.student},
        )

    def _shortfall(self, rows: Sequence[Row]) -> str:
        loss = self.setting.max_accuracy_loss
        if loss is None:
            return ""
        teacher, *_, file = [row.accuracy or 0.0 for row in rows]
        lost = 100 * (teacher - file)
        if lost <= loss:
            return ""
        return (
            f"The file is {lost:.1f} points below the teacher on the test "
            f"examples; at most {loss:g} were asked for. Allow a larger file, "
            "more time or a larger loss."
        )


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, default=str) + "\n"


def _loss_of(student: keras.Model) -> Any:
    loss, _ = task_of(student, kind_of(student), subject="compress")
    return loss
