"""StudentTuner: a KerasTuner search for the best student of a budget."""

from pathlib import Path
from typing import Any

from keras_tuner.src.engine.tuner import maybe_distribute

from keras_kd.core.checks import check_integer
from keras_kd.core.checks import requirement
from keras_kd.core.errors import OverBudgetError
from keras_kd.core.files import check_writable
from keras_kd.distiller import Distiller
from keras_kd.search import cluster
from keras_kd.search.choosing import Choosing
from keras_kd.search.cost.budget import Budget
from keras_kd.search.cost.ledger import Ledger
from keras_kd.search.cost.measurement import OF_FILE
from keras_kd.search.oracles import state
from keras_kd.search.oracles.making import make_oracle
from keras_kd.search.saving import Saving
from keras_kd.search.teaching import decide
from keras_kd.search.teaching import teach_once
from keras_kd.search.trials import running
from keras_kd.search.trials.hypermodel import StudentHyperModel

# Positional arguments of `keras.Model.fit` after x and y.
_FIT_NAMES = ("batch_size", "epochs", "verbose", "callbacks")


class StudentTuner(Choosing, Saving):
    """Searches alpha, temperature and width for the best student in a budget.

    A `keras_tuner.Tuner` in every respect: callbacks, `overwrite`, resuming,
    TensorBoard, chief and workers. Costs little more than training the
    students: the teacher runs once for the whole search, and a student over
    the budget is measured, recorded as infeasible and not trained.

    A search that was killed goes on where it was, the interrupted trial from
    its last epoch. With data in a fixed order the result is the one of an
    uninterrupted search, dropout included.

    Nothing of a trial's models outlives it. TensorFlow itself keeps some of
    every function it has traced: 4 MiB of a small Keras model, less than 10
    of a Distiller, by which the process grows with each trial.

    Args:
        teacher: A `keras_kd.TeacherCache`; or a teacher that runs, which is
            cached in the project folder before the first trial; or `None`
            for data that was joined to a cache.
        build_student: A function of `width`, a function of `hp`, or a
            `keras_tuner.HyperModel`; see `StudentHyperModel`.
        budget: A `keras_kd.Budget`. Defaults to no limits.
        tuner: `"random"`, `"bayesian"`, `"hyperband"`, `"grid"`, or an
            instance of a `keras_tuner.Oracle`.
        objective: What is maximized or minimized: a logged name, or what
            else KerasTuner takes.
        max_trials: Trials at most, infeasible ones too; `None` for as many
            as the oracle proposes, all of a grid.
        losses: What a `Distiller` takes, or a function of `hp`; see
            `StudentHyperModel`.
        optimizer: What `compile` takes, or a function of `hp`.
        loss: The task's loss. Defaults to the cross-entropy that the
            student's head and the labels' shape tell.
        metrics: What `compile` takes.
        hyperparameters: A `keras_tuner.HyperParameters`; what it declares
            wins: `hp.Fixed("alpha", 0.9)` takes `alpha` out of the search.
        executions_per_trial: How often each trial is trained, from other
            initial weights; the objective is their mean.
        seed: Seed of the proposals and, together with a trial's values and
            the execution, of its initial weights. Defaults to a random one,
            which the search keeps.
        directory: Folder of the project. Defaults to the current one.
        project_name: Name of the project.
        overwrite: Whether to remove a former search of that project.
        distribution_strategy: A `tf.distribute.Strategy` of one worker, for
            each trial.
        teacher_id: A name that stands for a teacher that is no Keras model,
            as in `TeacherCache.build`.
        **oracle_arguments: Other arguments of the oracle, such as
            `max_epochs` of Hyperband.

    Raises:
        OSError: If the folder cannot be written to.
        TypeError: If an argument is of another type.
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
    ...     budget=keras_kd.Budget(num_params=60), tuner="random",
    ...     max_trials=3, seed=0, directory=folder.name)
    >>> tuner.search(x, y, validation_data=(x, y), epochs=1, verbose=0)
    >>> len(tuner.results), tuner.best_student().count_params() <= 60
    (3, True)
    >>> folder.cleanup()
    """

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
        self.loss_is_told = False
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
        cluster.connect(self)
        self.reload_if_killed_early()
        self.measurements = Ledger(Path(self.project_dir) / "measurements.json")

    def search(self, *args: Any, test_data: Any = None, **kwargs: Any) -> None:
        """Run the search, or go on with it.

        Args:
            *args: The data, as `keras.Model.fit` takes it.
            test_data: Data that no trial sees; the best one is evaluated on
                it at the end, see `test_result`.
            **kwargs: Other arguments of `keras.Model.fit`:
                `validation_data`, `epochs`, `callbacks`, ...

        Raises:
            OverBudgetError: If no student tried meets the budget.
            RuntimeError: If too many trials in a row failed.
            ValueError: If the objective is not logged, or the task's loss
                cannot be told from the data.
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
        if not self._is_worker():
            self.oracle.set_epochs(kwargs.get("epochs", 1))
        validation = ("validation_data", "validation_split")
        decide(
            self, given, validated=any(kwargs.get(name) for name in validation)
        )
        if cluster.is_chief():
            cluster.serve(self, kwargs.get("verbose", "auto"))
        else:
            self._search(*given, **kwargs)
        if test_data is not None and not self._is_worker():
            self.evaluate_best(test_data)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        """Measure the student; train it when it fits the budget.

        Args:
            trial: The trial.
            *args: Data, as `fit` takes it.
            **kwargs: Arguments of `fit`.

        Returns:
            One `History` an execution; for a student over the budget, what
            was measured.
        """
        hp = trial.hyperparameters
        if running.EPOCHS in hp.values:
            kwargs["epochs"] = hp.values[running.EPOCHS]
            kwargs["initial_epoch"] = hp.values[running.INITIAL_EPOCH]
        try:
            costs = running.measure(self, hp)
        except OverBudgetError as error:
            return running.infeasible(self.oracle.objective, error)
        histories = [
            running.execute(self, trial, execution, (args, dict(kwargs)))
            for execution in range(self.executions_per_trial)
        ]
        return running.summarize(self, trial, histories, costs)

    def load_model(self, trial: Any) -> Distiller:
        """Return a trial's Distiller at its best epoch.

        Args:
            trial: The trial.
        """
        with maybe_distribute(self.distribution_strategy):
            distiller = self.hypermodel.build(trial.hyperparameters)
            distiller.load_weights(self._get_checkpoint_fname(trial.trial_id))
        return distiller

    def on_epoch_end(
        self, trial: Any, model: Any, epoch: int, logs: Any = None
    ) -> None:
        """Stop a worker whose trial was handed to another one.

        Args:
            trial: The trial.
            model: Its Distiller.
            epoch: The epoch that ended.
            logs: What it logged.
        """
        if self._is_worker():
            self.oracle.check(trial.trial_id)

    def on_trial_end(self, trial: Any) -> None:
        """Tell the oracle, save, and remove what was for resuming."""
        super().on_trial_end(trial)
        if trial.status == "COMPLETED":
            running.clean(self, trial)

    def _search(self, x: Any, *args: Any, **kwargs: Any) -> None:
        name = self.tuner_id if self._is_worker() else "search"
        with state.locked(self.project_dir, name):
            if self.budget is not None and OF_FILE & self.budget.limits.keys():
                self.measurements.start()  # while the teacher runs
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
                self.measurements.close()

    def _build_hypermodel(self, hp: Any) -> Distiller:
        with maybe_distribute(self.distribution_strategy):
            return self.hypermodel.build(hp)
