"""Each private name of KerasTuner that we lean on, what breaks without it.

A search is several of KerasTuner's classes with methods of our own in the
middle. Where a name moved, these tests say what it was for.
"""

import inspect
import pathlib
import re
import threading

import keras_tuner
import pytest

import keras_kd.search
from keras_kd.search import keras_tuner_internals as internals

ORACLES = keras_tuner.oracles
ANY = keras_tuner.Oracle
BAYES = ORACLES.BayesianOptimizationOracle
HYPERBAND = ORACLES.HyperbandOracle
GRID = ORACLES.GridSearchOracle
# The classes whose code is to name it, and what it is for.
ORACLE_NAMES = {
    "_check_consecutive_failures": (ANY, "failures end a search with a reason"),
    "_check_objective_found": (ANY, "a missing objective lists what there is"),
    "_compute_values_hash": (ANY, "values that were tried are known again"),
    "_duplicate": (ANY, "the smallest student is not trained twice"),
    "_get_trial_dir": (ANY, "what a killed trial left is cleared"),
    "_id_to_hash": (ANY, "the trial of the smallest student is found"),
    "_project_dir": (ANY, "errors name the folder of a search"),
    "_random_values": (ANY, "a search begins with the smallest student"),
    "_record_values": (ANY, "a student over budget counts as tried"),
    "_retry_queue": (ANY, "trials of dead workers are handed out again"),
    "_save_trial": (ANY, "trial.json follows the one state file"),
    "_seed_state": (ANY, "a resumed search draws what it would have drawn"),
    "_tried_so_far": (ANY, "Bayesian search proposes what is new"),
    "_get_hp_bounds": (BAYES, "points are drawn from all of the space"),
    "_make_gpr": (BAYES, "the cost is learnt by a process like the score's"),
    "_nonfixed_space": (BAYES, "values become points, fixed ones left out"),
    "_random_populate_space": (BAYES, "a space that is used up ends a search"),
    "_random_state": (BAYES, "a resumed search draws the same points"),
    "_vector_to_values": (BAYES, "points become values"),
    "_brackets": (HYPERBAND, "`epochs` of `search` plans the rounds"),
    "_current_bracket": (HYPERBAND, "`epochs` of `search` plans the rounds"),
    "_get_num_brackets": (HYPERBAND, "`epochs` of `search` plans the rounds"),
    "_start_new_bracket": (HYPERBAND, "`epochs` of `search` plans the rounds"),
    "_compare": (GRID, "a hyperparameter declared late has its default"),
    "_get_next_combination": (GRID, "the same"),
    "_ordered_ids": (GRID, "a grid goes on where it stopped"),
    "_populate_next": (GRID, "a grid goes on where it stopped"),
}


@pytest.mark.parametrize("name", ORACLE_NAMES)
def test_an_oracles_private_name(name):
    kind, purpose = ORACLE_NAMES[name]
    source = "".join(
        inspect.getsource(base) for base in kind.__mro__ if base is not object
    )
    assert re.search(rf"\b(self\.|def ){name}\b", source), purpose


def test_the_list_is_whole():
    """Names of KerasTuner's oracles that our files use."""
    room = pathlib.Path(keras_kd.search.__file__).parent
    ours = "".join(path.read_text() for path in room.rglob("*.py"))
    names = set()
    for kind in (ANY, ORACLES.RandomSearchOracle, BAYES, HYPERBAND, GRID):
        for base in kind.__mro__[:-1]:
            names |= set(
                re.findall(r"self\.(_[a-z]\w+)", inspect.getsource(base))
            )
            names |= {n for n in vars(base) if re.match("_[a-z]", n)}
    used = {name for name in names if re.search(rf"\.{name}\b", ours)}
    used |= {name for name in names if f"def {name}(" in ours}
    assert used == set(ORACLE_NAMES)


def test_one_file_imports_its_insides():
    room = pathlib.Path(keras_kd.__file__).parent
    found = [
        path.stem
        for path in room.rglob("*.py")
        if "keras_tuner.src" in path.read_text()
    ]
    assert found == ["keras_tuner_internals"]


def test_a_tuners_files_and_callbacks(tmp_path):
    """Trials would not be resumed, weights not found, callbacks shared."""
    tuner = internals.Tuner(
        keras_tuner.oracles.RandomSearchOracle("loss", max_trials=1),
        hypermodel=lambda hp: hp.Int("units", 1, 3),
        directory=tmp_path,
        project_name="search",
    )
    assert tuner.state_file.parent == tmp_path / "search"
    weights = tuner.weights_file("07")
    assert weights.parent == tmp_path / "search" / "trial_07"
    assert "units" in tuner.oracle.get_space().values
    trial = internals.Trial(tuner.oracle.get_space(), "07")
    given = [object()]
    (copy,) = tuner.callbacks_of(trial, 0, given)
    assert copy is not given[0]
    assert tuner.hooks_of(trial).tuner is tuner


def test_unlock():
    """A call that raises would lock every other worker out."""
    oracle = keras_tuner.oracles.RandomSearchOracle("loss", max_trials=1)
    library = internals.library
    library.LOCKS[oracle].acquire()
    library.THREADS[oracle] = threading.current_thread().name
    internals.unlock(oracle)
    assert library.THREADS[oracle] is None
    assert not library.LOCKS[oracle].locked()
    internals.unlock(oracle)  # Not ours: nothing to let go.


def test_metrics_of():
    """A trial's score would not be what the training reached."""
    objective = keras_tuner.Objective("val_loss", "min")
    assert internals.metrics_of({"val_loss": 2}, objective) == {"val_loss": 2.0}
    with pytest.raises(keras_tuner.errors.FatalError, match="val_loss"):
        internals.metrics_of({"loss": 2}, objective)


def test_objectives():
    """`objective="val_accuracy"` would not tell which way is better."""
    made = internals.create_objective("val_accuracy")
    assert (made.name, made.direction) == ("val_accuracy", "max")
    assert not isinstance(made, internals.DefaultObjective)
    assert isinstance(
        internals.create_objective(None), internals.DefaultObjective
    )


def test_a_linked_list():
    """A grid search would not know what it had combined."""
    linked = internals.LinkedList()
    linked.insert("a")
    linked.insert("b")
    assert [linked._memory[i] for i in linked._next_index.values() if i] == [
        "b"
    ]
    assert linked._memory[linked._next_index[None]] == "a"


def test_processes(monkeypatch):
    """Every process of a cluster would search on its own."""
    environment = internals.environment
    assert not environment.has_chief_oracle()
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", "1234")
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    assert environment.has_chief_oracle()
    assert environment.is_chief_oracle()


@pytest.mark.parametrize(
    "name", ["CreateTrial", "UpdateTrial", "EndTrial", "GetTrial"]
)
def test_the_protocol(name):
    """A chief would not hear its workers."""
    assert callable(getattr(internals.OracleServicer, name))
    assert hasattr(internals.protos.get_service(), f"{name}Request")
    assert "stub" in inspect.getsource(internals.OracleClient)
