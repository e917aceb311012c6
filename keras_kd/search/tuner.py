"""StudentTuner: a KerasTuner search for the best student within a budget."""

import json
import statistics
import warnings
from pathlib import Path
from typing import Any

import keras

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement
from keras_kd.core.files import check_writable
from keras_kd.core.files import write_text
from keras_kd.distiller import Distiller
from keras_kd.export.conversion import converter
from keras_kd.search import cluster
from keras_kd.search.candidate import Candidate
from keras_kd.search.cost.budget import Budget
from keras_kd.search.cost.ledger import Ledger
from keras_kd.search.cost.measurement import OF_FILE
from keras_kd.search.keras_tuner_internals import Tuner
from keras_kd.search.oracles import state
from keras_kd.search.oracles.making import make_oracle
from keras_kd.search.results import HeldOutResult
from keras_kd.search.results import Results
from keras_kd.search.teaching import check_validated
from keras_kd.search.teaching import teach_once
from keras_kd.search.teaching import tell_loss
from keras_kd.search.trials.hypermodel import StudentHyperModel
from keras_kd.search.trials.running import TrialRunner

# Positional arguments of `keras.Model.fit` after x and y.
_FIT_NAMES = ("batch_size", "epochs", "verbose", "callbacks")


class StudentTuner(Tuner):
    """Searches alpha, temperature and width for the best student in a budget.

    It is a full `keras_tuner.Tuner`: callbacks, `overwrite`, resuming,
    TensorBoard, chief and workers. A search costs little more than training
    the students: the teacher runs once for the whole search, and a student
    over the budget is measured, recorded as infeasible and not trained.

    A killed search resumes where it stopped, and the interrupted trial
    resumes from its last epoch. With data in a fixed order the result equals
    that of an uninterrupted search, dropout included.

    A trial's models are freed when it ends. TensorFlow itself keeps part of
    every function it has traced, so the process grows with each trial: by
    4 MiB for a small Keras model and by less than 10 MiB for a Distiller.

    Args:
        teacher: A `keras_kd.TeacherCache`; or a live teacher, which is
            cached in the project folder before the first trial; or `None`
            for data that is already joined to a cache.
        build_student: A function of `width`, a function of `hp`, or a
            `keras_tuner.HyperModel`; see `StudentHyperModel`.
        budget: A `keras_kd.Budget`. Defaults to no limits.
        tuner: `"random"`, `"bayesian"`, `"hyperband"`, `"grid"`, or an
            instance of a `keras_tuner.Oracle`.
        objective: What is maximized or minimized: the name of a logged
            value, or any other objective that KerasTuner takes.
        max_trials: Maximum number of trials, infeasible ones included;
            `None` for as many as the oracle proposes, for example a whole
            grid.
        losses: What a `Distiller` takes, or a function of `hp`; see
            `StudentHyperModel`.
        optimizer: What `compile` takes, or a function of `hp`.
        loss: The task's loss. Defaults to the cross-entropy that matches the
            student's head and the labels' shape.
        metrics: What `compile` takes.
        hyperparameters: A `keras_tuner.HyperParameters` whose declarations
            take precedence: `hp.Fixed("alpha", 0.9)` takes `alpha` out of
            the search.
        executions_per_trial: How often each trial is trained, each time from
            different initial weights; the objective is averaged.
        seed: Seed of the proposals and, together with a trial's values and
            the execution, of the initial weights. Defaults to a random seed,
            which the search keeps.
        directory: Folder of the project. Defaults to the current folder.
        project_name: Name of the project.
        overwrite: Whether to remove an earlier search of that project.
        distribution_strategy: A `tf.distribute.Strategy` of one worker, for
            each trial.
        teacher_id: A name that identifies a teacher that is not a Keras
            model, as in `TeacherCache.build`.
        **oracle_arguments: Other arguments of the oracle, such as
            `max_epochs` of Hyperband.

    Raises:
        OSError: If the folder cannot be written to.
        TypeError: If an argument has the wrong type.
        ValueError: If an argument is out of range, or the student does not
            fit the teacher.

    Example:
    >>> import tempfile
    >>> import numpy as np
    >>> import keras_kd
    >>> x = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
    >>> y = (x[:, 0] > 0).astype(int)
    >>> teacher = keras_kd.students.mlp((4,), 2, hidden=(16,))
    >>> folder = tempfile.TemporaryDirectory()
    >>> tuner = keras_kd.search.StudentTuner(
    ...     teacher,
    ...     lambda width: keras_kd.students.shrink(teacher, width=width),
    ...     budget=keras_kd.Budget(num_params=80), tuner="random",
    ...     max_trials=2, seed=0, directory=folder.name)
    >>> tuner.search(x, y, validation_data=(x, y), epochs=1, verbose=0)
    >>> len(tuner.results), tuner.best_student().count_params() <= 80
    (2, True)
    >>> folder.cleanup()
    """

    oracle: cluster.AnyOracle
    hypermodel: StudentHyperModel

    def __init__(  # noqa: PLR0913 - the public contract
        self,
        teacher: Any,
        build_student: Any,
        *,
        budget: Budget | None = None,
        tuner: Any = "bayesian",
        objective: Any = "val_accuracy",
        max_trials: int | None = 30,
        losses: Any = None,
        optimizer: Any = "adam",
        loss: Any = None,
        metrics: Any = ("accuracy",),
        hyperparameters: Any = None,
        executions_per_trial: int = 1,
        seed: int | None = None,
        directory: Any = None,
        project_name: str | None = None,
        overwrite: bool = False,
        distribution_strategy: Any = None,
        teacher_id: str | None = None,
        **oracle_arguments: Any,
    ) -> None:
        check_integer(
            "StudentTuner", "executions_per_trial", executions_per_trial, low=1
        )
        if budget is not None and not isinstance(budget, Budget):
            raise TypeError(
                requirement("StudentTuner", "budget", "a Budget", budget)
            )
        self.budget = budget
        self.teacher_id = teacher_id
        self.teacher = teacher
        self._loss_is_inferred = False
        folder = Path(directory or ".") / (project_name or "untitled_project")
        check_writable(folder / "oracle.json")
        super().__init__(
            make_oracle(
                tuner,
                objective=objective,
                max_trials=max_trials,
                hyperparameters=hyperparameters,
                seed=seed,
                budget=budget,
                **oracle_arguments,
            ),
            StudentHyperModel(
                teacher,
                build_student,
                losses=losses,
                optimizer=optimizer,
                loss=loss,
                metrics=metrics,
            ),
            directory=directory,
            project_name=project_name,
            overwrite=overwrite and cluster.may_overwrite(folder),
            executions_per_trial=executions_per_trial,
            distribution_strategy=distribution_strategy,
        )
        self.oracle = cluster.connected(self.oracle)
        if state.exists(self.project_dir) and not self.state_file.exists():
            self.reload()  # killed before it saved itself
        self.measurements = Ledger(Path(self.project_dir) / "measurements.json")
        parts = (self.oracle, self.hypermodel, budget, self.measurements)
        self._runner = TrialRunner(self, *parts)
        self._found = Results(*parts)

    def search(self, *args: Any, test_data: Any = None, **kwargs: Any) -> None:
        """Run the search, or resume it.

        Args:
            *args: The data, as `keras.Model.fit` takes it.
            test_data: Data that no trial sees. The best trial is evaluated
                on it at the end; see `test_result`.
            **kwargs: Other arguments of `keras.Model.fit`:
                `validation_data`, `epochs`, `callbacks`, ...

        Raises:
            OverBudgetError: If none of the students meets the budget.
            RuntimeError: If too many trials in a row failed.
            ValueError: If the objective is not logged, or the task's loss
                cannot be inferred from the data.
        """
        kwargs |= dict(zip(_FIT_NAMES, args[2:], strict=False))
        given = args[:2]
        for name in ("x", "y")[len(given) :]:
            if name in kwargs:
                given = (*given, kwargs.pop(name))
        if not given:
            raise TypeError(
                requirement(
                    "StudentTuner.search", "x", "data to train on", None
                )
            )
        self.oracle.set_epochs(kwargs.get("epochs", 1))
        if not self.hypermodel.fits_itself:
            check_validated(
                self.oracle.objective,
                kwargs.get("validation_data") is not None
                or bool(kwargs.get("validation_split")),
            )
        if tell_loss(self.hypermodel, self.oracle, given):
            self._loss_is_inferred = True
        if cluster.is_chief():
            cluster.serve(self, kwargs.get("verbose", "auto"))
        else:
            self._search(*given, **kwargs)
        if test_data is not None and not cluster.is_worker():
            self.evaluate_best(test_data)

    @property
    def results(self) -> list[Candidate]:
        """All trials, in the order they started."""
        return self._found.candidates()

    @property
    def test_result(self) -> HeldOutResult | None:
        """Last result of `search(test_data=...)` or `evaluate_best`."""
        if not self._test_file.exists():
            return None
        return HeldOutResult(**json.loads(self._test_file.read_text("utf-8")))

    def pareto_front(self, *by: str) -> list[Candidate]:
        """Return the trials that no other trial beats in every respect.

        A trial is on the front if every other trial has a worse objective or
        a higher cost. Costs that the search did not measure are measured
        now.

        Args:
            *by: The costs to compare besides the objective: `"size_bytes"`,
                `"latency_ms"`, `"num_params"`, `"flops"`,
                `"peak_memory_bytes"`. Defaults to the costs that the budget
                limits, or `"num_params"` without a budget.

        Returns:
            Feasible trials, sorted by the first cost.

        Raises:
            ValueError: If a cost is unknown.
        """
        return self._found.front(by)

    def best_candidate(
        self,
        rule: str = "best",
        *,
        max_bytes: float | None = None,
        max_latency_ms: float | None = None,
    ) -> Candidate:
        """Return the trial that `best_student` takes.

        Args:
            rule: `"best"` for the best objective, with ties broken by the
                lowest cost; `"knee"` for the knee of the Pareto front, where
                extra cost stops paying off.
            max_bytes: Upper limit of `size_bytes`.
            max_latency_ms: Upper limit of `latency_ms`.

        Raises:
            ValueError: If no trained trial keeps the limits.
        """
        return self._found.best(rule, max_bytes, max_latency_ms)

    def best_student(
        self,
        rule: str = "best",
        *,
        max_bytes: float | None = None,
        max_latency_ms: float | None = None,
    ) -> keras.Model:
        """Return the trained student of a trial, ready to export.

        Args:
            rule: See `best_candidate`.
            max_bytes: Maximum size of its file in bytes.
            max_latency_ms: Maximum milliseconds for one example.

        Raises:
            ValueError: If no trained trial keeps the limits.
        """
        chosen = self.best_candidate(
            rule, max_bytes=max_bytes, max_latency_ms=max_latency_ms
        )
        trial = self.oracle.get_trial(chosen.trial_id)
        student: keras.Model = self.load_model(trial).student
        return student

    def evaluate_best(self, data: Any, **kwargs: Any) -> HeldOutResult:
        """Evaluate the best trial on data that the search has not seen.

        Each of its executions is evaluated at its best epoch. The result is
        stored in the project folder, and `test_result` returns it.

        Args:
            data: A data set, or a tuple `(x, y)` of arrays.
            **kwargs: Arguments of `keras.Model.evaluate`.
        """
        chosen = self.best_candidate()
        trial = self.oracle.get_trial(chosen.trial_id)
        distiller = self.load_model(trial)
        arguments = data if isinstance(data, tuple) else (data,)
        found = []
        for execution in range(self.executions_per_trial):
            distiller.load_weights(
                self._runner.weights_file(chosen.trial_id, execution)
            )
            found.append(
                distiller.evaluate(
                    *arguments, return_dict=True, **{"verbose": 0, **kwargs}
                )
            )
        result = HeldOutResult(chosen.trial_id, *_mean_and_spread(found), found)
        write_text(self._test_file, json.dumps(result._asdict(), indent=1))
        return result

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """Return the Distillers of the best trials, at their best epochs.

        Args:
            num_models: Maximum number of Distillers.

        Raises:
            ValueError: If no student was trained.
        """
        if not any(c.status == "feasible" for c in self.results):
            raise ValueError(self._found.nothing_trained())
        models: list[Any] = super().get_best_models(num_models)
        return models

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Measure the student; train it when it fits the budget.

        Args:
            trial: The trial.
            *args: Data, as `fit` takes it.
            **kwargs: Arguments of `fit`.

        Returns:
            One `History` per execution; for a student over the budget, its
            measured costs.
        """
        return self._runner.run(trial, args, kwargs)

    def load_model(self, trial: Any) -> Distiller:
        """Return a trial's Distiller at its best epoch.

        Args:
            trial: The trial.
        """
        with self.distributed():
            distiller = self.hypermodel.build(trial.hyperparameters)
            distiller.load_weights(self.weights_file(trial.trial_id))
        return distiller

    def on_epoch_end(
        self, trial: Any, model: Any, epoch: int, logs: Any = None
    ) -> None:
        """Stop a worker whose trial was handed to another worker.

        Args:
            trial: The trial.
            model: Its Distiller.
            epoch: The epoch that ended.
            logs: The values it logged.
        """
        self.oracle.check(trial.trial_id)

    def on_search_begin(self) -> None:
        """Save, so that a kill during the first trial can be resumed."""
        super().on_search_begin()
        self.save()

    def on_trial_end(self, trial: Any) -> None:
        """Tell the oracle, save, and delete the files kept for resuming."""
        super().on_trial_end(trial)
        if trial.status == "COMPLETED":
            self._runner.clean(trial)

    def reload(self) -> None:
        """Read the search back.

        Raises:
            RuntimeError: If it cannot be read.
            ValueError: If it was begun with other settings.
        """
        # Declare the space first, so that a changed one is noticed.
        self.declare_space()
        if not cluster.is_worker():
            self.oracle.reload()
        try:
            self.set_state(state.read_json(self.state_file))
        except FileNotFoundError:
            return
        except ValueError:
            warnings.warn(
                f"`{self.state_file}` is damaged. The task's loss is told "
                "from the data again; everything else is kept elsewhere.",
                stacklevel=2,
            )

    def save(self) -> None:
        """Save the search to its folder; every file is written atomically."""
        if not cluster.is_worker():
            self.oracle.save()
        state.write_json(self.state_file, self.get_state())

    def get_state(self) -> dict[str, Any]:
        """Return the task's loss, if the tuner inferred it from the data."""
        loss = self.hypermodel.loss if self._loss_is_inferred else None
        return {"loss": keras.saving.serialize_keras_object(loss)}

    def set_state(self, content: dict[str, Any]) -> None:
        """Restore the state that `get_state` returned."""
        if content.get("loss") is not None and self.hypermodel.loss is None:
            self._loss_is_inferred = True
            self.hypermodel.loss = keras.saving.deserialize_keras_object(
                content["loss"]
            )

    @property
    def _test_file(self) -> Path:
        return Path(self.project_dir) / "test_result.json"

    def _search(self, x: Any, *args: Any, **kwargs: Any) -> None:
        name = self.tuner_id if cluster.is_worker() else "search"
        with state.locked(self.project_dir, name):
            if self.budget is not None and OF_FILE & self.budget.limits.keys():
                converter().start()  # while the teacher runs
            self.hypermodel.teacher, joined = teach_once(
                self.teacher,
                x,
                Path(self.project_dir) / "teacher_cache",
                layers=self.hypermodel.teacher_layers,
                teacher_id=self.teacher_id,
                verbose=kwargs.get("verbose", "auto"),
            )
            try:
                super().search(joined, *args, **kwargs)
            finally:
                self.hypermodel.teacher = self.teacher


def _mean_and_spread(
    found: list[dict[str, float]],
) -> tuple[dict[str, float], dict[str, float]]:
    columns = {name: [float(row[name]) for row in found] for name in found[0]}
    mean = {name: statistics.fmean(v) for name, v in columns.items()}
    if len(found) == 1:
        return mean, {}
    return mean, {name: statistics.stdev(v) for name, v in columns.items()}
