"""Runs one trial: checks the budget, then trains each execution."""

import hashlib
import json
import shutil
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from keras_kd.core.errors import OverBudgetError
from keras_kd.core.files import staged
from keras_kd.distiller import Distiller
from keras_kd.search.cluster import AnyOracle
from keras_kd.search.cost.budget import Budget
from keras_kd.search.cost.ledger import Ledger
from keras_kd.search.keras_tuner_internals import Tuner
from keras_kd.search.keras_tuner_internals import metrics_of
from keras_kd.search.oracles import scoring
from keras_kd.search.oracles.scoring import SPREAD
from keras_kd.search.trials import snapshots
from keras_kd.search.trials.checkpoint import TrialCheckpoint
from keras_kd.search.trials.hypermodel import StudentHyperModel
from keras_kd.search.trials.snapshots import Snapshot

# An infinite violation is capped: JSON has no infinity.
LARGEST_VIOLATION = 1e9
# Values of a Hyperband trial: its epochs, and the trial it continues.
EPOCHS = "tuner/epochs"
INITIAL_EPOCH = "tuner/initial_epoch"
PREDECESSOR = "tuner/trial_id"


def trial_seed(
    values: Mapping[str, Any], search_seed: int, execution: int
) -> int:
    """Return the seed of an execution's initial weights and dropout.

    The same values give the same seed on every worker and in every run.
    Hyperband's later rounds keep the seed of the first round.
    """
    # KerasTuner's protocol rounds to single precision on the way to a worker.
    own = {
        name: f"{value:.6g}" if isinstance(value, float) else value
        for name, value in values.items()
        if not name.startswith("tuner/")
    }
    content = json.dumps(
        [search_seed, execution, own], default=str, sort_keys=True
    )
    digest = hashlib.sha256(content.encode())
    return int.from_bytes(digest.digest()[:4], "big") >> 1


def clear_session() -> None:
    """Free what Keras keeps of earlier trials.

    Keras' own function also resets the dtype policy, so a `mixed_float16`
    search would continue in float32.
    """
    policy = keras.config.dtype_policy()
    keras.backend.clear_session()
    keras.config.set_dtype_policy(policy)


class TrialRunner:
    """Measures the student of a trial, and trains it when it fits.

    Args:
        tuner: The tuner that runs the trials.
        oracle: The tuner's oracle.
        hypermodel: Builds and trains the Distillers.
        budget: The search's budget, or `None`.
        ledger: The ledger that stores costs.
    """

    def __init__(
        self,
        tuner: Tuner,
        oracle: AnyOracle,
        hypermodel: StudentHyperModel,
        budget: Budget | None,
        ledger: Ledger,
    ) -> None:
        self._tuner = tuner
        self._oracle = oracle
        self._hypermodel = hypermodel
        self._budget = budget
        self._ledger = ledger

    def run(
        self, trial: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[keras.callbacks.History] | dict[str, float]:
        """Measure a trial's student, and train it if it fits.

        Args:
            trial: The trial.
            args: Data, as `fit` takes it.
            kwargs: Arguments of `fit`.

        Returns:
            One `History` per execution, which KerasTuner averages; for a
            student over the budget, its measured costs.
        """
        hp = trial.hyperparameters
        if EPOCHS in hp.values:
            kwargs = kwargs | {
                "epochs": hp.values[EPOCHS],
                "initial_epoch": hp.values[INITIAL_EPOCH],
            }
        try:
            costs = self._measure(hp)
        except OverBudgetError as error:
            return self._infeasible(error)
        histories = [
            self._execute(trial, execution, args, kwargs)
            for execution in range(self._tuner.executions_per_trial)
        ]
        return self._summarize(trial, histories, costs)

    def weights_file(self, trial_id: str, execution: int) -> Path:
        """Return the file with an execution's best weights."""
        if self._tuner.executions_per_trial == 1:
            return self._tuner.weights_file(trial_id)
        folder = Path(self._tuner.get_trial_dir(trial_id))
        return folder / f"execution_{execution}.weights.h5"

    def progress_file(self, trial_id: str, execution: int) -> Path:
        """Return the file with an execution's progress."""
        folder = Path(self._tuner.get_trial_dir(trial_id))
        return folder / f"execution_{execution}.npz"

    def clean(self, trial: Any) -> None:
        """Delete an ended trial's progress and the scratch of killed runs.

        The progress of a Hyperband trial stays: later trials continue it.
        """
        folder = Path(self._tuner.get_trial_dir(trial.trial_id))
        for scratch in ("execution_", "checkpoint."):
            for left in folder.glob(f".{scratch}*"):
                shutil.rmtree(left, ignore_errors=True)
        if EPOCHS not in trial.hyperparameters.values:
            for execution in range(self._tuner.executions_per_trial):
                file = self.progress_file(trial.trial_id, execution)
                file.unlink(missing_ok=True)

    def _measure(self, hp: Any) -> dict[str, float]:
        """Return the costs of a trial's untrained student.

        Raises:
            OverBudgetError: If the student is over the budget.
        """
        student = self._hypermodel.student(hp)
        costs = {"num_params": float(student.count_params())}
        if self._budget is not None:
            found = self._budget.check(student, self._ledger)
            costs |= {scoring.VIOLATION: 0.0, **found.to_dict()}
        return costs

    def _infeasible(self, error: OverBudgetError) -> dict[str, float]:
        """Return the metrics of a trial that was not trained.

        The objective's value is a placeholder: the oracle scores the trial.
        """
        objective = self._oracle.objective
        names = getattr(objective, "name_to_direction", ())
        return {
            **dict.fromkeys([objective.name, *names], 0.0),
            **error.measurement.to_dict(),
            scoring.VIOLATION: min(error.violation, LARGEST_VIOLATION),
        }

    def _execute(
        self,
        trial: Any,
        execution: int,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> keras.callbacks.History:
        """Train one execution of a trial, or resume it.

        Returns:
            The logs of every epoch.
        """
        given = kwargs.get("callbacks") or []
        callbacks = self._tuner.callbacks_of(trial, execution, given)
        values = trial.hyperparameters.values
        seed = trial_seed(values, self._oracle.seed, execution)
        checkpoint = TrialCheckpoint(
            self.progress_file(trial.trial_id, execution),
            self._oracle.objective,
            callbacks,
            identity=f"{seed} {values.get(PREDECESSOR, '')}",
            strict=kwargs.get("validation_freq", 1) == 1
            and not self._hypermodel.fits_itself,
        )
        if checkpoint.progress.finished:
            return checkpoint.history()
        clear_session()
        keras.utils.set_random_seed(seed)
        with self._tuner.distributed():
            distiller = self._hypermodel.build(trial.hyperparameters)
        if not checkpoint.progress.now and PREDECESSOR in values:
            former = self._former(values[PREDECESSOR], execution)
            snapshots.restore(distiller, former.now)
        checkpoint.begin(distiller, kwargs.get("initial_epoch", 0))
        hooks = self._tuner.hooks_of(trial)
        kwargs = kwargs | {"callbacks": [*callbacks, hooks, checkpoint]}
        try:
            self._fit(trial, distiller, checkpoint, args, kwargs)
        except FloatingPointError:
            checkpoint.discard()
            raise
        snapshots.restore(distiller, checkpoint.progress.best)
        with staged(self.weights_file(trial.trial_id, execution)) as scratch:
            distiller.save_weights(scratch)
        checkpoint.finish()
        return checkpoint.history()

    def _fit(
        self,
        trial: Any,
        distiller: Distiller,
        checkpoint: TrialCheckpoint,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        progress = checkpoint.progress
        if not self._hypermodel.fits_itself:
            left = progress.epoch < kwargs.get("epochs", 1)
            if progress.stopped or (progress.logs and not left):
                return  # It was killed after its last epoch.
        if progress.epoch:
            kwargs = kwargs | {"initial_epoch": progress.epoch}
        result = self._hypermodel.fit(
            trial.hyperparameters, distiller, *args, **kwargs
        )
        if not isinstance(result, keras.callbacks.History):
            checkpoint.record(
                distiller, metrics_of(result, checkpoint.objective)
            )

    def _summarize(
        self,
        trial: Any,
        histories: list[keras.callbacks.History],
        costs: Mapping[str, float],
    ) -> list[keras.callbacks.History]:
        """Keep the best execution's weights; add costs and spread to logs."""
        objective = self._oracle.objective
        best = [metrics_of(history, objective) for history in histories]
        reached = [float(objective.get_value(metrics)) for metrics in best]
        winner = 0
        for execution, value in enumerate(reached):
            if objective.better_than(value, reached[winner]):
                winner = execution
        constant = dict(costs)
        if len(reached) > 1:
            constant[objective.name + SPREAD] = statistics.stdev(reached)
            source = self.weights_file(trial.trial_id, winner)
            with staged(self._tuner.weights_file(trial.trial_id)) as scratch:
                shutil.copyfile(source, scratch)
        for history in histories:
            epochs = len(next(iter(history.history.values())))
            for name, value in constant.items():
                history.history[name] = [value] * epochs
        return histories

    def _former(self, trial_id: str, execution: int) -> Snapshot:
        """Return the last state of the trial that a Hyperband trial continues.

        Raises:
            FileNotFoundError: If there is no such state.
        """
        path = self.progress_file(trial_id, execution)
        progress = Snapshot.load(path)
        if progress is None:
            raise FileNotFoundError(
                f"No state of trial {trial_id} at `{path}`, which this trial "
                "continues. Search again in another project folder."
            )
        return progress
