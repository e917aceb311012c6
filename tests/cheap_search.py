"""A search whose trials take no time: a function of the values.

Also runs one in a process of its own, alone, or as the chief or a worker.
"""

import json
import time
from pathlib import Path

import keras
import keras_tuner
import small_searches
import tensorflow as tf

from keras_kd.search import Budget
from keras_kd.search import cluster
from keras_kd.search.cluster import protocol
from keras_kd.search.oracles import state
from keras_kd.search.oracles.making import make_oracle

# What each width costs; the budget below allows 0.5 at most.
BYTES = 1000
BUDGET = Budget(size_bytes=500)


def space():
    hps = keras_tuner.HyperParameters()
    hps.Float("alpha", 0.1, 1.0, default=0.9)
    hps.Float("temperature", 1.0, 16.0, sampling="log", default=4.0)
    hps.Float("width", 0.0625, 1.0, step=0.0625, default=0.25)
    return hps


def accuracy(values):
    """Peak 1.0 at alpha 0.7, width 1; no two points are alike."""
    return (
        1.0
        - (values["alpha"] - 0.7) ** 2
        - 0.3 * (1.0 - values["width"])
        - 0.01 * abs(values["temperature"] - 5.0)
    )


class CheapTuner(keras_tuner.Tuner):
    """Ends a trial at once; a student over budget as `StudentTuner` does."""

    pause = 0.0

    def __init__(self, oracle, folder, **kwargs):
        super().__init__(oracle, directory=folder, project_name="kd", **kwargs)
        if state.exists(self.project_dir) and not self._is_worker():
            self.oracle.reload()
        self.oracle = cluster.connected(self.oracle)
        self.ran = []

    def search(self, **kwargs):
        if cluster.is_chief():
            cluster.serve(self, verbose=0)
        else:
            super().search(**kwargs)

    def run_trial(self, trial, *args, **kwargs):
        self.ran.append(trial.trial_id)
        if self.pause < 0:
            raise ZeroDivisionError("nothing to divide by")
        until = time.monotonic() + self.pause
        while time.monotonic() < until:
            time.sleep(0.01)
            self.oracle.check(trial.trial_id)
        values = trial.hyperparameters.values
        size = BYTES * values["width"]
        found = {"size_bytes": size, "val_accuracy": accuracy(values)}
        if self.oracle.budget is None:
            return found
        over = self.oracle.budget.violation(found)
        if over:
            return {"size_bytes": size, "val_accuracy": 0.0, "violation": over}
        return found | {"violation": 0.0}

    def reload(self):
        """Leave it to the constructor."""

    def save(self):
        if not self._is_worker():
            self.oracle.save()


def oracle(name, max_trials=14, budget=BUDGET, seed=3, **kwargs):
    if name == "hyperband":
        kwargs.setdefault("max_epochs", 6)
    return make_oracle(
        name,
        objective="val_accuracy",
        max_trials=max_trials,
        hyperparameters=kwargs.pop("hyperparameters", None) or space(),
        seed=seed,
        budget=budget,
        **kwargs,
    )


def tuner(name="random", folder=None, max_trials=6, **kwargs):
    return CheapTuner(oracle(name, max_trials, **kwargs), folder)


def search(oracle, folder):
    searched = CheapTuner(oracle, folder)
    searched.search(verbose=0)
    return searched


def values(oracle):
    return [trial.hyperparameters.values for trial in oracle.trials.values()]


def outcome(made):
    """Return all that a search came to, in its order."""
    return [
        {
            "id": trial.trial_id,
            "values": trial.hyperparameters.values,
            "score": trial.score,
            "status": trial.status,
            "message": trial.message,
            "metrics": trial.metrics.get_config(),
        }
        for trial in made.trials.values()
    ]


def _hurry():
    protocol.HEARTBEAT_SECONDS = 0.3
    # A busy machine may leave a living worker without time for seconds.
    protocol.LEASE_SECONDS = 8.0
    protocol.POLL_SECONDS = 0.1


def main(folder, name, max_trials, pause=0.0, size_bytes=500):
    _hurry()
    budget = Budget(size_bytes=size_bytes)
    made = tuner(name, folder, max_trials, budget=budget)
    made.pause = pause
    made.search(verbose=0)
    best = [trial.trial_id for trial in made.oracle.get_best_trials(3)]
    (Path(folder) / f"{made.tuner_id}.best").write_text(json.dumps(best))
    if not cluster.is_worker():
        found = outcome(made.oracle)
        (Path(folder) / "outcome.json").write_text(json.dumps(found))


def train_students(folder):
    """Search with real training: three students, one of them over budget."""
    _hurry()
    # The teacher has to be the same in every process.
    keras.utils.set_random_seed(0)
    x, y = small_searches.data()
    made = small_searches.make_tuner(
        folder,
        build=lambda width: small_searches.dense(
            round(16 * width), dropout=0.4
        ),
        budget=Budget(num_params=120),
        max_trials=3,
    )
    pipeline = tf.data.Dataset.from_tensor_slices((x, y)).batch(16)
    made.search(pipeline, validation_data=(x, y), epochs=3, verbose=0)
    if not cluster.is_worker():
        found = json.dumps(outcome(made.oracle))
        (Path(folder) / "outcome.json").write_text(found)
