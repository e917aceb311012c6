"""One trial: seeds, budget, executions, and what they come to."""

import hashlib
import json
import shutil
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
from keras_tuner.src.engine import tuner_utils

from keras_kd.core.errors import OverBudgetError
from keras_kd.core.files import staged
from keras_kd.search.candidate import SPREAD
from keras_kd.search.candidate import VIOLATION
from keras_kd.search.trials import snapshots
from keras_kd.search.trials.checkpoint import TrialCheckpoint
from keras_kd.search.trials.snapshots import Progress

# JSON has no infinity.
LARGEST_VIOLATION = 1e9
# Which epochs a trial of Hyperband trains, and what it goes on from.
EPOCHS = "tuner/epochs"
INITIAL_EPOCH = "tuner/initial_epoch"
PREDECESSOR = "tuner/trial_id"


def trial_seed(
    values: Mapping[str, Any], search_seed: int, execution: int
) -> int:
    """Return the seed of an execution's initial weights and dropout.

    The same values give the same seed, whichever worker runs them and
    however often; the later rounds of Hyperband go on with that of the first.
    """
    # KerasTuner's protocol rounds to single precision on the way to a worker.
    own = {
        name: f"{value:.6g}" if isinstance(value, float) else value
        for name, value in values.items()
        if not name.startswith("tuner/")
    }
    told = json.dumps(
        [search_seed, execution, own], default=str, sort_keys=True
    )
    digest = hashlib.sha256(told.encode())
    return int.from_bytes(digest.digest()[:4], "big") >> 1


def clear_session() -> None:
    """Drop what Keras keeps of former trials.

    Keras forgets the dtype policy with it, and a `mixed_float16` search would
    go on in float32.
    """
    policy = keras.config.dtype_policy()
    keras.backend.clear_session()
    keras.config.set_dtype_policy(policy)


def measure(tuner: Any, hp: Any) -> dict[str, float]:
    """Return what a trial's student costs, untrained.

    Raises:
        OverBudgetError: If that is more than the budget.
    """
    student = tuner.hypermodel.student(hp)
    costs = {"num_params": float(student.count_params())}
    if tuner.budget is not None:
        found = tuner.budget.check(student, tuner.measurements)
        costs |= {VIOLATION: 0.0, **found.to_dict()}
    return costs


def infeasible(objective: Any, error: OverBudgetError) -> dict[str, float]:
    """Return the metrics of a trial that was not trained.

    The objective's value is a placeholder: the oracle scores it.
    """
    names = getattr(objective, "name_to_direction", ())
    return {
        **dict.fromkeys([objective.name, *names], 0.0),
        **error.measurement.to_dict(),
        VIOLATION: min(error.violation, LARGEST_VIOLATION),
    }


def execute(
    tuner: Any, trial: Any, execution: int, fit: tuple[Any, dict[str, Any]]
) -> keras.callbacks.History:
    """Train one execution of a trial, from where it was left.

    Args:
        tuner: The `StudentTuner`.
        trial: The trial.
        execution: Its number.
        fit: Arguments of `fit`.

    Returns:
        What every epoch logged.
    """
    args, kwargs = fit
    callbacks = tuner._deepcopy_callbacks(kwargs.get("callbacks") or [])
    callbacks = list(keras.tree.flatten(callbacks))
    tuner._configure_tensorboard_dir(callbacks, trial, execution)
    values = trial.hyperparameters.values
    seed = trial_seed(values, tuner.oracle.seed, execution)
    checkpoint = TrialCheckpoint(
        progress_file(tuner, trial.trial_id, execution),
        tuner.oracle.objective,
        callbacks,
        identity=f"{seed} {values.get(PREDECESSOR, '')}",
        strict=kwargs.get("validation_freq", 1) == 1
        and not tuner.hypermodel.fits_itself,
    )
    if not checkpoint.progress.finished:
        clear_session()
        keras.utils.set_random_seed(seed)
        distiller = tuner._build_hypermodel(trial.hyperparameters)
        if not checkpoint.progress.now and PREDECESSOR in values:
            former = _load(tuner, values[PREDECESSOR], execution)
            snapshots.restore(distiller, former.now)
        checkpoint.begin(distiller, kwargs.get("initial_epoch", 0))
        callbacks += [tuner_utils.TunerCallback(tuner, trial), checkpoint]
        kwargs = kwargs | {"callbacks": callbacks}
        try:
            _fit(tuner.hypermodel, trial, distiller, checkpoint, (args, kwargs))
        except FloatingPointError:
            checkpoint.discard()
            raise
        snapshots.restore(distiller, checkpoint.progress.best)
        with staged(weights_file(tuner, trial.trial_id, execution)) as scratch:
            distiller.save_weights(scratch)
        checkpoint.finish()
    return checkpoint.history()


def _fit(
    hypermodel: Any,
    trial: Any,
    distiller: Any,
    checkpoint: TrialCheckpoint,
    fit: tuple[Any, dict[str, Any]],
) -> None:
    args, kwargs = fit
    progress = checkpoint.progress
    if not hypermodel.fits_itself:
        left = progress.epoch < kwargs.get("epochs", 1)
        if progress.stopped or (progress.logs and not left):
            return  # killed after its last epoch
    if progress.epoch:
        kwargs = kwargs | {"initial_epoch": progress.epoch}
    result = hypermodel.fit(trial.hyperparameters, distiller, *args, **kwargs)
    if not isinstance(result, keras.callbacks.History):
        objective = checkpoint.objective
        tuner_utils.validate_trial_results(
            result, objective, "HyperModel.fit()"
        )
        logs = tuner_utils.convert_to_metrics_dict(result, objective)
        checkpoint.record(distiller, {k: float(v) for k, v in logs.items()})


def summarize(
    tuner: Any,
    trial: Any,
    histories: list[keras.callbacks.History],
    costs: Mapping[str, float],
) -> list[keras.callbacks.History]:
    """Keep the best execution's weights; add costs and spread to the values.

    Args:
        tuner: The `StudentTuner`.
        trial: The trial.
        histories: One an execution.
        costs: What the budget measured.

    Returns:
        The histories, as KerasTuner averages them.
    """
    objective = tuner.oracle.objective
    best = [
        tuner_utils.convert_to_metrics_dict(history, objective)
        for history in histories
    ]
    reached = [float(objective.get_value(metrics)) for metrics in best]
    winner = 0
    for execution, value in enumerate(reached):
        if objective.better_than(value, reached[winner]):
            winner = execution
    constant = dict(costs)
    if len(reached) > 1:
        constant[objective.name + SPREAD] = statistics.stdev(reached)
        source = weights_file(tuner, trial.trial_id, winner)
        with staged(tuner._get_checkpoint_fname(trial.trial_id)) as scratch:
            shutil.copyfile(source, scratch)
    for history in histories:
        epochs = len(next(iter(history.history.values())))
        for name, value in constant.items():
            history.history[name] = [value] * epochs
    return histories


def weights_file(tuner: Any, trial_id: str, execution: int) -> Path:
    """Return where an execution's best weights are."""
    if tuner.executions_per_trial == 1:
        return Path(tuner._get_checkpoint_fname(trial_id))
    folder = Path(tuner.get_trial_dir(trial_id))
    return folder / f"execution_{execution}.weights.h5"


def progress_file(tuner: Any, trial_id: str, execution: int) -> Path:
    """Return where an execution's progress is."""
    return Path(tuner.get_trial_dir(trial_id)) / f"execution_{execution}.npz"


def clean(tuner: Any, trial: Any) -> None:
    """Remove what an ended trial kept for resuming, and scratch of kills.

    The progress of a trial of Hyperband stays: later ones go on from it.
    """
    folder = Path(tuner.get_trial_dir(trial.trial_id))
    for scratch in ("execution_", "checkpoint."):
        for left in folder.glob(f".{scratch}*"):
            shutil.rmtree(left, ignore_errors=True)
    if EPOCHS not in trial.hyperparameters.values:
        for execution in range(tuner.executions_per_trial):
            file = progress_file(tuner, trial.trial_id, execution)
            file.unlink(missing_ok=True)


def _load(tuner: Any, trial_id: str, execution: int) -> Progress:
    path = progress_file(tuner, trial_id, execution)
    progress = Progress.load(path)
    if progress is None:
        raise FileNotFoundError(
            f"No state of trial {trial_id} at `{path}`, which this trial goes "
            "on from. Search again in another project folder."
        )
    return progress
